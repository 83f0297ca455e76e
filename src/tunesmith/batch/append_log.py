"""Append-only files of JSON lines that stay complete through any crash."""

import os
from collections.abc import Generator
from os import PathLike, fspath
from typing import Any, NamedTuple

from pydantic_core import from_json

from tunesmith._json_types import is_object
from tunesmith.errors import DatasetError

__all__ = ["AppendOnlyJsonl", "LogLine", "read_line"]

_MODE = 0o644


class LogLine(NamedTuple):
    """Line of a file.

    Attributes:
        offset: Its offset in bytes.
        length: Its length in bytes, including the line break.
        data: Its object.
    """

    offset: int
    length: int
    data: dict[str, Any]


class AppendOnlyJsonl:
    """Append-only file of JSON lines.

    Added lines survive the death of the process at once, and a power loss after `sync`.

    Args:
        path: The file; it is created if it does not exist.

    Raises:
        DatasetError: It cannot be opened.
    """

    def __init__(self, path: str | PathLike[str]) -> None:
        self.path = fspath(path)
        try:
            flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0)
            self.descriptor = os.open(self.path, flags, _MODE)
        except OSError as error:
            raise self._problem("opened", error) from error
        self.size = os.lseek(self.descriptor, 0, os.SEEK_END)
        self.is_synced = True

    def add(self, line: bytes) -> int:
        """Append a line and return its offset, or leave the file unchanged.

        Raises:
            DatasetError: The disk is full, or the file cannot be written.
        """
        position = self.size
        self.is_synced = False
        try:
            written = os.write(self.descriptor, line)
            while written < len(line):
                written += os.write(self.descriptor, line[written:])
        except OSError as error:
            self._truncate(position)
            raise self._problem("written", error) from error
        self.size += len(line)
        return position

    def sync(self) -> None:
        """Make added lines safe from a power loss; blocks.

        Raises:
            DatasetError: The disk is full, or broken.
        """
        if self.is_synced:
            return
        self.is_synced = True  # lines added meanwhile reset it
        try:
            os.fsync(self.descriptor)
        except OSError as error:
            self.is_synced = False
            raise self._problem("written", error) from error

    def recover(self) -> Generator[LogLine]:
        """Yield all lines, and cut off a torn last one.

        Raises:
            DatasetError: A line in the middle is damaged.
        """
        torn: tuple[int, int] | None = None
        offset = 0
        with open(self.descriptor, "rb", closefd=False) as stream:
            stream.seek(0)
            for number, raw in enumerate(stream, 1):
                data = read_line(raw)
                if data is None:
                    torn = torn or (number, offset)
                elif torn is not None:
                    raise DatasetError(
                        "This line is damaged, and other lines follow it.",
                        file=self.path,
                        line=torn[0],
                        remedy="Remove it: its row will be resent.",
                    )
                else:
                    yield LogLine(offset, len(raw), data)
                offset += len(raw)
        if torn is not None:
            self._truncate(torn[1])
        os.lseek(self.descriptor, self.size, os.SEEK_SET)

    def read(self, offset: int, length: int) -> bytes:
        """Return bytes of the file."""
        os.lseek(self.descriptor, offset, os.SEEK_SET)
        try:
            chunks: list[bytes] = []
            while length and (chunk := os.read(self.descriptor, length)):
                chunks.append(chunk)
                length -= len(chunk)
            return b"".join(chunks)
        finally:
            os.lseek(self.descriptor, self.size, os.SEEK_SET)

    def clear(self) -> None:
        """Remove all lines."""
        self._truncate(0)

    def close(self) -> None:
        """Close the file."""
        os.close(self.descriptor)

    def _truncate(self, size: int) -> None:
        os.ftruncate(self.descriptor, size)
        self.size = os.lseek(self.descriptor, size, os.SEEK_SET)
        self.is_synced = False

    def _problem(self, verb: str, error: OSError) -> DatasetError:
        return DatasetError(
            f"The file cannot be {verb}: {error.strerror or error}.",
            file=self.path,
            remedy="No finished row is lost: fix this, and resume.",
        )


def read_line(raw: bytes) -> dict[str, Any] | None:
    """Return the object of a line; None if it is torn or damaged."""
    if not raw.endswith(b"\n"):
        return None
    try:
        data: Any = from_json(raw)
    except ValueError:
        return None
    return data if is_object(data) else None
