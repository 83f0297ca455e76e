"""Kinds of fields that several nouns share."""

from datetime import datetime
from typing import Annotated, TypeVar

from pydantic import BeforeValidator

from tunesmith.types.base import APIModel, to_datetime

__all__ = ["CreatedObject", "GeneratedObject", "NullableList", "NullableStr", "UnixTime"]

Item = TypeVar("Item")

NullableList = Annotated[list[Item], BeforeValidator(lambda value: [] if value is None else value)]
"""A list for which servers may send null."""

NullableStr = Annotated[str, BeforeValidator(lambda value: "" if value is None else value)]
"""A text for which servers may send null."""


UnixTime = Annotated[
    int, BeforeValidator(lambda value: int(value) if isinstance(value, float) else value)
]
"""Unix seconds; some servers send fractions."""


class CreatedObject(APIModel):
    """An object that knows when it was made."""

    created_at: UnixTime | None = None

    @property
    def created_datetime(self) -> datetime | None:
        """When it was made; None where a server does not say."""
        return to_datetime(self.created_at)


class GeneratedObject(APIModel):
    """What a model generated, or a piece of it."""

    id: NullableStr = ""
    created: UnixTime | None = None
    model: str | None = None
    # Deprecated by the API, which still sends it.
    system_fingerprint: str | None = None

    @property
    def created_datetime(self) -> datetime | None:
        """When it was made; None where a server does not say."""
        return to_datetime(self.created)
