"""The Files API."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, cast

from tunesmith.operations.files import (
    CreateFile,
    DeleteFile,
    DownloadFile,
    ListFiles,
    RetrieveFile,
)
from tunesmith.operations.param_types import ExpiresAfterParam
from tunesmith.protocol.multipart import SpooledFile
from tunesmith.service.core.context import ServiceContext
from tunesmith.service.core.errors import invalid, object_not_found
from tunesmith.service.core.handlers import handles
from tunesmith.service.core.pagination import to_page, validate_limit
from tunesmith.service.files.json_lines import validate_json_lines
from tunesmith.types.base import Page
from tunesmith.types.files import FileDeleted, FileObject

__all__ = ["FileService", "ReceivedFile", "parse_file_param"]

_MAX_FILE_BYTES = 512 * 1024 * 1024
_MAX_BATCH_FILE_BYTES = 200 * 1024 * 1024
_MAX_PAGE_SIZE = 10_000


class FileService:
    """Files with their content and expiry.

    Args:
        context: Dependencies shared by all parts of the service.
    """

    def __init__(self, context: ServiceContext) -> None:
        self._context = context
        self._files = context.store.collection("files", FileObject)
        for file in self._files.get_page(newest_first=False).records:
            self._schedule_expiry(file)

    @handles(CreateFile)
    async def create(self, operation: CreateFile) -> FileObject:
        """Create a file."""
        file, purpose, store = (
            parse_file_param(operation.file),
            operation.purpose,
            self._context.store,
        )
        maximum = _MAX_BATCH_FILE_BYTES if purpose == "batch" else _MAX_FILE_BYTES
        if file.size_bytes > maximum:
            raise invalid(f"File is too large: at most {maximum} bytes are allowed.", "file")
        await self.validate(purpose, file.chunks)
        expiry = operation.expires_after
        if isinstance(file.content, bytes):
            return self.add([file.content], file.filename, purpose, expires_after=expiry)
        file_id = await self.write(lambda new_id: store.write(new_id, file.chunks()))
        return self.add_written(file_id, file.filename, purpose, expires_after=expiry)

    @handles(RetrieveFile)
    async def retrieve(self, operation: RetrieveFile) -> FileObject:
        """Return a file."""
        return self.find(operation.file_id)

    @handles(ListFiles)
    async def list(self, operation: ListFiles) -> Page[FileObject]:
        """List the files."""
        purpose = operation.purpose
        window = self._files.get_page(
            after=operation.after,
            limit=validate_limit(operation.limit, default=_MAX_PAGE_SIZE, maximum=_MAX_PAGE_SIZE),
            newest_first=operation.order != "asc",
            where=None if purpose is None else lambda file: file.purpose == purpose,
        )
        return to_page(window)

    @handles(DeleteFile)
    async def delete(self, operation: DeleteFile) -> FileDeleted:
        """Delete a file; models that were tuned on it remain."""
        self.find(operation.file_id)
        self._delete(operation.file_id)
        return FileDeleted(id=operation.file_id, object="file", deleted=True)

    @handles(DownloadFile)
    async def content(self, operation: DownloadFile) -> bytes:
        """Return the content of a file."""
        return b"".join(self.read(operation.file_id))

    def find(self, id: str) -> FileObject:
        """Return a file.

        Raises:
            ServiceError: The file does not exist.
        """
        file = self._files.get(id)
        if file is None:
            raise object_not_found("File", id)
        return file

    def read(self, id: str, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """Yield the bytes of a file in the range from `start` to `stop`, exclusive.

        Raises:
            ServiceError: The file does not exist.
        """
        return self._context.store.read(self.find(id).id, start, stop)

    async def validate(self, purpose: str, chunks: Callable[[], Iterable[bytes]]) -> None:
        """Validate that content fits its purpose.

        Raises:
            ServiceError: The content must be JSON Lines and is not, or is empty.
        """
        if purpose in {"fine-tune", "batch"}:
            await self._context.clock.run_in_thread(lambda: validate_json_lines(chunks()))

    def add(
        self,
        chunks: Iterable[bytes],
        filename: str,
        purpose: str,
        *,
        timestamp: float | None = None,
        expires_after: ExpiresAfterParam | None = None,
    ) -> FileObject:
        """Add a small file without validating it.

        Args:
            chunks: The content.
            filename: The filename.
            purpose: The purpose, such as `fine-tune`.
            timestamp: Creation time, in Unix seconds; None for now.
            expires_after: The expiry.
        """
        file_id = self._context.ids.new("file")
        self._context.store.write(file_id, chunks)
        return self.add_written(
            file_id, filename, purpose, timestamp=timestamp, expires_after=expires_after
        )

    async def write(self, write: Callable[[str], None]) -> str:
        """Write the content of a new file in a thread; return the id for `add_written`.

        Args:
            write: Function that writes the blob of this id.
        """
        file_id = self._context.ids.new("file")
        try:
            await self._context.clock.run_in_thread(lambda: write(file_id))
        except BaseException:
            self._context.store.delete_blob(file_id)
            raise
        return file_id

    def add_written(
        self,
        id: str,
        filename: str,
        purpose: str,
        *,
        timestamp: float | None = None,
        expires_after: ExpiresAfterParam | None = None,
    ) -> FileObject:
        """Add a file whose blob exists.

        Args:
            id: Id of the file and its blob.
            filename: The filename.
            purpose: The purpose, such as `fine-tune`.
            timestamp: Creation time, in Unix seconds; None for now.
            expires_after: The expiry.
        """
        created_at = self._context.now() if timestamp is None else int(timestamp)
        # The official schema does not allow null.
        expiry = {"expires_at": created_at + expires_after["seconds"]} if expires_after else {}
        file = FileObject(
            id=id,
            object="file",
            bytes=self._context.store.size_bytes(id),
            created_at=created_at,
            filename=filename,
            purpose=purpose,
            status="processed",
            **cast("dict[str, Any]", expiry),
        )
        self._files.put(id, file)
        self._schedule_expiry(file)
        return file

    def _schedule_expiry(self, file: FileObject) -> None:
        if file.expires_at is not None:

            async def expire(_: float) -> None:
                self._delete(file.id)

            self._context.scheduler.call_at(file.expires_at, expire)

    def _delete(self, id: str) -> None:
        if self._files.delete(id) is not None:
            self._context.store.delete_blob(id)


@dataclass(frozen=True, slots=True)
class ReceivedFile:
    """File of a request.

    Args:
        filename: Its name.
        content: The content; that of a large file is in a temporary file.
    """

    filename: str
    content: bytes | SpooledFile

    @property
    def size_bytes(self) -> int:
        """Size of the content."""
        content = self.content
        return len(content) if isinstance(content, bytes) else content.size_bytes

    def chunks(self) -> Iterable[bytes]:
        """Return the content from its beginning."""
        return [self.content] if isinstance(self.content, bytes) else self.content.chunks()


def parse_file_param(file: object) -> ReceivedFile:
    """Return the file of a decoded multipart form.

    Raises:
        ServiceError: It is not a file.
    """
    name: object = None
    content = file
    if isinstance(file, tuple):
        name, content, *_ = cast("tuple[object, ...]", file)
    if not isinstance(content, bytes | SpooledFile):
        raise invalid("The file's content is missing: send it as a part of the form.", "file")
    return ReceivedFile(str(name or "file"), content)
