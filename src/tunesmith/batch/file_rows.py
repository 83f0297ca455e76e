"""Rows of files."""

from collections.abc import AsyncGenerator, Generator
from os import PathLike

from tunesmith.batch.row_source import NumberedRow, RowSource, read_in_threads
from tunesmith.datasets.read import DataFile, ReadIssues, read
from tunesmith.errors import DatasetError

__all__ = ["open_file"]

_COMPRESSED_SUFFIXES = {".gz", ".zst"}
_CHUNK_BYTES = 1 << 20
_MAX_COUNTED_TABLE_BYTES = 16 << 20
"""Larger tables take seconds to count: their quoted fields may have line breaks."""


def open_file(path: str | PathLike[str]) -> RowSource:
    """Choose how to read a file, without reading it.

    Raises:
        DatasetError: The file does not exist, or its format is unknown.
    """
    return _FileRows(_file(path))


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
        """Count the lines of a plain file of lines, and the rows of a small table of text."""
        path, kind = self._file.path, self._file.kind
        if path is None or path.suffix in _COMPRESSED_SUFFIXES:
            return None
        if kind in {"csv", "tsv"} and path.stat().st_size <= _MAX_COUNTED_TABLE_BYTES:
            try:
                return sum(1 for _ in self._rows())
            except DatasetError:
                return None  # the job says why when it gets there
        if kind not in {"jsonl", "txt"}:
            return None
        count, last = 0, b"\n"
        with path.open("rb") as stream:
            while chunk := stream.read(_CHUNK_BYTES):
                count += chunk.count(b"\n")
                last = chunk[-1:]
        return count + (last != b"\n")

    def chunks(self) -> AsyncGenerator[list[NumberedRow]]:
        return read_in_threads(self._rows())

    def _rows(self) -> Generator[NumberedRow]:
        file = self._file
        if file.path is not None and not file.path.stat().st_size:
            return  # an empty file has no rows
        log = _BrokenLines(file.name)
        for line, data in read(file, log):
            yield from log.drain()
            yield line, data["completion"].rstrip() if file.kind == "txt" else data
        yield from log.drain()
