"""What can be asked about files that are sent in parts."""

from collections.abc import Sequence
from dataclasses import KW_ONLY
from typing import Annotated, Literal

from annotated_types import Ge

from tunesmith.operations.base import Operation, operation
from tunesmith.operations.files import ExpiresAfterParam, FileInput
from tunesmith.types.uploads import Upload, UploadPart


@operation("uploads.create", "POST", "/uploads", creates=True)
class CreateUpload(Operation[Upload]):
    """Begin to send a file of up to 8 GB in parts; it must be completed within an hour.

    Args:
        bytes: The size of the whole file in bytes; the parts must add up to it.
        filename: The file's name.
        mime_type: The file's type, such as `text/jsonl`.
        purpose: What the file is for.
        expires_after: When the service shall delete the file, such as
            `{"anchor": "created_at", "seconds": 86_400}`.

    Source: https://platform.openai.com/docs/api-reference/uploads/create
    """

    _: KW_ONLY
    bytes: Annotated[int, Ge(0)]
    filename: str
    mime_type: str
    purpose: Literal["assistants", "batch", "fine-tune", "vision"]
    expires_after: ExpiresAfterParam | None = None


@operation(
    "uploads.parts.create", "POST", "/uploads/{upload_id}/parts", multipart=True, creates=True
)
class CreateUploadPart(Operation[UploadPart]):
    """Send one part, of up to 64 MB; several may be sent at the same time.

    Args:
        upload_id: The upload's id.
        data: The part's bytes, in any of the forms that a file may have.

    Source: https://platform.openai.com/docs/api-reference/uploads/add-part
    """

    upload_id: str
    _: KW_ONLY
    data: FileInput


@operation("uploads.complete", "POST", "/uploads/{upload_id}/complete")
class CompleteUpload(Operation[Upload]):
    """Make the parts one file; no part can be added after that.

    Args:
        upload_id: The upload's id.
        part_ids: The parts' ids, in the order of the file.
        md5: The whole file's MD5 checksum, for the service to compare.

    Source: https://platform.openai.com/docs/api-reference/uploads/complete
    """

    upload_id: str
    _: KW_ONLY
    part_ids: Sequence[str]
    md5: str | None = None


@operation("uploads.cancel", "POST", "/uploads/{upload_id}/cancel")
class CancelUpload(Operation[Upload]):
    """Give up an upload; no part can be added after that.

    Args:
        upload_id: The upload's id.

    Source: https://platform.openai.com/docs/api-reference/uploads/cancel
    """

    upload_id: str
