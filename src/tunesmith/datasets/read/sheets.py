"""Spreadsheets and parquet files, through the libraries that know them."""

from collections.abc import Iterator
from io import BufferedReader
from typing import Any
from zipfile import BadZipFile

from tunesmith._extras import import_extra
from tunesmith.datasets.json_types import is_list, is_object
from tunesmith.datasets.read.log import ReadIssues
from tunesmith.datasets.rows import CHUNK_ROWS, Row
from tunesmith.errors import DatasetError

__all__ = ["read_parquet", "read_xlsx"]


def read_xlsx(stream: BufferedReader, log: ReadIssues, _: str | None) -> Iterator[Row]:
    """Read the first sheet, whose first row names the columns; all values become text."""
    openpyxl = import_extra("openpyxl", "xlsx", "Files of this kind")
    try:
        book = openpyxl.load_workbook(stream, read_only=True, data_only=True)
    except (BadZipFile, KeyError, ValueError, OSError) as error:
        raise _damaged(log, "an Excel workbook", error) from error
    try:
        log.further_sheets = book.sheetnames[1:]
        header: list[str] | None = None
        for number, values in enumerate(book.worksheets[0].iter_rows(values_only=True), 1):
            cells = ["" if value is None else str(value) for value in values]
            if not any(cells):
                continue
            if header is None:
                header = [cell.strip() for cell in cells]
                continue
            yield Row(number, {k: v for k, v in zip(header, cells, strict=False) if k})
    finally:
        book.close()


def read_parquet(stream: BufferedReader, log: ReadIssues, _: str | None) -> Iterator[Row]:
    """Read the rows a batch at a time."""
    parquet = import_extra("pyarrow.parquet", "parquet", "Files of this kind")
    arrow = import_extra("pyarrow", "parquet", "Files of this kind")
    try:
        number = 0
        for batch in parquet.ParquetFile(stream).iter_batches(batch_size=CHUNK_ROWS):
            for data in batch.to_pylist():
                number += 1
                yield Row(number, {key: _without_nulls(value) for key, value in data.items()})
    except (arrow.ArrowException, OSError) as error:
        raise _damaged(log, "a parquet file", error) from error


def _without_nulls(value: Any) -> Any:
    """Leave out what is null inside: there, every object has the keys of all."""
    if is_object(value):
        return {k: _without_nulls(v) for k, v in value.items() if v is not None}
    if is_list(value):
        return [_without_nulls(item) for item in value]
    return value


def _damaged(log: ReadIssues, what: str, error: Exception) -> DatasetError:
    return DatasetError(
        f"This is not {what}, or it is damaged: {str(error).rstrip('.')}.",
        file=log.file,
        remedy="Save it again, or as CSV.",
    )
