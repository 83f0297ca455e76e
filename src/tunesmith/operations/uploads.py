"""Operations on uploads in parts."""

from collections.abc import Sequence
from dataclasses import KW_ONLY
from typing import Annotated, Literal

from annotated_types import Ge

from tunesmith.operations.base import Operation, operation
from tunesmith.operations.files import FileInput
from tunesmith.operations.param_types import ExpiresAfterParam
from tunesmith.types.uploads import Upload, UploadPart


@operation("uploads.create", "POST", "/uploads", is_create=True)
class CreateUpload(Operation[Upload]):
    """Create an upload of a file of up to 8 GB in parts, to be completed within one hour.

    Args:
        bytes: Size of the whole file in bytes.
        filename: Name of the file.
        mime_type: Media type of the file, such as `text/jsonl`.
        purpose: Purpose of the file.
        expires_after: Time at which the service deletes the file, such as
            `{"anchor": "created_at", "seconds": 86_400}`.

    Source: https://platform.openai.com/docs/api-reference/uploads/create
    """

    _: KW_ONLY
    bytes: Annotated[int, Ge(0)]
    filename: str
    mime_type: str
    purpose: Literal["assistants", "batch", "evals", "fine-tune", "user_data", "vision"]
    expires_after: ExpiresAfterParam | None = None


@operation(
    "uploads.parts.create", "POST", "/uploads/{upload_id}/parts", multipart=True, is_create=True
)
class CreateUploadPart(Operation[UploadPart]):
    """Upload a part of up to 64 MB. Parts may be uploaded concurrently.

    Args:
        upload_id: ID of the upload.
        data: The part's bytes, in any form accepted for files.

    Source: https://platform.openai.com/docs/api-reference/uploads/add-part
    """

    upload_id: str
    _: KW_ONLY
    data: FileInput


@operation("uploads.complete", "POST", "/uploads/{upload_id}/complete")
class CompleteUpload(Operation[Upload]):
    """Complete an upload: join the parts to a file.

    Args:
        upload_id: ID of the upload.
        part_ids: IDs of the parts, in file order.
        md5: MD5 checksum of the whole file, verified by the service.

    Source: https://platform.openai.com/docs/api-reference/uploads/complete
    """

    upload_id: str
    _: KW_ONLY
    part_ids: Sequence[str]
    md5: str | None = None


@operation("uploads.cancel", "POST", "/uploads/{upload_id}/cancel")
class CancelUpload(Operation[Upload]):
    """Cancel an upload.

    Args:
        upload_id: ID of the upload.

    Source: https://platform.openai.com/docs/api-reference/uploads/cancel
    """

    upload_id: str
