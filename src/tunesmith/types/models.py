"""Base and fine-tuned models."""

from datetime import datetime

from tunesmith.types.base import APIResponse, DeletedObject, to_datetime
from tunesmith.types.fields import UnixTime


class Model(APIResponse):
    """Base or fine-tuned model.

    Source: https://platform.openai.com/docs/api-reference/models/object
    """

    id: str
    object: str = "model"
    created: UnixTime | None = None
    owned_by: str | None = None
    shutdown_date: str | None = None

    @property
    def created_datetime(self) -> datetime | None:
        """Time when the model was created; None if the server omits it."""
        return to_datetime(self.created)


class ModelDeleted(DeletedObject):
    """Confirmation that a fine-tuned model was deleted."""
