"""Fields shared by several types."""

import json
from datetime import datetime
from typing import Annotated, TypeVar

from pydantic import BeforeValidator

from tunesmith.types.base import APIModel, to_datetime

Item = TypeVar("Item")

NullableList = Annotated[list[Item], BeforeValidator(lambda value: [] if value is None else value)]
"""List that some servers send as null."""

NullableStr = Annotated[str, BeforeValidator(lambda value: "" if value is None else value)]
"""Text that some servers send as null."""


JSONText = Annotated[
    str,
    BeforeValidator(lambda value: json.dumps(value) if isinstance(value, dict) else value or ""),
]
"""JSON as text, which some servers send as an object or null."""

UnixTime = Annotated[
    int, BeforeValidator(lambda value: int(value) if isinstance(value, float) else value)
]
"""Unix seconds; fractions are cut off."""


class CreatedObject(APIModel):
    """Object with a time of creation."""

    created_at: UnixTime | None = None

    @property
    def created_datetime(self) -> datetime | None:
        """Time when the object was created; None if the server omits it."""
        return to_datetime(self.created_at)


class GeneratedObject(APIModel):
    """Output of a model, or a piece of it."""

    id: NullableStr = ""
    created: UnixTime | None = None
    model: str | None = None
    # Deprecated by the API, which still sends it.
    system_fingerprint: str | None = None

    @property
    def created_datetime(self) -> datetime | None:
        """Time when the object was created; None if the server omits it."""
        return to_datetime(self.created)
