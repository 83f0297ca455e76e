"""Files that are sent in parts."""

from datetime import datetime
from typing import Literal

from tunesmith.types.base import Answer, as_datetime
from tunesmith.types.fields import Created, UnixTime
from tunesmith.types.files import FileObject

__all__ = ["Upload", "UploadPart"]


class Upload(Created, Answer):
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
        return as_datetime(self.expires_at)


class UploadPart(Created, Answer):
    """A part that has arrived.

    Source: https://platform.openai.com/docs/api-reference/uploads/part-object
    """

    id: str
    object: str = "upload.part"
    upload_id: str | None = None
