"""Sources of rows: files, tables and iterables, read in chunks."""

from collections.abc import AsyncGenerator, AsyncIterable, Generator, Iterable, Sized
from contextlib import AsyncExitStack
from itertools import islice
from os import PathLike
from typing import Any, Protocol, TypeVar, cast

import anyio.lowlevel

from tunesmith._extras import import_extra
from tunesmith.batch.row_source import CHUNK_ROWS, NumberedRow, RowSource, read_in_threads
from tunesmith.errors import DatasetError

__all__ = ["Source", "SupportsArrowStream", "open_source"]

T = TypeVar("T")


class SupportsArrowStream(Protocol):
    """Table that can be read as Arrow: of pandas, polars, pyarrow, DuckDB and others.

    Source: https://arrow.apache.org/docs/format/CDataInterface/PyCapsuleInterface.html
    """

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """Return the table as an Arrow stream."""
        ...


Source = (
    str
    | PathLike[str]
    | SupportsArrowStream
    | Iterable[str | dict[str, Any]]
    | AsyncIterable[str | dict[str, Any]]
)
"""A path (jsonl, csv, tsv, parquet, xlsx, json, txt, also .gz and .zst), a table, or an iterable of
texts or objects, asynchronous or not."""


def open_source(source: Source) -> RowSource:
    """Choose how to read a source, without reading it.

    Raises:
        DatasetError: The file does not exist, or its format is unknown.
        ConfigurationError: An extra is not installed.
    """
    if isinstance(source, str | PathLike):
        # Imported here: other sources need none of `datasets`.
        from tunesmith.batch.file_rows import open_file  # noqa: PLC0415

        return open_file(source)
    if hasattr(source, "__arrow_c_stream__"):
        return _TableRows(cast("SupportsArrowStream", source))
    if isinstance(source, AsyncIterable):
        return _AsyncRows(source)
    if isinstance(source, Iterable):
        return _IterableRows(cast("Iterable[object]", source))
    raise DatasetError(
        f"Rows cannot be read from {type(source).__name__}.",
        remedy="Pass a path, an iterable of texts or objects, or a table.",
    )


class _TableRows(RowSource):
    def __init__(self, table: SupportsArrowStream) -> None:
        self._table = table
        self._arrow = import_extra("pyarrow", "parquet", "Tables")

    def count_rows(self) -> int | None:
        """Count the rows of a table with a length."""
        return len(self._table) if isinstance(self._table, Sized) else None

    def chunks(self) -> AsyncGenerator[list[NumberedRow]]:
        return read_in_threads(self._rows())

    def _rows(self) -> Generator[NumberedRow]:
        number = 0
        for batch in self._arrow.RecordBatchReader.from_stream(self._table):
            for start in range(0, batch.num_rows, CHUNK_ROWS):
                for data in batch.slice(start, CHUNK_ROWS).to_pylist():
                    number += 1
                    yield number, {k: v for k, v in data.items() if v is not None}


class _IterableRows(RowSource):
    def __init__(self, rows: Iterable[object]) -> None:
        self._rows = rows

    def count_rows(self) -> int | None:
        """Count the rows of an iterable with a length."""
        return len(self._rows) if isinstance(self._rows, Sized) else None

    async def chunks(self) -> AsyncGenerator[list[NumberedRow]]:
        # Not in a thread: the iterable may belong to this one.
        numbered = enumerate(self._rows, 1)
        while chunk := list(islice(numbered, CHUNK_ROWS)):
            yield chunk
            await anyio.lowlevel.checkpoint()


class _AsyncRows(RowSource):
    def __init__(self, rows: AsyncIterable[object]) -> None:
        self._rows = rows

    async def chunks(self) -> AsyncGenerator[list[NumberedRow]]:
        # One by one: the next row may take long.
        number = 0
        async with AsyncExitStack() as stack:
            rows = self._rows
            if hasattr(rows, "aclose"):
                stack.push_async_callback(cast("AsyncGenerator[object]", rows).aclose)
            async for data in rows:
                number += 1
                yield [(number, data)]
