"""Fields shared by several types."""

import json
from datetime import datetime
from math import isfinite
from typing import Annotated, Any, TypeVar

from pydantic import BeforeValidator

from tunesmith.types.base import APIModel, to_datetime

Item = TypeVar("Item")

NullableList = Annotated[list[Item], BeforeValidator(lambda value: [] if value is None else value)]
"""List that some servers send as null."""

NullableStr = Annotated[str, BeforeValidator(lambda value: "" if value is None else value)]
"""Text that some servers send as null."""


def _to_json_text(value: object) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value)


JSONText = Annotated[str, BeforeValidator(_to_json_text)]
"""JSON as text, which some servers send as a value or null."""


def _to_index(value: Any) -> int:
    try:
        return int(value)
    except (OverflowError, TypeError, ValueError):
        return 0


Index = Annotated[int, BeforeValidator(_to_index)]
"""Position in a list. It is never kept raw, because pieces of streams are joined by it."""

UnixTime = Annotated[
    int,
    BeforeValidator(
        lambda value: int(value) if isinstance(value, float) and isfinite(value) else value
    ),
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
