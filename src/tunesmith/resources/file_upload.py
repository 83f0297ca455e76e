"""Upload of a file of any size: in parts if it is large, resumable, and without duplicates."""

import hashlib
import mimetypes
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Literal, TypeVar

import anyio
import anyio.to_thread
from pydantic import BaseModel, ValidationError

from tunesmith._atomic import write_atomic
from tunesmith.calls.caller import Caller
from tunesmith.errors import (
    APIError,
    BadRequestError,
    ConflictError,
    InvalidRequestError,
    InvalidResponseError,
    NotFoundError,
    UnknownOutcomeError,
)
from tunesmith.operations.base import Operation
from tunesmith.operations.files import CreateFile, DownloadFile, FileSource, ListFiles
from tunesmith.operations.uploads import CompleteUpload, CreateUpload, CreateUploadPart
from tunesmith.protocol.file_input import to_readable_path
from tunesmith.resources.pages import AsyncPaginator
from tunesmith.types.files import FileObject

__all__ = ["PART_BYTES", "FileUpload"]

A = TypeVar("A")

PART_BYTES = 64_000_000
"""Maximum size of a part."""

_CHUNK_BYTES = 1024 * 1024
_MAX_COMPARED_FILES = 3
"""Comparing more files of the same size would cost more than another upload."""

Purpose = Literal["assistants", "batch", "fine-tune", "vision"]


class _UploadState(BaseModel):
    """State of an unfinished upload, saved in a file beside the uploaded one."""

    upload_id: str
    size_bytes: int
    modified_ns: int
    purpose: str
    part_bytes: int
    part_ids: dict[int, str] = {}


class FileUpload:
    """Upload of one file.

    Args:
        caller: The caller.
        path: The file.
        purpose: Purpose of the file.
        filename: File name to store; the path's by default.
        part_bytes: Size above which the file is uploaded in parts of this size.
        concurrency: Number of parts to upload concurrently.
        progress: Function called with the number of bytes sent and the total.

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
        self._path, status = to_readable_path(path, param="path")
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
        self._size_bytes = status.st_size
        self._modified_ns = status.st_mtime_ns
        self._state_path = self._path.with_name(f".{self._path.name}.tunesmith-upload.json")

    async def find_duplicate(self) -> FileObject | None:
        """Find an uploaded file of the same purpose, size and content, newest first."""
        compared = 0
        listing = ListFiles(purpose=self._purpose, order="desc")
        async for file in AsyncPaginator(self._caller, listing, deadline=self._deadline):
            if (file.bytes, file.purpose) != (self._size_bytes, self._purpose):
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
            return False  # some purposes cannot be downloaded

    async def send(self) -> FileObject:
        """Upload the file, in parts if it is large."""
        if self._size_bytes <= self._part_bytes:
            source = self._slice(0, self._size_bytes)
            return await self._call(CreateFile(file=source, purpose=self._purpose))
        state = await self._load_state()
        if state is not None:
            try:
                return await self._send_parts(state)
            except (BadRequestError, ConflictError, NotFoundError, UnknownOutcomeError):
                pass  # the unfinished upload has expired or was cancelled
        return await self._send_parts(await self._begin())

    async def _call(self, operation: Operation[A]) -> A:
        return await self._caller.call(operation, deadline=self._deadline)

    async def _begin(self) -> _UploadState:
        upload = await self._call(
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

    async def _send_parts(self, state: _UploadState) -> FileObject:
        limiter = anyio.CapacityLimiter(self._concurrency)
        errors: list[Exception] = []
        checksum = hashlib.md5(usedforsecurity=False)  # required by the API

        async def send_part(index: int) -> None:
            begin = index * state.part_bytes
            size_bytes = min(state.part_bytes, self._size_bytes - begin)
            async with limiter:
                part = await self._call(
                    CreateUploadPart(state.upload_id, data=self._slice(begin, size_bytes))
                )
                state.part_ids[index] = part.id
                await self._save_state(state)

        async def attempt(work: Callable[[], Awaitable[None]]) -> None:
            try:
                await work()
            except Exception as error:  # noqa: BLE001 - raised below, without a group
                errors.append(error)
                group.cancel_scope.cancel()

        count = -(-self._size_bytes // state.part_bytes)
        async with anyio.create_task_group() as group:
            group.start_soon(attempt, partial(self._digest, checksum.update))
            for index in range(count):
                if index in state.part_ids:
                    self._report(index * state.part_bytes, state.part_bytes)
                else:
                    group.start_soon(attempt, partial(send_part, index))
        if errors:
            raise errors[0]
        self._check_unchanged()
        try:
            completed = await self._call(
                CompleteUpload(
                    state.upload_id,
                    part_ids=[state.part_ids[index] for index in range(count)],
                    md5=checksum.hexdigest(),
                )
            )
        except APIError as error:
            # This attempt or an earlier one, perhaps of another process, may have succeeded.
            file = None
            with suppress(APIError):
                file = await self.find_duplicate()
            if file is None:
                raise error from None
            return file
        await self._delete_state()
        if completed.file is None:
            raise InvalidResponseError(
                f"upload {state.upload_id} is {completed.status}, but the response lacks its file",
                operation="uploads.complete",
            )
        return completed.file

    async def _digest(self, update: Callable[[bytes], None]) -> None:
        async with await anyio.open_file(self._path, "rb") as file:
            while chunk := await file.read(_CHUNK_BYTES):
                await anyio.to_thread.run_sync(update, chunk)

    def _slice(self, begin: int, size_bytes: int) -> FileSource:
        async def opened() -> AsyncIterator[bytes]:
            self._check_unchanged()
            self._sent[begin] = 0  # of this attempt
            left = size_bytes
            async with await anyio.open_file(self._path, "rb") as file:
                await file.seek(begin)
                while left:
                    chunk = await file.read(min(left, _CHUNK_BYTES))
                    if len(chunk) == left or not chunk:
                        # Before the last chunk, so that the request is not completed.
                        self._check_unchanged()
                    if not chunk:  # but the size of the file is unchanged
                        raise InvalidRequestError(f"{self._path} ended early")
                    left -= len(chunk)
                    yield chunk
                    self._report(begin, size_bytes - left)

        return FileSource(self._filename, opened, "application/octet-stream", size_bytes)

    def _check_unchanged(self) -> None:
        try:
            status = self._path.stat()
        except OSError as error:
            raise InvalidRequestError(f"{self._path} cannot be read: {error.strerror}") from None
        if (status.st_size, status.st_mtime_ns) != (self._size_bytes, self._modified_ns):
            raise InvalidRequestError(f"{self._path} changed while it was being uploaded")

    def _report(self, begin: int, sent_bytes: int) -> None:
        self._sent[begin] = sent_bytes
        if self._progress is not None:
            self._progress(min(sum(self._sent.values()), self._size_bytes), self._size_bytes)

    async def _load_state(self) -> _UploadState | None:
        """Load the state of an earlier call, if the file has not changed since."""
        try:
            content = await anyio.Path(self._state_path).read_bytes()
            state = _UploadState.model_validate_json(content)
        except (OSError, ValidationError):
            return None
        described = (state.size_bytes, state.modified_ns, state.purpose)
        return state if described == (self._size_bytes, self._modified_ns, self._purpose) else None

    async def _delete_state(self) -> None:
        """Remove the state of a completed upload."""
        with suppress(OSError):
            await anyio.Path(self._state_path).unlink()

    async def _save_state(self, state: _UploadState) -> None:
        # Shielded, so that no uploaded part is forgotten. Without permission to write here, an
        # upload is merely not resumable.
        with anyio.CancelScope(shield=True), suppress(OSError):
            async with self._writing:
                content = state.model_dump_json()
                await anyio.to_thread.run_sync(write_atomic, self._state_path, content)
