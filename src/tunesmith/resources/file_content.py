"""The content of a file: read whole, in chunks, or written to disk."""

import os
import secrets
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import anyio

from tunesmith.calls.caller import Caller
from tunesmith.calls.deadline import Deadline
from tunesmith.calls.open_response import OpenResponse
from tunesmith.errors import APIStatusError, APITimeoutError, StreamInterruptedError
from tunesmith.operations.base import Operation

__all__ = ["FileContent"]


class FileContent:
    """The content of a file, not asked for yet.

    Args:
        caller: Makes the calls.
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

    async def read(self) -> bytes:
        """Download the content whole, into memory."""
        return await self._caller.call(self._operation)

    async def text(self, encoding: str = "utf-8") -> str:
        """Download the content whole, as text."""
        return (await self.read()).decode(encoding)

    @asynccontextmanager
    async def stream(self) -> AsyncGenerator[AsyncIterator[bytes]]:
        """Download the content in chunks, as they come.

        Raises:
            StreamInterruptedError: The download broke off.
        """
        async with self._caller.stream(self._operation) as received:
            yield received

    async def write_to(self, path: str | os.PathLike[str]) -> Path:
        """Download the content to a file; a broken download goes on where the server allows it.

        The file appears when it is whole, and replaces one that is there; until then the content
        is in a hidden file beside it, which is removed if the download fails.

        Args:
            path: Where to write.

        Returns:
            The path.

        Raises:
            StreamInterruptedError: The download broke off again and again without getting further.
            OSError: The file cannot be written.
        """
        target = Path(path)
        part = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
        deadline = self._caller.deadline(self._operation.spec.name)
        try:
            async with await anyio.open_file(part, "xb") as file:
                await self._download(file, deadline)
            await anyio.Path(part).replace(target)
        finally:
            with anyio.CancelScope(shield=True), suppress(FileNotFoundError):
                await anyio.Path(part).unlink()
        return target

    async def _download(self, file: anyio.AsyncFile[bytes], deadline: Deadline) -> None:
        retry = self._caller.policy.retry
        failures = 0
        etag: str | None = None
        while True:
            begin = await file.tell()
            # Ranges count the bytes that are sent: of packed ones it is not known where to go on.
            headers = {"accept-encoding": "identity"}
            if begin:
                headers["range"] = f"bytes={begin}-"
            if begin and etag:
                headers["if-range"] = etag
            try:
                async with self._caller.stream(
                    self._operation, headers=headers, deadline=deadline
                ) as received:
                    etag = received.info.headers.get("etag")
                    await _append(file, received, begin)
                    return
            except (StreamInterruptedError, APITimeoutError):
                failures = 1 if await file.tell() > begin else failures + 1
                if failures > retry.max_retries:
                    raise
            except APIStatusError as error:
                if _is_whole(error, begin):
                    return
                raise
            await deadline.sleep(retry.initial_s, activity="waiting to go on with the download")


async def _append(file: anyio.AsyncFile[bytes], received: OpenResponse, begin: int) -> None:
    if begin and not _continues(received, begin):
        # The server sends the whole again, because it knows no ranges or the file has changed.
        await file.seek(0)
        await file.truncate()
    async for chunk in received:
        await file.write(chunk)


def _is_whole(error: APIStatusError, size_bytes: int) -> bool:
    """Whether a range was refused because nothing is left: only the end of the answer was lost."""
    content_range = error.headers.get("content-range", "")
    return error.status == 416 and content_range == f"bytes */{size_bytes}"  # noqa: PLR2004


def _continues(received: OpenResponse, begin: int) -> bool:
    content_range = received.info.headers.get("content-range", "")
    return received.info.status == 206 and content_range.startswith(f"bytes {begin}-")  # noqa: PLR2004
