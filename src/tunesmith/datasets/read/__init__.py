"""Readers: one for each kind of file; each yields rows with their line numbers, in flat memory."""

from collections.abc import Iterator

from tunesmith.datasets.read.files import DataFile
from tunesmith.datasets.read.json_stream import read_json
from tunesmith.datasets.read.jsonl import read_jsonl
from tunesmith.datasets.read.log import MAX_LINE_BYTES, OnBroken, ReadIssues
from tunesmith.datasets.read.sheets import read_parquet, read_xlsx
from tunesmith.datasets.read.tables import read_csv, read_tsv
from tunesmith.datasets.read.txt import read_txt
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


def read(file: DataFile, log: ReadIssues, encoding: str | None = None) -> Iterator[Row]:
    """Read all rows of a file.

    Args:
        file: The file.
        log: What happens on the way is noted there; it also says what to do with broken lines.
        encoding: The text's encoding; without it, what a byte-order mark says, or UTF-8.

    Raises:
        DatasetError: The file cannot be read, or a line is broken and may not be skipped.
    """
    with file.open() as stream:
        yield from _READERS[file.kind](stream, log, encoding)
