"""What can be asked of a model that judges whether something may be harmful."""

from dataclasses import KW_ONLY
from typing import Annotated, Literal, TypeAlias

from pydantic import Field
from typing_extensions import TypedDict

from tunesmith.operations.base import Operation, operation
from tunesmith.operations.lists import SequenceParam
from tunesmith.types.moderations import CreateModerationResponse


class ModerationTextParam(TypedDict):
    """A text."""

    type: Literal["text"]
    text: str


class ModerationImageURLParam(TypedDict):
    """An image's address, or the image itself as `data:image/png;base64,…`."""

    url: str


class ModerationImageParam(TypedDict):
    """An image."""

    type: Literal["image_url"]
    image_url: ModerationImageURLParam


_Part: TypeAlias = Annotated[
    ModerationTextParam | ModerationImageParam, Field(discriminator="type")
]

ModerationInput: TypeAlias = str | SequenceParam[str | _Part]
"""A text, several texts, or the parts of one message."""


@operation("moderations.create", "POST", "/moderations")
class CreateModeration(Operation[CreateModerationResponse]):
    """Let a model judge whether something may be harmful.

    Args:
        input: A text, several texts that are judged each for itself, or parts of text and images
            that are judged together.
        model: The model's name; the service's default is `omni-moderation-latest`.

    Source: https://platform.openai.com/docs/api-reference/moderations/create
    """

    _: KW_ONLY
    input: ModerationInput
    model: str | None = None
