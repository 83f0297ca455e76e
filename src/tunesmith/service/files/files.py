"""The room of files."""

from collections.abc import Iterable, Iterator, Sequence
from typing import cast

from pydantic_core import from_json

from tunesmith.clock import VirtualClock
from tunesmith.operations.files import (
    CreateFile,
    DeleteFile,
    DownloadFile,
    ListFiles,
    RetrieveFile,
)
from tunesmith.operations.param_types import ExpiresAfterParam
from tunesmith.service.core.errors import invalid, no_such_file
from tunesmith.service.core.ids import IdGenerator
from tunesmith.service.core.pagination import to_page, validate_limit
from tunesmith.service.core.scheduler import Scheduler
from tunesmith.service.core.store import Store
from tunesmith.service.core.threads import run_in_thread
from tunesmith.types.base import Page
from tunesmith.types.files import FileDeleted, FileObject

__all__ = ["FileService", "content_of"]

_MAX_FILE_BYTES = 512 * 1024 * 1024
_MAX_BATCH_BYTES = 200 * 1024 * 1024
_MAX_PAGE = 10_000


class FileService:
    """Keeps files, deletes them when they expire, and hands them to the other rooms.

    Args:
        store: Keeps the records and the bytes.
        clock: Tells when a file was made.
        ids: Makes the ids.
        schedule: Deletes what expires.
    """

    def __init__(
        self, store: Store, clock: VirtualClock, ids: IdGenerator, schedule: Scheduler
    ) -> None:
        self._store = store
        self._files = store.collection("files", FileObject)
        self._clock = clock
        self._ids = ids
        self._schedule = schedule

    async def create(self, operation: CreateFile) -> FileObject:
        """Take a file in."""
        filename, content = content_of(operation.file)
        limit = _MAX_BATCH_BYTES if operation.purpose == "batch" else _MAX_FILE_BYTES
        if len(content) > limit:
            raise invalid(f"File is too large: at most {limit} bytes are allowed.", "file")
        await self.check(operation.purpose, [content])
        return self.add([content], filename, operation.purpose, expires=operation.expires_after)

    async def retrieve(self, operation: RetrieveFile) -> FileObject:
        """Look up a file."""
        return self.find(operation.file_id)

    async def list(self, operation: ListFiles) -> Page[FileObject]:
        """List the files."""
        purpose = operation.purpose
        window = self._files.get_page(
            after=operation.after,
            limit=validate_limit(operation.limit, default=_MAX_PAGE, maximum=_MAX_PAGE),
            newest_first=operation.order != "asc",
            where=None if purpose is None else lambda file: file.purpose == purpose,
        )
        return to_page(window)

    async def delete(self, operation: DeleteFile) -> FileDeleted:
        """Delete a file; jobs that were made with it keep their model."""
        self.find(operation.file_id)
        self._expire(operation.file_id)
        return FileDeleted(id=operation.file_id, object="file", deleted=True)

    async def content(self, operation: DownloadFile) -> bytes:
        """Give a file's bytes."""
        return b"".join(self.read(operation.file_id))

    def find(self, id: str) -> FileObject:
        """Look up a file.

        Raises:
            ServiceError: There is none.
        """
        file = self._files.get(id)
        if file is None:
            raise no_such_file(id)
        return file

    def read(self, id: str, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """Go through a file's bytes from `start` up to, but without, `stop`.

        Raises:
            ServiceError: There is no such file.
        """
        return self._store.read(self.find(id).id, start, stop)

    async def check(self, purpose: str, chunks: Iterable[bytes]) -> None:
        """Refuse content that does not fit the purpose.

        Raises:
            ServiceError: It is empty, or shall be JSON Lines and is not.
        """
        if purpose in {"fine-tune", "batch"}:
            await run_in_thread(self._clock, lambda: _check_json_lines(b"".join(chunks)))

    def add(
        self,
        chunks: Iterable[bytes],
        filename: str,
        purpose: str,
        *,
        at: float | None = None,
        expires: ExpiresAfterParam | None = None,
    ) -> FileObject:
        """Keep a file that was checked, or that the service itself made.

        Args:
            chunks: Its bytes.
            filename: Its name.
            purpose: What it is for.
            at: When it was made, in Unix seconds; None for now.
            expires: When to delete it.
        """
        file_id = self._ids.new("file")
        self._store.write(file_id, chunks)
        return self._record(file_id, filename, purpose, at, expires)

    def join(
        self, parts: Sequence[str], filename: str, purpose: str, expires: ExpiresAfterParam | None
    ) -> FileObject:
        """Keep a file made of blobs that are there already."""
        file_id = self._ids.new("file")
        self._store.join(file_id, parts)
        return self._record(file_id, filename, purpose, None, expires)

    def _record(
        self,
        id: str,
        filename: str,
        purpose: str,
        at: float | None,
        expires: ExpiresAfterParam | None,
    ) -> FileObject:
        created_at = int(self._clock.time() if at is None else at)
        file = FileObject(
            id=id,
            object="file",
            bytes=self._store.size_bytes(id),
            created_at=created_at,
            expires_at=expires and created_at + expires["seconds"],
            filename=filename,
            purpose=purpose,
            status="processed",
            status_details=None,
        )
        self._files.put(id, file)
        if file.expires_at is not None:

            async def expire(_: float) -> None:
                self._expire(id)

            self._schedule.call_at(file.expires_at, expire)
        return file

    def _expire(self, id: str) -> None:
        if self._files.delete(id) is not None:
            self._store.delete_blob(id)


def content_of(file: object) -> tuple[str, bytes]:
    """Take a file parameter apart, as the multipart decoder gives it: name and bytes.

    Raises:
        ServiceError: It is something else.
    """
    name: object = None
    content = file
    if isinstance(file, tuple):
        name, content, *_ = cast("tuple[object, ...]", file)
    if not isinstance(content, bytes):
        raise invalid("The file's content is missing: send it as a part of the form.", "file")
    return str(name or "file"), content


def _check_json_lines(content: bytes) -> None:
    empty = True
    for number, line in enumerate(content.removeprefix(b"\xef\xbb\xbf").split(b"\n"), 1):
        if not line.strip():
            continue
        empty = False
        try:
            # Half a surrogate pair is refused, which `json` lets through: no answer could hold it.
            fits = isinstance(from_json(line), dict)
        except ValueError:
            fits = False
        if not fits:
            hint = line[:20].decode("utf-8", "replace").strip()
            raise invalid(
                "Expected file to have JSONL format, where every line is a valid JSON dictionary. "
                f'Line {number} is not a dictionary (HINT: line starts with: "{hint}...").'
            )
    if empty:
        raise invalid("File is empty.", "file")
