"""The room of uploads: large files that come in parts."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from tunesmith.clock import VirtualClock
from tunesmith.operations.param_types import ExpiresAfterParam
from tunesmith.operations.uploads import (
    CancelUpload,
    CompleteUpload,
    CreateUpload,
    CreateUploadPart,
)
from tunesmith.service.core.errors import invalid, no_such_object
from tunesmith.service.core.ids import IdGenerator
from tunesmith.service.core.scheduler import ScheduledAction, Scheduler
from tunesmith.service.core.store import Store
from tunesmith.service.core.threads import run_in_thread
from tunesmith.service.files.files import FileService, content_of
from tunesmith.types.uploads import Upload, UploadPart

__all__ = ["Uploads"]

_MAX_UPLOAD_BYTES = 8 * 1024**3
_MAX_PART_BYTES = 64 * 1024**2
_LIFETIME_S = 3600


@dataclass(frozen=True, slots=True)
class _PendingUpload:
    upload: Upload
    expires_after: ExpiresAfterParam | None
    expiry: ScheduledAction


class Uploads:
    """Collects the parts of a file, and makes it one.

    Args:
        store: Keeps the parts.
        clock: Tells when an upload was begun.
        ids: Makes the ids.
        schedule: Lets an upload expire.
        files: Takes the whole file.
    """

    def __init__(
        self,
        store: Store,
        clock: VirtualClock,
        ids: IdGenerator,
        schedule: Scheduler,
        files: FileService,
    ) -> None:
        self._store = store
        self._uploads = store.collection("uploads", _PendingUpload)
        self._clock = clock
        self._ids = ids
        self._schedule = schedule
        self._files = files

    async def create(self, operation: CreateUpload) -> Upload:
        """Begin an upload."""
        if operation.bytes > _MAX_UPLOAD_BYTES:
            raise invalid(f"File is too large: at most {_MAX_UPLOAD_BYTES} bytes.", "bytes")
        now = int(self._clock.time())
        upload = Upload(
            id=self._ids.new("upload"),
            object="upload",
            bytes=operation.bytes,
            created_at=now,
            expires_at=now + _LIFETIME_S,
            filename=operation.filename,
            purpose=operation.purpose,
            status="pending",
            file=None,
        )

        async def expire(_: float) -> None:
            self._close(upload.id, status="expired")

        expiry = self._schedule.call_at(now + _LIFETIME_S, expire)
        self._uploads.put(upload.id, _PendingUpload(upload, operation.expires_after, expiry))
        return upload

    async def add_part(self, operation: CreateUploadPart) -> UploadPart:
        """Take a part in."""
        upload = self._pending(operation.upload_id).upload
        _, data = content_of(operation.data)
        if len(data) > _MAX_PART_BYTES:
            raise invalid(f"The part is too large: at most {_MAX_PART_BYTES} bytes.", "data")
        part = UploadPart(
            id=self._ids.new("part"),
            object="upload.part",
            created_at=int(self._clock.time()),
            upload_id=upload.id,
        )
        self._store.write(part.id, [data])
        self._store.collection("parts", UploadPart, parent_id=upload.id).put(part.id, part)
        return part

    async def complete(self, operation: CompleteUpload) -> Upload:
        """Make the parts one file, in the order asked for."""
        record = self._pending(operation.upload_id)
        upload = record.upload
        parts = list(operation.part_ids)
        known = self._store.collection("parts", UploadPart, parent_id=upload.id)
        for index, part in enumerate(parts):
            if known.get(part) is None:
                raise invalid(f"No such part of this upload: {part}", f"part_ids[{index}]")
        if len(set(parts)) < len(parts):
            raise invalid("A part is named more than once.", "part_ids")
        size = sum(map(self._store.size_bytes, parts))
        if size != upload.bytes:
            raise invalid(
                f"The parts add up to {size} bytes, but the upload was created for {upload.bytes}.",
                "part_ids",
            )
        await self._check(upload, parts, operation.md5)
        self._pending(upload.id)  # nobody completed or cancelled it meanwhile
        file = self._files.join(
            parts, upload.filename or "file", upload.purpose or "", record.expires_after
        )
        return self._close(upload.id, status="completed", file=file)

    async def cancel(self, operation: CancelUpload) -> Upload:
        """Give an upload up."""
        return self._close(self._pending(operation.upload_id).upload.id, status="cancelled")

    async def _check(self, upload: Upload, parts: list[str], md5: str | None) -> None:
        def chunks() -> Iterator[bytes]:
            for part in parts:
                yield from self._store.read(part)

        def checksum() -> str:
            digest = hashlib.md5(usedforsecurity=False)
            for chunk in chunks():
                digest.update(chunk)
            return digest.hexdigest()

        if md5 is not None:
            found = await run_in_thread(self._clock, checksum)
            if found != md5.lower():
                raise invalid(f"The file's MD5 checksum is {found}, not {md5}.", "md5")
        await self._files.check(upload.purpose or "", chunks())

    def _pending(self, id: str) -> _PendingUpload:
        record = self._uploads.get(id)
        if record is None:
            raise no_such_object("Upload", id)
        if record.upload.status != "pending":
            raise invalid(f"Upload {id} is {record.upload.status}, not pending.", "upload_id")
        return record

    def _close(self, id: str, **changes: object) -> Upload:
        record = self._uploads.get(id)
        assert record is not None  # noqa: S101 - callers looked it up
        record.expiry.cancel()
        upload = record.upload.model_copy(update=changes)
        self._uploads.put(id, _PendingUpload(upload, record.expires_after, record.expiry))
        parts = self._store.collection("parts", UploadPart, parent_id=id)
        for part in parts.get_page().records:
            self._store.delete_blob(part.id)
            parts.delete(part.id)
        return upload
