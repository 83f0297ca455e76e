"""Operations on moderations."""

from dataclasses import KW_ONLY
from typing import Annotated, Literal, TypeAlias

from pydantic import Field
from typing_extensions import TypedDict

from tunesmith.operations.base import Operation, operation
from tunesmith.operations.param_types import SequenceParam
from tunesmith.types.moderations import CreateModerationResponse


class ModerationTextParam(TypedDict):
    """Text part."""

    type: Literal["text"]
    text: str


class ModerationImageURLParam(TypedDict):
    """URL of an image, or the image as a data URL: `data:image/png;base64,…`."""

    url: str


class ModerationImageParam(TypedDict):
    """Image part."""

    type: Literal["image_url"]
    image_url: ModerationImageURLParam


_Part: TypeAlias = Annotated[
    ModerationTextParam | ModerationImageParam, Field(discriminator="type")
]

ModerationInput: TypeAlias = str | SequenceParam[str | _Part]
"""Text, several texts, or the parts of one message."""


@operation("moderations.create", "POST", "/moderations")
class CreateModeration(Operation[CreateModerationResponse]):
    """Classify whether content is potentially harmful.

    Args:
        input: Text, several texts to classify separately, or text and image parts to classify
            together.
        model: The model's name; the service's default is `omni-moderation-latest`.

    Source: https://platform.openai.com/docs/api-reference/moderations/create
    """

    _: KW_ONLY
    input: ModerationInput
    model: str | None = None
