"""Files that are sent in parts."""

from datetime import datetime
from typing import Literal

from tunesmith.types.base import APIResponse, to_datetime
from tunesmith.types.fields import CreatedObject, UnixTime
from tunesmith.types.files import FileObject

__all__ = ["Upload", "UploadPart"]


class Upload(CreatedObject, APIResponse):
    """A file on its way, in parts of up to 64 MB; it has one hour to be completed.

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
        """Until when the upload can be completed."""
        return to_datetime(self.expires_at)


class UploadPart(CreatedObject, APIResponse):
    """A part that has arrived.

    Source: https://platform.openai.com/docs/api-reference/uploads/part-object
    """

    id: str
    object: str = "upload.part"
    upload_id: str | None = None
