"""Uploads of large files in parts."""

import io
import os
from functools import cached_property
from pathlib import Path

import anyio

from tunesmith.errors import InvalidRequestError
from tunesmith.operations.uploads import (
    CancelUpload,
    CompleteUpload,
    CreateUpload,
    CreateUploadPart,
)
from tunesmith.resources.base import Resource, operation_method
from tunesmith.resources.file_upload import PART_BYTES, Purpose
from tunesmith.types.uploads import Upload

__all__ = ["UploadParts", "Uploads"]

_BYTES = bytes
"""The type, where a parameter has its name."""


class UploadParts(Resource):
    """Parts of an upload."""

    create = operation_method(CreateUploadPart)


class Uploads(Resource):
    """Uploads of large files in parts; `files.upload` covers all steps."""

    create = operation_method(CreateUpload)
    complete = operation_method(CompleteUpload)
    cancel = operation_method(CancelUpload)

    async def upload_file_chunked(
        self,
        file: str | os.PathLike[str] | bytes,
        *,
        mime_type: str,
        purpose: Purpose,
        filename: str | None = None,
        bytes: int | None = None,
        part_size: int = PART_BYTES,
        md5: str | None = None,
    ) -> Upload:
        """Upload a file in parts, one after the other, and return the completed upload.

        `files.upload` sends parts concurrently, resumes after a crash and skips identical files.

        Args:
            file: Path or bytes of the file.
            mime_type: Media type of the file, such as `text/jsonl`.
            purpose: Purpose of the file.
            filename: File name to store; the path's by default, required for bytes.
            bytes: Size of the file in bytes, by default counted.
            part_size: Size of a part in bytes, at most 64 MB.
            md5: MD5 checksum of the whole file, verified by the service.

        Raises:
            InvalidRequestError: A parameter is invalid, or the file cannot be read.
            APIError: A call failed.

        Example:
            ```python
            upload = await client.uploads.upload_file_chunked(
                "train.jsonl", mime_type="text/jsonl", purpose="fine-tune"
            )
            print(upload.file.id)
            ```
        """
        if not 0 < part_size <= PART_BYTES:
            raise InvalidRequestError(
                f"part_size must be from 1 to {PART_BYTES}, not {part_size}", param="part_size"
            )
        source = io.BytesIO(file) if isinstance(file, _BYTES) else Path(file)
        name = filename or (None if isinstance(source, io.BytesIO) else source.name)
        if name is None:
            raise InvalidRequestError("filename is required for bytes", param="filename")
        try:
            opened = source if isinstance(source, io.BytesIO) else source.open("rb")
        except OSError as error:
            raise InvalidRequestError(
                f"{file!r} cannot be read: {error.strerror}", param="file"
            ) from None
        async with anyio.wrap_file(opened) as content:
            size = await content.seek(0, os.SEEK_END)
            await content.seek(0)
            upload = await self.create(
                bytes=size if bytes is None else bytes,
                filename=name,
                mime_type=mime_type,
                purpose=purpose,
            )
            part_ids: list[str] = []
            while data := await content.read(part_size):
                part = await self.parts.create(upload.id, data=data)
                part_ids.append(part.id)
        return await self.complete(upload.id, part_ids=part_ids, md5=md5)

    @cached_property
    def parts(self) -> UploadParts:
        """Parts of the upload."""
        return UploadParts(self.caller)
