"""Embeddings of texts."""

import base64
import binascii
import sys
from array import array
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from tunesmith.types.base import APIModel, APIResponse
from tunesmith.types.completions import CompletionUsage
from tunesmith.types.fields import Index


def _decode_base64(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        numbers = array("f", base64.b64decode(value, validate=True))
    except (binascii.Error, ValueError):
        raise ValueError("the text must be base64 of 32-bit floats") from None
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers.tolist()


class Embedding(APIModel):
    """Embedding of one input.

    Source: https://platform.openai.com/docs/api-reference/embeddings/object
    """

    # Servers that do not pool return one vector per token. Tried in order: an integer among the
    # numbers would make pydantic prefer the second type.
    embedding: Annotated[
        list[float] | list[list[float]],
        Field(union_mode="left_to_right"),
        BeforeValidator(_decode_base64),
    ]
    """The vector; base64 is decoded."""
    index: Index = 0
    object: str = "embedding"


class CreateEmbeddingResponse(APIResponse):
    """Embeddings of all inputs, in input order.

    Source: https://platform.openai.com/docs/api-reference/embeddings/create
    """

    data: list[Embedding]
    model: str | None = None
    object: str = "list"
    usage: CompletionUsage | None = None
