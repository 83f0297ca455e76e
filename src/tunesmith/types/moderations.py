"""Moderations of texts and images."""

from typing import Literal

from tunesmith.types.base import APIModel, APIResponse
from tunesmith.types.fields import NullableStr


class Moderation(APIModel):
    """Moderation of one input, by category such as `self-harm/intent`.

    Source: https://platform.openai.com/docs/api-reference/moderations/object
    """

    flagged: bool
    categories: dict[str, bool | None]
    category_scores: dict[str, float | None]
    category_applied_input_types: dict[str, list[Literal["text", "image"] | str] | None] | None = (
        None
    )


class CreateModerationResponse(APIResponse):
    """Moderations of all inputs, in input order.

    Source: https://platform.openai.com/docs/api-reference/moderations/create
    """

    id: NullableStr = ""
    model: str | None = None
    results: list[Moderation]
