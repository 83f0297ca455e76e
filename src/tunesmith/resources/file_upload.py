"""Sending a file of any size: plain or in parts, again after a crash, and not twice."""

import hashlib
import mimetypes
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Literal, TypeVar

import anyio
import anyio.to_thread
from pydantic import BaseModel, ValidationError

from tunesmith.calls.caller import Caller
from tunesmith.errors import (
    APIError,
    BadRequestError,
    ConflictError,
    InvalidRequestError,
    InvalidResponseError,
    NotFoundError,
)
from tunesmith.operations.base import Operation
from tunesmith.operations.files import CreateFile, DownloadFile, FileSource, ListFiles
from tunesmith.operations.uploads import CompleteUpload, CreateUpload, CreateUploadPart
from tunesmith.resources.pages import AsyncPaginator
from tunesmith.types.files import FileObject

__all__ = ["PART_BYTES", "FileUpload"]

A = TypeVar("A")

PART_BYTES = 64_000_000
"""The service takes parts of up to 64 MB."""

_CHUNK_BYTES = 1024 * 1024
_MAX_COMPARED_FILES = 3
"""So many files of the same size are compared; more would cost more than sending it anew."""

Purpose = Literal["assistants", "batch", "fine-tune", "vision"]


class _UploadState(BaseModel):
    """What is known of an unfinished upload: the content of the file beside the file."""

    upload_id: str
    size_bytes: int
    modified_ns: int
    purpose: str
    part_bytes: int
    part_ids: dict[int, str] = {}


class FileUpload:
    """One file on its way to the service.

    Args:
        caller: Makes the calls.
        path: The file.
        purpose: What it is for.
        filename: The name that the service shall keep; the path's by default.
        part_bytes: Above this size the file goes in parts of this size.
        concurrency: How many parts are sent at the same time.
        progress: Called with the bytes that were sent and the bytes in all.

    Raises:
        InvalidRequestError: The file cannot be read, or a number is out of range.
    """

    def __init__(
        self,
        caller: Caller,
        path: str | os.PathLike[str],
        *,
        purpose: Purpose,
        filename: str | None = None,
        part_bytes: int = PART_BYTES,
        concurrency: int = 4,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        self._caller = caller
        self._path = Path(path)
        self._purpose: Purpose = purpose
        self._filename = filename or self._path.name
        self._part_bytes = part_bytes
        self._concurrency = concurrency
        self._progress = progress
        self._sent: dict[int, int] = {}
        self._writing = anyio.Lock()
        self._deadline = caller.deadline("files.upload")
        if not 0 < part_bytes <= PART_BYTES:
            raise InvalidRequestError(
                f"part_bytes must be from 1 to {PART_BYTES}, not {part_bytes}", param="part_bytes"
            )
        if concurrency < 1:
            raise InvalidRequestError(
                f"concurrency must be 1 or more, not {concurrency}", param="concurrency"
            )
        try:
            status = self._path.stat()
        except OSError as error:
            raise InvalidRequestError(
                f"{path} cannot be read: {error.strerror}", param="path"
            ) from None
        if self._path.is_dir():
            raise InvalidRequestError(f"{path} is a directory, not a file", param="path")
        self._size_bytes = status.st_size
        self._modified_ns = status.st_mtime_ns
        self._notes = self._path.with_name(f".{self._path.name}.tunesmith-upload.json")

    async def find_duplicate(self) -> FileObject | None:
        """Look for a file of the same purpose, size and content at the service."""
        compared = 0
        listing = ListFiles(purpose=self._purpose)
        async for file in AsyncPaginator(self._caller, listing, deadline=self._deadline):
            if file.bytes != self._size_bytes or file.purpose != self._purpose:
                continue
            if file.status == "error":
                continue
            if await self._is_identical(file):
                await self._delete_state()
                self._report(0, self._size_bytes)
                return file
            compared += 1
            if compared == _MAX_COMPARED_FILES:
                break
        return None

    async def _is_identical(self, file: FileObject) -> bool:
        content = self._caller.stream(DownloadFile(file.id), deadline=self._deadline)
        try:
            async with content as chunks, await anyio.open_file(self._path, "rb") as ours:
                async for chunk in chunks:
                    if await ours.read(len(chunk)) != chunk:
                        return False
                return not await ours.read(1)
        except APIError:
            return False  # some purposes cannot be downloaded; and it can always be sent again

    async def send(self) -> FileObject:
        """Send the file, plain or in parts."""
        if self._size_bytes <= self._part_bytes:
            source = self._slice(0, self._size_bytes)
            return await self._answer(CreateFile(file=source, purpose=self._purpose))
        notes = await self._load_state()
        if notes is not None:
            try:
                return await self._send_parts(notes)
            except (BadRequestError, ConflictError, NotFoundError):
                pass  # the unfinished upload has expired or was cancelled: begin anew
        return await self._send_parts(await self._begin())

    async def _answer(self, operation: Operation[A]) -> A:
        return await self._caller.call(operation, deadline=self._deadline)

    async def _begin(self) -> _UploadState:
        upload = await self._answer(
            CreateUpload(
                bytes=self._size_bytes,
                filename=self._filename,
                mime_type="text/jsonl"
                if self._filename.endswith(".jsonl")
                else mimetypes.guess_type(self._filename)[0] or "application/octet-stream",
                purpose=self._purpose,
            )
        )
        return _UploadState(
            upload_id=upload.id,
            size_bytes=self._size_bytes,
            modified_ns=self._modified_ns,
            purpose=self._purpose,
            part_bytes=self._part_bytes,
        )

    async def _send_parts(self, notes: _UploadState) -> FileObject:
        limiter = anyio.CapacityLimiter(self._concurrency)
        errors: list[Exception] = []
        checksum = hashlib.md5(usedforsecurity=False)  # what the service compares

        async def send_part(index: int) -> None:
            begin = index * notes.part_bytes
            size_bytes = min(notes.part_bytes, self._size_bytes - begin)
            async with limiter:
                part = await self._answer(
                    CreateUploadPart(notes.upload_id, data=self._slice(begin, size_bytes))
                )
                notes.part_ids[index] = part.id
                await self._save_state(notes)

        async def attempt(work: Callable[[], Awaitable[None]]) -> None:
            try:
                await work()
            except Exception as error:  # noqa: BLE001 - raised below, as itself and not in a group
                errors.append(error)
                group.cancel_scope.cancel()

        count = -(-self._size_bytes // notes.part_bytes)
        async with anyio.create_task_group() as group:
            group.start_soon(attempt, partial(self._digest, checksum.update))
            for index in range(count):
                if index in notes.part_ids:
                    self._report(index * notes.part_bytes, notes.part_bytes)
                else:
                    group.start_soon(attempt, partial(send_part, index))
        if errors:
            raise errors[0]
        completed = await self._answer(
            CompleteUpload(
                notes.upload_id,
                part_ids=[notes.part_ids[index] for index in range(count)],
                md5=checksum.hexdigest(),
            )
        )
        await self._delete_state()
        if completed.file is None:
            raise InvalidResponseError(
                f"upload {notes.upload_id} is {completed.status}, but its file is not named",
                operation="uploads.complete",
            )
        return completed.file

    async def _digest(self, update: Callable[[bytes], None]) -> None:
        async with await anyio.open_file(self._path, "rb") as file:
            while chunk := await file.read(_CHUNK_BYTES):
                await anyio.to_thread.run_sync(update, chunk)

    def _slice(self, begin: int, size_bytes: int) -> FileSource:
        async def opened() -> AsyncIterator[bytes]:
            self._sent[begin] = 0  # an attempt begins anew
            left = size_bytes
            async with await anyio.open_file(self._path, "rb") as file:
                await file.seek(begin)
                while left:
                    chunk = await file.read(min(left, _CHUNK_BYTES))
                    if not chunk:
                        raise InvalidRequestError(
                            f"{self._path} got shorter while it was being sent"
                        )
                    left -= len(chunk)
                    yield chunk
                    self._report(begin, size_bytes - left)

        return FileSource(self._filename, opened, "application/octet-stream", size_bytes)

    def _report(self, begin: int, sent_bytes: int) -> None:
        self._sent[begin] = sent_bytes
        if self._progress is not None:
            self._progress(min(sum(self._sent.values()), self._size_bytes), self._size_bytes)

    async def _load_state(self) -> _UploadState | None:
        """Read what an earlier call noted, if it was about this very file."""
        try:
            notes = _UploadState.model_validate_json(await anyio.Path(self._notes).read_bytes())
        except (OSError, ValidationError):
            return None
        same = (
            notes.size_bytes == self._size_bytes
            and notes.modified_ns == self._modified_ns
            and notes.purpose == self._purpose
        )
        return notes if same else None

    async def _delete_state(self) -> None:
        """Remove the notes of an upload that is done."""
        with suppress(OSError):
            await anyio.Path(self._notes).unlink()

    async def _save_state(self, notes: _UploadState) -> None:
        beside = anyio.Path(self._notes.with_suffix(".part"))
        # Shielded, so that no part that has arrived is forgotten, and nothing is left half-written;
        # one at a time, since all write the same file. Without the right to write here, an upload
        # cannot go on after a crash, but it can be.
        with anyio.CancelScope(shield=True), suppress(OSError):
            async with self._writing:
                await beside.write_bytes(notes.model_dump_json().encode())
                await beside.replace(self._notes)
