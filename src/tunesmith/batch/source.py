"""Sources of rows: files, tables and iterables, read in chunks."""

from collections.abc import AsyncGenerator, AsyncIterable, Generator, Iterable, Sized
from contextlib import AsyncExitStack, closing
from itertools import islice
from os import PathLike
from pathlib import Path
from typing import Any, Protocol, TypeVar, cast

import anyio.lowlevel
import anyio.to_thread

from tunesmith._extras import import_extra
from tunesmith.datasets.read import DataFile, ReadIssues, read
from tunesmith.errors import DatasetError

__all__ = ["NumberedRow", "RowSource", "Source", "SupportsArrowStream", "open_source"]

T = TypeVar("T")

NumberedRow = tuple[int, object]
"""Line or position, counting from 1, and its content; a `DatasetError` for an unreadable line."""

_CHUNK_ROWS = 64
"""Enough to make threads cheap, few enough to keep memory flat."""

_COMPRESSED_SUFFIXES = {".gz", ".zst"}
_CHUNK_BYTES = 1 << 20


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


class RowSource:
    """Rows of a source.

    Attributes:
        name: Name of the source in messages; None if it is not a file.
        path: Path of the file; None if it is not a file.
    """

    name: str | None = None
    path: Path | None = None

    def count_rows(self) -> int | None:
        """Count the rows; None if that would be slow. Blocks."""
        return None

    def chunks(self) -> AsyncGenerator[list[NumberedRow]]:
        """Read all rows in chunks, in flat memory."""
        raise NotImplementedError


def open_source(source: Source) -> RowSource:
    """Choose how to read a source, without reading it.

    Raises:
        DatasetError: The file does not exist, or its format is unknown.
        ConfigurationError: An extra is not installed.
    """
    if isinstance(source, str | PathLike):
        return _FileRows(_file(source))
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


def _file(path: str | PathLike[str]) -> DataFile:
    try:
        return DataFile(path)
    except DatasetError as error:
        raise DatasetError(
            error.message,
            file=error.file,
            remedy="Rename it to .jsonl, .csv, .tsv, .xlsx, .parquet, .json or .txt; pass texts "
            "as a list.",
        ) from None


class _BrokenLines(ReadIssues):
    """Errors of unreadable lines: each is a row that fails."""

    def __init__(self, file: str) -> None:
        super().__init__(file)
        self._found: list[DatasetError] = []

    def drain(self) -> Generator[NumberedRow]:
        for problem in self._found:
            yield problem.line or 0, problem
        self._found.clear()

    def broken_line(
        self,
        line: int,
        message: str,
        *,
        excerpt: object = None,
        field: str | None = None,
        hint: str = "",
    ) -> None:
        self._found.append(self.make_error(line, message, excerpt=excerpt, field=field, hint=hint))


class _FileRows(RowSource):
    def __init__(self, file: DataFile) -> None:
        if file.path is not None and not file.path.is_file():
            with file.open():  # raises the reason
                pass
        self._file = file
        self.name = file.name
        self.path = file.path

    def count_rows(self) -> int | None:
        """Count the lines of a plain file of lines."""
        path = self._file.path
        if (
            path is None
            or self._file.kind not in {"jsonl", "txt"}
            or path.suffix in _COMPRESSED_SUFFIXES
        ):
            return None
        count, last = 0, b"\n"
        with path.open("rb") as stream:
            while chunk := stream.read(_CHUNK_BYTES):
                count += chunk.count(b"\n")
                last = chunk[-1:]
        return count + (last != b"\n")

    def chunks(self) -> AsyncGenerator[list[NumberedRow]]:
        return _in_threads(self._rows())

    def _rows(self) -> Generator[NumberedRow]:
        file = self._file
        if file.path is not None and not file.path.stat().st_size:
            return  # an empty file has no rows
        log = _BrokenLines(file.name)
        for line, data in read(file, log):
            yield from log.drain()
            yield line, data["completion"].rstrip() if file.kind == "txt" else data
        yield from log.drain()


class _TableRows(RowSource):
    def __init__(self, table: SupportsArrowStream) -> None:
        self._table = table
        self._arrow = import_extra("pyarrow", "parquet", "Tables")

    def count_rows(self) -> int | None:
        """Count the rows of a table with a length."""
        return len(self._table) if isinstance(self._table, Sized) else None

    def chunks(self) -> AsyncGenerator[list[NumberedRow]]:
        return _in_threads(self._rows())

    def _rows(self) -> Generator[NumberedRow]:
        number = 0
        for batch in self._arrow.RecordBatchReader.from_stream(self._table):
            for start in range(0, batch.num_rows, _CHUNK_ROWS):
                for data in batch.slice(start, _CHUNK_ROWS).to_pylist():
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
        while chunk := list(islice(numbered, _CHUNK_ROWS)):
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


async def _in_threads(rows: Generator[NumberedRow]) -> AsyncGenerator[list[NumberedRow]]:
    def next_chunk() -> list[NumberedRow]:
        return list(islice(rows, _CHUNK_ROWS))

    with closing(rows):  # which closes its file
        while chunk := await anyio.to_thread.run_sync(next_chunk):
            yield chunk
