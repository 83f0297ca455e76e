"""Models, base and tuned."""

from datetime import datetime

from tunesmith.types.base import APIResponse, DeletedObject, to_datetime
from tunesmith.types.fields import UnixTime

__all__ = ["Model", "ModelDeleted"]


class Model(APIResponse):
    """A model that can be used, and perhaps tuned.

    Source: https://platform.openai.com/docs/api-reference/models/object
    """

    id: str
    object: str = "model"
    created: UnixTime | None = None
    owned_by: str | None = None
    shutdown_date: str | None = None

    @property
    def created_datetime(self) -> datetime | None:
        """When the model was made; None where a server does not say."""
        return to_datetime(self.created)


class ModelDeleted(DeletedObject):
    """That a tuned model was deleted."""
