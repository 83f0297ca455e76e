"""Readers, one for each type of file: they yield rows with their line numbers, in flat memory."""

from collections.abc import Iterator

from tunesmith.datasets.read.files import DataFile, FileType
from tunesmith.datasets.read.issues import MAX_LINE_BYTES, OnBroken, ReadIssues
from tunesmith.datasets.read.json_stream import read_json
from tunesmith.datasets.read.jsonl import read_jsonl
from tunesmith.datasets.read.sheets import read_parquet, read_xlsx
from tunesmith.datasets.read.tables import read_csv, read_tsv
from tunesmith.datasets.read.text import read_txt
from tunesmith.datasets.rows import Row

__all__ = ["MAX_LINE_BYTES", "DataFile", "OnBroken", "ReadIssues", "read"]

_READERS = {
    "csv": read_csv,
    "tsv": read_tsv,
    "txt": read_txt,
    "json": read_json,
    "jsonl": read_jsonl,
    "xlsx": read_xlsx,
    "parquet": read_parquet,
}


def read(
    file: DataFile, issues: ReadIssues, encoding: str | None = None, kind: FileType | None = None
) -> Iterator[Row]:
    """Read all rows of a file.

    Args:
        file: The file.
        issues: Collects the issues; it also decides about broken lines.
        encoding: The text's encoding; without it, that of the byte-order mark, or UTF-8.
        kind: The type of the file's content; without it, `file.kind`.

    Raises:
        DatasetError: The file cannot be read, or a line is broken and must not be skipped.
    """
    with file.open() as stream:
        yield from _READERS[kind or file.kind](stream, issues, encoding)
