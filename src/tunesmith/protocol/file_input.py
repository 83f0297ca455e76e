"""Files as users pass them, opened only when they are sent."""

import mimetypes
import os
import stat
from collections.abc import AsyncIterable, AsyncIterator
from inspect import iscoroutinefunction
from pathlib import Path
from typing import IO, Any, cast

import anyio
import anyio.to_thread

from tunesmith.errors import InvalidRequestError
from tunesmith.operations.files import FileSource

__all__ = ["to_file_source", "to_readable_path"]

_CHUNK_BYTES = 256 * 1024


def to_file_source(value: Any) -> FileSource:
    """Convert a file to a `FileSource`.

    Args:
        value: A path, bytes, a binary file object, an asynchronous iterable of bytes, or a tuple
            `(filename, content)` or `(filename, content, content_type)` of these.

    Raises:
        InvalidRequestError: The value has another type, or the file cannot be read.
    """
    if isinstance(value, FileSource):
        return value
    if isinstance(value, tuple):
        return _from_tuple(value)  # pyright: ignore[reportUnknownArgumentType]
    if isinstance(value, str | os.PathLike):
        return _from_path(cast("str | os.PathLike[str]", value))
    if isinstance(value, bytes | bytearray | memoryview):
        content = bytes(cast("bytes", value))
        return FileSource("upload", content, "application/octet-stream", len(content))
    if isinstance(value, AsyncIterable):
        return _from_async_iterable(cast("AsyncIterable[bytes]", value))
    if callable(getattr(value, "read", None)):
        return _from_file_object(cast("IO[bytes]", value))
    raise InvalidRequestError(
        f"file must be a path, bytes, a file opened with 'rb', an asynchronous iterable of bytes, "
        f"or (filename, content), not {type(value).__name__}",
        param="file",
    )


def _from_tuple(value: tuple[Any, ...]) -> FileSource:
    if len(value) < 2:  # noqa: PLR2004
        raise InvalidRequestError(
            f"file must be (filename, content), not a tuple of {len(value)}", param="file"
        )
    filename, content, *content_type = value
    source = to_file_source(content)
    name = source.filename if filename is None else str(filename)
    return FileSource(
        filename=name,
        content=source.content,
        content_type=content_type[0] if content_type and content_type[0] else _type_of(name),
        length_bytes=source.length_bytes,
        replayable=source.replayable,
    )


def _type_of(filename: str) -> str:
    if filename.endswith(".jsonl"):
        return "application/jsonl"  # unknown to mimetypes
    return mimetypes.guess_type(filename)[0] or "application/octet-stream"


def to_readable_path(value: Any, *, param: str) -> tuple[Path, os.stat_result]:
    """Return the path of a file, and its status.

    Args:
        value: The path as the user passed it.
        param: Parameter with the path, for errors.

    Raises:
        InvalidRequestError: The value is not a path, or the file cannot be read.
    """
    if not isinstance(value, str | os.PathLike):
        raise InvalidRequestError(
            f"{param} must be a path, not {type(value).__name__}", param=param
        )
    path = Path(cast("str | os.PathLike[str]", value))
    try:
        status = path.stat()
    except (OSError, ValueError) as error:  # a NUL is a ValueError
        reason = getattr(error, "strerror", None) or str(error)
        shown = str(path) if str(path).isprintable() else repr(str(path))
        raise InvalidRequestError(f"{shown} cannot be read: {reason}", param=param) from None
    if stat.S_ISDIR(status.st_mode):
        raise InvalidRequestError(f"{path} is a directory, not a file", param=param)
    return path, status


def _from_path(value: str | os.PathLike[str]) -> FileSource:
    path, status = to_readable_path(value, param="file")

    async def opened() -> AsyncIterator[bytes]:
        async with await anyio.open_file(path, "rb") as file:
            sent_bytes = 0
            while chunk := await file.read(_CHUNK_BYTES):
                sent_bytes += len(chunk)
                if sent_bytes >= status.st_size:
                    # Before the last chunk, so that the request is not completed.
                    now = await anyio.Path(path).stat()
                    if (now.st_size, now.st_mtime_ns) != (status.st_size, status.st_mtime_ns):
                        raise InvalidRequestError(f"{path} changed while it was sent", param="file")
                yield chunk

    return FileSource(path.name, opened, _type_of(path.name), status.st_size)


def _from_file_object(file: IO[bytes]) -> FileSource:
    name = getattr(file, "name", None)
    filename = Path(name).name if isinstance(name, str) else "upload"
    if getattr(file, "closed", False):
        raise InvalidRequestError(f"{filename} is closed: open it again", param="file")
    if iscoroutinefunction(file.read):
        raise InvalidRequestError(
            f"{type(file).__name__}.read is asynchronous: pass the file inside of it, such as "
            "upload.file, or its content",
            param="file",
        )
    seekable = hasattr(file, "seekable") and file.seekable()
    start = file.tell() if seekable else None
    length_bytes = None
    if start is not None:
        length_bytes = file.seek(0, os.SEEK_END) - start
        file.seek(start)

    async def opened() -> AsyncIterator[bytes]:
        if start is not None:
            file.seek(start)
        while chunk := await anyio.to_thread.run_sync(file.read, _CHUNK_BYTES):
            if not isinstance(chunk, bytes):  # pyright: ignore[reportUnnecessaryIsInstance]
                raise InvalidRequestError(
                    f"{filename} is opened as text: open it with 'rb'", param="file"
                )
            yield chunk

    replayable = start is not None
    return FileSource(filename, opened, _type_of(filename), length_bytes, replayable=replayable)


def _from_async_iterable(chunks: AsyncIterable[bytes]) -> FileSource:
    async def opened() -> AsyncIterator[bytes]:
        async for chunk in chunks:
            yield chunk

    # An iterator is used up by the first attempt, an iterable can be iterated again.
    replayable = not isinstance(chunks, AsyncIterator)
    return FileSource("upload", opened, "application/octet-stream", None, replayable=replayable)
