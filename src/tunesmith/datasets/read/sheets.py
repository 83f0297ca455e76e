"""Spreadsheets and parquet files, read by openpyxl and pyarrow."""

from collections.abc import Iterator
from io import BufferedReader
from typing import Any
from zipfile import BadZipFile, ZipFile

from tunesmith._extras import import_extra
from tunesmith._json_types import is_list, is_object
from tunesmith.datasets.checks.texts import texts_of
from tunesmith.datasets.read.issues import ReadIssues
from tunesmith.datasets.rows import CHUNK_CHARACTERS, Row
from tunesmith.errors import DatasetError

__all__ = ["read_parquet", "read_xlsx"]

_MAX_STRINGS_BYTES = 256 << 20
"""Largest table of shared texts of a workbook, which is held in memory."""

_MAX_RATIO = 100
_BATCH_ROWS = 128
_RATIO_FROM_BYTES = 64 << 20
"""Parts of a workbook above this size must not be compressed by more than `_MAX_RATIO`."""


def read_xlsx(stream: BufferedReader, issues: ReadIssues, _: str | None) -> Iterator[Row]:
    """Read the first sheet, whose first row names the columns; all values become text."""
    openpyxl = import_extra("openpyxl", "xlsx", "Files of this kind")
    try:
        _check_size(stream, issues)
        book = openpyxl.load_workbook(stream, read_only=True, data_only=True)
    except (BadZipFile, KeyError, ValueError, OSError, SyntaxError) as error:
        if isinstance(error, DatasetError):
            raise
        raise _damaged(issues, "an Excel workbook", error) from error
    try:
        issues.further_sheets = book.sheetnames[1:]
        header: list[str] | None = None
        for number, values in enumerate(book.worksheets[0].iter_rows(values_only=True), 1):
            cells = ["" if value is None else str(value) for value in values]
            issues.characters += sum(map(len, cells))
            if not any(cells):
                continue
            if header is None:
                header = [cell.strip() for cell in cells]
                continue
            yield Row(number, {k: v for k, v in zip(header, cells, strict=False) if k})
    except SyntaxError as error:  # the XML is not well-formed
        raise _damaged(issues, "an Excel workbook", error) from error
    finally:
        book.close()


def _check_size(stream: BufferedReader, issues: ReadIssues) -> None:
    """Refuse a workbook that would fill the memory when it is decompressed."""
    for part in ZipFile(stream).infolist():
        is_bomb = part.file_size > _RATIO_FROM_BYTES and (
            part.file_size > _MAX_RATIO * max(part.compress_size, 1)
        )
        is_strings = part.filename.endswith("sharedStrings.xml")
        if is_bomb or (is_strings and part.file_size > _MAX_STRINGS_BYTES):
            raise DatasetError(
                f"The workbook is too large to be read: {part.filename} has "
                f"{part.file_size / 1e6:,.0f} MB.",
                file=issues.file,
                remedy="Save it as CSV.",
            )
    stream.seek(0)


def read_parquet(stream: BufferedReader, issues: ReadIssues, _: str | None) -> Iterator[Row]:
    """Read the rows a batch at a time."""
    parquet = import_extra("pyarrow.parquet", "parquet", "Files of this kind")
    arrow = import_extra("pyarrow", "parquet", "Files of this kind")
    try:
        number = 0
        size = 1
        for batch in parquet.ParquetFile(stream).iter_batches(_BATCH_ROWS, use_threads=False):
            start = 0
            while start < batch.num_rows:
                # A short dictionary can stand for many long texts, so that the size is measured.
                rows = [
                    {key: _without_nulls(value) for key, value in row.items()}
                    for row in batch.slice(start, size).to_pylist()
                ]
                start += size
                characters = sum(len(text) for row in rows for text in texts_of(row))
                issues.characters += characters
                size = min(max(CHUNK_CHARACTERS * len(rows) // (characters + 1), 1), _BATCH_ROWS)
                for row in rows:
                    number += 1
                    yield Row(number, row)
    except (arrow.ArrowException, OSError) as error:
        raise _damaged(issues, "a parquet file", error) from error


def _without_nulls(value: Any) -> Any:
    """Remove null fields, because in parquet every object has the keys of all."""
    if is_object(value):
        return {k: _without_nulls(v) for k, v in value.items() if v is not None}
    if is_list(value):
        return [_without_nulls(item) for item in value]
    return value


def _damaged(issues: ReadIssues, kind: str, error: Exception) -> DatasetError:
    return DatasetError(
        f"This is not {kind}, or it is damaged: {str(error).rstrip('.')}.",
        file=issues.file,
        remedy="Save it again, or as CSV.",
    )
