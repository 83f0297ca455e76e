"""Type of a file by its content, where the name's extension is wrong."""

import re

from tunesmith.datasets.columns import is_header
from tunesmith.datasets.read.files import JSON_START, MAGIC, DataFile, FileType
from tunesmith.datasets.read.issues import ReadIssues
from tunesmith.datasets.read.text import detect_encoding, peek_text
from tunesmith.errors import DatasetError

__all__ = ["sniff_kind"]

_SNIFFED_LINES = 20
_LINES = {"txt", "json", "jsonl"}
_OTHER_CONTENT = (
    (
        r"<(?i:!doctype|html)",
        "This is a web page, not data.",
        "Download the file itself; on Hugging Face, its address has /resolve/ instead of /blob/.",
    ),
    (
        "version https://git-lfs",
        "This is a pointer of Git LFS, not the data.",
        "Fetch the data: git lfs pull",
    ),
    ("%PDF-", "This is a PDF file, not data.", "Copy its text to a file of rows."),
)
_SEPARATOR = re.compile(r'"?\s*[,;\t]\s*"?')


def sniff_kind(file: DataFile) -> FileType:
    """Return the type that a file's content has, or else the type of its extension.

    Raises:
        DatasetError: The content is something else, such as a web page.
    """
    with file.open() as stream:
        magic = MAGIC.get(stream.peek(4)[:4])
        if magic or file.kind in {"xlsx", "parquet"}:
            return magic or file.kind
        encoding = detect_encoding(stream, None, ReadIssues(file.name))
        text = peek_text(stream, encoding)
    if file.kind in {"json", "jsonl"} and text.startswith(("{", "[", '"')):
        return file.kind
    if re.match(JSON_START, text):
        return "jsonl"
    if file.kind != "txt":
        _reject_other_content(text, file.name)
    if file.kind == "txt" and _is_tab_separated(text):
        return "tsv"
    if file.kind in _LINES and is_header(_SEPARATOR.split(text.partition("\n")[0].strip('"\r'))):
        return "csv"
    return file.kind


def _reject_other_content(text: str, name: str) -> None:
    for pattern, message, remedy in _OTHER_CONTENT:
        if re.match(pattern, text):
            raise DatasetError(message, file=name, remedy=remedy)


def _is_tab_separated(text: str) -> bool:
    """Return whether all lines have the same number of fields between tabs, as Anki writes them."""
    lines = [line for line in text.splitlines()[:_SNIFFED_LINES] if line.strip()]
    tabs = {line.strip().count("\t") for line in lines}
    return len(lines) > 1 and len(tabs) == 1 and tabs != {0}
