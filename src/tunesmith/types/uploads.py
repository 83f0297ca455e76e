"""Files uploaded in parts."""

from datetime import datetime
from typing import Literal

from tunesmith.types.base import APIResponse, to_datetime
from tunesmith.types.fields import CreatedObject, UnixTime
from tunesmith.types.files import FileObject


class Upload(CreatedObject, APIResponse):
    """Upload of a file in parts of up to 64 MB, to be completed within one hour.

    Source: https://platform.openai.com/docs/api-reference/uploads/object
    """

    id: str
    object: str = "upload"
    bytes: int | None = None
    expires_at: UnixTime | None = None
    filename: str | None = None
    purpose: str | None = None
    status: Literal["pending", "completed", "cancelled", "expired"] | str
    file: FileObject | None = None

    @property
    def expires_datetime(self) -> datetime | None:
        """Time when the upload expires."""
        return to_datetime(self.expires_at)


class UploadPart(CreatedObject, APIResponse):
    """Part of an upload.

    Source: https://platform.openai.com/docs/api-reference/uploads/part-object
    """

    id: str
    object: str = "upload.part"
    upload_id: str | None = None
