"""Texts as vectors."""

import base64
import binascii
import sys
from array import array
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from tunesmith.types.base import APIModel, APIResponse
from tunesmith.types.completions import CompletionUsage

__all__ = ["CreateEmbeddingResponse", "Embedding"]


def _decoded(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        numbers = array("f", base64.b64decode(value, validate=True))
    except (binascii.Error, ValueError):
        raise ValueError("the text is no base64 of 32-bit floats") from None
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers.tolist()


class Embedding(APIModel):
    """The vector of one input.

    Source: https://platform.openai.com/docs/api-reference/embeddings/object
    """

    # Servers that do not pool give one vector for each token. Tried in turn: a whole number among
    # the others would make pydantic look for a better fit in the second kind.
    embedding: Annotated[
        list[float] | list[list[float]],
        Field(union_mode="left_to_right"),
        BeforeValidator(_decoded),
    ]
    """The vector; base64, in which it may be sent, is read on arrival."""
    index: int = 0
    object: str = "embedding"


class CreateEmbeddingResponse(APIResponse):
    """The vectors of all inputs, in their order.

    Source: https://platform.openai.com/docs/api-reference/embeddings/create
    """

    data: list[Embedding]
    model: str | None = None
    object: str = "list"
    usage: CompletionUsage | None = None
