"""Base of sources of rows, which are read in chunks."""

from collections.abc import AsyncGenerator, Generator
from contextlib import closing
from itertools import islice
from pathlib import Path

import anyio.to_thread

__all__ = ["CHUNK_ROWS", "NumberedRow", "RowSource", "read_in_threads"]

NumberedRow = tuple[int, object]
"""Line or position, counting from 1, and its content; a `DatasetError` for an unreadable line."""

CHUNK_ROWS = 64
"""Enough to make threads cheap, few enough to keep memory flat."""


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


async def read_in_threads(rows: Generator[NumberedRow]) -> AsyncGenerator[list[NumberedRow]]:
    """Read chunks of rows in threads."""

    def next_chunk() -> list[NumberedRow]:
        return list(islice(rows, CHUNK_ROWS))

    with closing(rows):  # which closes its file
        while chunk := await anyio.to_thread.run_sync(next_chunk):
            yield chunk
