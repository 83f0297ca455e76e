"""Operations on embeddings."""

from dataclasses import KW_ONLY
from typing import Annotated, Literal, TypeAlias

from annotated_types import Ge, Len, MinLen

from tunesmith.operations.base import Operation, operation
from tunesmith.operations.param_types import SequenceParam
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
    """Create embeddings of texts.

    Args:
        input: Text, up to 2048 texts, token ids, or up to 2048 lists of token ids.
        model: Name of the model.
        dimensions: Number of dimensions, for models that support shortening.
        encoding_format: Transfer encoding; `base64` is shorter and is decoded.
        user: Identifier of the end user, for the service's abuse monitoring.

    Source: https://platform.openai.com/docs/api-reference/embeddings/create
    """

    _: KW_ONLY
    input: EmbeddingInput
    model: str
    dimensions: Annotated[int, Ge(1)] | None = None
    encoding_format: Literal["float", "base64"] | None = None
    user: str | None = None
