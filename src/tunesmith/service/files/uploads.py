"""The Uploads API: large files in parts."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from tunesmith.operations.param_types import ExpiresAfterParam
from tunesmith.operations.uploads import (
    CancelUpload,
    CompleteUpload,
    CreateUpload,
    CreateUploadPart,
)
from tunesmith.service.core.context import ServiceContext
from tunesmith.service.core.errors import invalid, object_not_found
from tunesmith.service.core.handlers import handles
from tunesmith.service.core.scheduler import ScheduledAction
from tunesmith.service.core.store import Collection
from tunesmith.service.files.files import FileService, parse_file_param
from tunesmith.types.uploads import Upload, UploadPart

__all__ = ["Uploads"]

_MAX_UPLOAD_BYTES = 8 * 1024**3
_MAX_PART_BYTES = 64 * 1024**2
_LIFETIME_S = 3600


@dataclass(frozen=True, slots=True)
class _UploadRecord:
    upload: Upload
    expires_after: ExpiresAfterParam | None


class Uploads:
    """Uploads and their parts.

    Args:
        context: Dependencies shared by all parts of the service.
        files: Receives the complete files.
    """

    def __init__(self, context: ServiceContext, files: FileService) -> None:
        self._context = context
        self._store = context.store
        self._uploads = context.store.collection("uploads", _UploadRecord)
        self._files = files
        self._expiries: dict[str, ScheduledAction] = {}
        for record in self._uploads.get_page(newest_first=False).records:
            if record.upload.status == "pending":
                self._schedule_expiry(record.upload)

    @handles(CreateUpload)
    async def create(self, operation: CreateUpload) -> Upload:
        """Create an upload."""
        if operation.bytes > _MAX_UPLOAD_BYTES:
            raise invalid(f"File is too large: at most {_MAX_UPLOAD_BYTES} bytes.", "bytes")
        now = self._context.now()
        upload = Upload(
            id=self._context.ids.new("upload"),
            object="upload",
            bytes=operation.bytes,
            created_at=now,
            expires_at=now + _LIFETIME_S,
            filename=operation.filename,
            purpose=operation.purpose,
            status="pending",
            file=None,
        )
        self._schedule_expiry(upload)
        self._uploads.put(upload.id, _UploadRecord(upload, operation.expires_after))
        return upload

    @handles(CreateUploadPart)
    async def add_part(self, operation: CreateUploadPart) -> UploadPart:
        """Add a part to an upload."""
        upload = self._find_pending(operation.upload_id).upload
        data = parse_file_param(operation.data)
        if data.size_bytes > _MAX_PART_BYTES:
            raise invalid(f"The part is too large: at most {_MAX_PART_BYTES} bytes.", "data")
        part = UploadPart(
            id=self._context.ids.new("part"),
            object="upload.part",
            created_at=self._context.now(),
            upload_id=upload.id,
        )
        await self._context.clock.run_in_thread(lambda: self._store.write(part.id, data.chunks()))
        self._find_pending(upload.id)  # it may have been completed or cancelled meanwhile
        self._parts(upload.id).put(part.id, part)
        return part

    @handles(CompleteUpload)
    async def complete(self, operation: CompleteUpload) -> Upload:
        """Join the parts to a file, in the requested order."""
        record = self._find_pending(operation.upload_id)
        upload = record.upload
        parts = list(operation.part_ids)
        existing = self._parts(upload.id)
        for index, part in enumerate(parts):
            if existing.get(part) is None:
                raise invalid(f"No such part of this upload: {part}", f"part_ids[{index}]")
        if len(set(parts)) < len(parts):
            raise invalid("A part is named more than once.", "part_ids")
        size = sum(map(self._store.size_bytes, parts))
        if size != upload.bytes:
            raise invalid(
                f"The parts add up to {size} bytes, but the upload was created for {upload.bytes}.",
                "part_ids",
            )
        await self._validate_content(upload, parts, operation.md5)
        file_id = await self._files.write(lambda new_id: self._store.join(new_id, parts))
        self._find_pending(upload.id)  # it may have been completed or cancelled meanwhile
        file = self._files.add_written(
            file_id,
            upload.filename or "file",
            upload.purpose or "",
            expires_after=record.expires_after,
        )
        return self._close(upload.id, status="completed", file=file)

    @handles(CancelUpload)
    async def cancel(self, operation: CancelUpload) -> Upload:
        """Cancel an upload."""
        return self._close(self._find_pending(operation.upload_id).upload.id, status="cancelled")

    async def _validate_content(
        self, upload: Upload, parts: Sequence[str], md5: str | None
    ) -> None:
        def chunks() -> Iterator[bytes]:
            for part in parts:
                yield from self._store.read(part)

        def compute_md5() -> str:
            digest = hashlib.md5(usedforsecurity=False)
            for chunk in chunks():
                digest.update(chunk)
            return digest.hexdigest()

        if md5 is not None:
            actual = await self._context.clock.run_in_thread(compute_md5)
            if actual != md5.lower():
                raise invalid(f"The file's MD5 checksum is {actual}, not {md5}.", "md5")
        await self._files.validate(upload.purpose or "", chunks)

    def _schedule_expiry(self, upload: Upload) -> None:
        async def expire(_: float) -> None:
            self._close(upload.id, status="expired")

        expires_at = upload.expires_at or self._context.now()
        self._expiries[upload.id] = self._context.scheduler.call_at(expires_at, expire)

    def _parts(self, upload_id: str) -> Collection[UploadPart]:
        return self._store.collection("parts", UploadPart, parent_id=upload_id)

    def _find_pending(self, id: str) -> _UploadRecord:
        record = self._uploads.get(id)
        if record is None:
            raise object_not_found("Upload", id)
        if record.upload.status != "pending":
            raise invalid(f"Upload {id} is {record.upload.status}, not pending.", "upload_id")
        return record

    def _close(self, id: str, **changes: object) -> Upload:
        record = self._uploads.get(id)
        assert record is not None  # noqa: S101 - callers looked it up
        self._expiries.pop(id).cancel()
        upload = record.upload.model_copy(update=changes)
        self._uploads.put(id, replace(record, upload=upload))
        parts = self._parts(id)
        for part in parts.get_page().records:
            self._store.delete_blob(part.id)
            parts.delete(part.id)
        return upload
