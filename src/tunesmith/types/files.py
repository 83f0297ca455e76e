"""Uploaded files."""

from datetime import datetime
from typing import Any, Literal

from tunesmith.types.base import APIResponse, DeletedObject, to_datetime
from tunesmith.types.fields import CreatedObject, UnixTime


class FileObject(CreatedObject, APIResponse):
    """File stored by the service.

    Source: https://platform.openai.com/docs/api-reference/files/object
    """

    id: str
    object: str = "file"
    bytes: int | None = None
    expires_at: UnixTime | None = None
    filename: str | None = None
    purpose: (
        Literal[
            "assistants",
            "assistants_output",
            "batch",
            "batch_output",
            "evals",
            "fine-tune",
            "fine-tune-results",
            "user_data",
            "vision",
        ]
        | str
        | None
    ) = None
    status: Literal["uploaded", "processed", "error"] | str | None = None
    # An object in the first version of the API, text since 2023.
    status_details: str | dict[str, Any] | None = None

    @property
    def expires_datetime(self) -> datetime | None:
        """Time when the service deletes the file; None if never."""
        return to_datetime(self.expires_at)


class FileDeleted(DeletedObject):
    """Confirmation that a file was deleted."""
