"""Content of a file: read whole, in chunks, or written to disk."""

import os
import re
import secrets
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio

from tunesmith._lazy import missing_attribute
from tunesmith.calls.caller import Caller
from tunesmith.calls.deadline import Deadline
from tunesmith.calls.open_response import OpenResponse, check_whole
from tunesmith.errors import APIStatusError, APITimeoutError, StreamInterruptedError
from tunesmith.operations.base import Operation

__all__ = ["FileContent"]

_CONTENT_RANGE = re.compile(r"bytes (?:(\d{1,18})-(\d{1,18})|\*)/(?:(\d{1,18})|\*)", re.ASCII)


class FileContent:
    """Content of a file, requested only when it is read.

    Args:
        caller: The caller.
        operation: The download.

    Example:
        ```python
        content = client.files.content(file.id)
        async with content.stream() as chunks:
            async for chunk in chunks:
                print(len(chunk))
        ```
    """

    def __init__(self, caller: Caller, operation: Operation[bytes]) -> None:
        self._caller = caller
        self._operation = operation

    if not TYPE_CHECKING:  # type checkers report both themselves

        def __await__(self) -> Any:
            raise TypeError(
                "files.content(…) is not awaited itself: write await client.files.content(…).read()"
            )

        def __getattr__(self, name: str) -> Any:
            raise missing_attribute(self, ("file",), name)

    async def read(self) -> bytes:
        """Download the content into memory."""
        return await self._caller.call(self._operation)

    async def text(self, encoding: str = "utf-8") -> str:
        """Download the content into memory as text."""
        return (await self.read()).decode(encoding)

    @asynccontextmanager
    async def stream(self) -> AsyncGenerator[AsyncIterator[bytes]]:
        """Download the content in chunks.

        Raises:
            StreamInterruptedError: The download ended early.
            InvalidResponseError: The service sent only a part.
        """
        async with self._caller.stream(self._operation) as received:
            check_whole(self._operation.spec.name, received.info)
            yield received

    async def write_to(self, path: str | os.PathLike[str]) -> Path:
        """Download the content to a file, and resume interrupted downloads if the server allows it.

        The file appears, or is replaced, when the download is complete. Until then the content is
        in a hidden file beside it, which is removed if the download fails.

        Args:
            path: Where to write.

        Returns:
            The path.

        Raises:
            StreamInterruptedError: The download was interrupted repeatedly without progress, or
                another file was sent when it was resumed.
            InvalidResponseError: The service sent only a part, although all was requested.
            OSError: The file cannot be written.
        """
        target = Path(path)
        part = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
        deadline = self._caller.deadline(self._operation.spec.name)
        try:
            async with await anyio.open_file(part, "xb") as file:
                await _Download(self._caller, self._operation, file, deadline).run()
            await anyio.Path(part).replace(target)
        finally:
            with anyio.CancelScope(shield=True), suppress(FileNotFoundError):
                await anyio.Path(part).unlink()
        return target


class _Download:
    """Download that is resumed by range requests, as long as the server has the same file."""

    def __init__(
        self,
        caller: Caller,
        operation: Operation[bytes],
        file: anyio.AsyncFile[bytes],
        deadline: Deadline,
    ) -> None:
        self._caller = caller
        self._operation = operation
        self._file = file
        self._deadline = deadline
        self._validator: str | None = None
        self._version: dict[str, str] = {}
        self._total_bytes: int | None = None
        self._restarts = 0

    async def run(self) -> None:
        retry = self._caller.policy.retry
        failures = 0
        while True:
            position = await self._file.tell()
            try:
                await self._receive(position)
            except (StreamInterruptedError, APITimeoutError):
                failures = 1 if await self._file.tell() > position else failures + 1
                if max(failures, self._restarts) > retry.max_retries:
                    raise
                await self._deadline.sleep(retry.initial_s, activity="waiting to resume")
            else:
                return

    async def _receive(self, position: int) -> None:
        # Ranges count encoded bytes, so compressed content could not be resumed.
        headers = {"accept-encoding": "identity"}
        if position:
            headers["range"] = f"bytes={position}-"
            if self._validator is not None:
                headers["if-range"] = self._validator
        try:
            async with self._caller.stream(
                self._operation, headers=headers, deadline=self._deadline
            ) as received:
                if position:
                    await self._check_range(received, position)
                else:
                    check_whole(self._operation.spec.name, received.info)
                    self._note_file(received)
                async for chunk in received:
                    await self._file.write(chunk)
                size_bytes = await self._file.tell()
                if self._total_bytes not in (None, size_bytes):
                    if size_bytes > (self._total_bytes or 0):
                        await self._start_over()
                    raise received.interrupted(f"{size_bytes} of {self._total_bytes} bytes arrived")
        except APIStatusError as error:
            if not self._is_complete(error, position):
                raise

    def _note_file(self, received: OpenResponse) -> None:
        headers = received.info.headers
        self._version = _version(received)
        etag = headers.get("etag")
        # Weak validators do not promise equal bytes.
        strong_etag = etag if etag and not etag.startswith("W/") else None
        self._validator = strong_etag or headers.get("last-modified")
        length = headers.get("content-length", "")
        is_encoded = headers.get("content-encoding", "identity") != "identity"
        self._total_bytes = int(length) if length.isdecimal() and not is_encoded else None

    async def _check_range(self, received: OpenResponse, position: int) -> None:
        """Start over if the server sends another range, or the whole file, or another file."""
        content_range = _CONTENT_RANGE.fullmatch(received.info.headers.get("content-range", ""))
        begin, _, total = content_range.groups() if content_range else (None, None, None)
        is_partial = received.info.status == 206  # noqa: PLR2004
        total_bytes = int(total) if total else self._total_bytes
        # Some servers ignore `if-range`.
        version = _version(received)
        is_same = total_bytes == (self._total_bytes or total_bytes) and all(
            self._version.get(name, value) == value for name, value in version.items()
        )
        if is_partial and begin == str(position) and is_same:
            self._total_bytes = total_bytes
            return
        await self._start_over()
        if is_partial:
            raise received.interrupted("the file at the service has changed")
        self._note_file(received)

    async def _start_over(self) -> None:
        self._restarts += 1
        await self._file.seek(0)
        await self._file.truncate()

    def _is_complete(self, error: APIStatusError, position: int) -> bool:
        """Return whether a range was refused because only the end of the response was lost."""
        return (
            error.status == 416  # noqa: PLR2004
            and error.headers.get("content-range") == f"bytes */{position}"
            and self._total_bytes in (None, position)
        )


def _version(received: OpenResponse) -> dict[str, str]:
    headers = received.info.headers
    return {name: headers[name] for name in ("etag", "last-modified") if name in headers}
