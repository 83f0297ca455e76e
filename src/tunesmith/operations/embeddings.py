"""What can be asked of a model that turns texts into vectors."""

from dataclasses import KW_ONLY
from typing import Annotated, Literal, TypeAlias

from annotated_types import Ge, Len, MinLen

from tunesmith.operations.base import Operation, operation
from tunesmith.operations.lists import SequenceParam
from tunesmith.types.embeddings import CreateEmbeddingResponse

EmbeddingInput: TypeAlias = (
    str
    | Annotated[SequenceParam[str], Len(1, 2048)]
    | Annotated[SequenceParam[int], Len(1, 2048)]
    | Annotated[SequenceParam[Annotated[SequenceParam[int], MinLen(1)]], Len(1, 2048)]
)
"""Text, several texts, token ids, or several lists of token ids."""


@operation("embeddings.create", "POST", "/embeddings")
class CreateEmbedding(Operation[CreateEmbeddingResponse]):
    """Turn texts into vectors.

    Args:
        input: Text, up to 2048 texts, token ids, or up to 2048 lists of token ids.
        model: The model's name.
        dimensions: How many numbers a vector has, for models that can shorten it.
        encoding_format: `base64` is shorter on the way; the answer has numbers in either case.
        user: A name of the end user, for the service's abuse monitoring.

    Source: https://platform.openai.com/docs/api-reference/embeddings/create
    """

    _: KW_ONLY
    input: EmbeddingInput
    model: str
    dimensions: Annotated[int, Ge(1)] | None = None
    encoding_format: Literal["float", "base64"] | None = None
    user: str | None = None
