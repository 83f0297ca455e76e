"""Type of a file by its content, where the name's extension is wrong."""

import re

from tunesmith.datasets.columns import is_header
from tunesmith.datasets.read.files import JSON_START, MAGIC, DataFile, FileType
from tunesmith.datasets.read.issues import ReadIssues
from tunesmith.datasets.read.text import detect_encoding, peek_text

__all__ = ["sniff_kind"]

_SNIFFED_LINES = 20
_SEPARATOR = re.compile(r'"?\s*[,;\t]\s*"?')


def sniff_kind(file: DataFile) -> FileType:
    """Return the type that a file's content has, or else the type of its extension."""
    with file.open() as stream:
        magic = MAGIC.get(stream.peek(4)[:4])
        if magic or file.kind in {"xlsx", "parquet", "json", "jsonl"}:
            return magic or file.kind
        encoding = detect_encoding(stream, None, ReadIssues(file.name))
        text = peek_text(stream, encoding)
    if re.match(JSON_START, text):
        return "jsonl"
    if file.kind == "txt" and _is_tab_separated(text):
        return "tsv"
    if file.kind == "txt" and is_header(_SEPARATOR.split(text.partition("\n")[0].strip('"\r'))):
        return "csv"
    return file.kind


def _is_tab_separated(text: str) -> bool:
    """Return whether all lines have the same number of fields between tabs, as Anki writes them."""
    lines = [line for line in text.splitlines()[:_SNIFFED_LINES] if line.strip()]
    tabs = {line.strip().count("\t") for line in lines}
    return len(lines) > 1 and len(tabs) == 1 and tabs != {0}
