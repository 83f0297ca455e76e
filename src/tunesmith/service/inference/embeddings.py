"""The room of embeddings: the direction of a text's meaning."""

import base64
import struct
from collections.abc import Sequence

from anyio.lowlevel import checkpoint

from tunesmith.operations.embeddings import CreateEmbedding
from tunesmith.service.core.errors import invalid
from tunesmith.service.core.models import Models
from tunesmith.service.engines.base import Engine
from tunesmith.service.inference.capabilities import check_context_length, require_embedding_model
from tunesmith.service.inference.stubs import EmbeddingStubs
from tunesmith.types.base import APIModel, APIResponse
from tunesmith.types.completions import CompletionUsage
from tunesmith.types.embeddings import CreateEmbeddingResponse

__all__ = ["Embeddings", "EncodedEmbedding", "EncodedEmbeddings"]

_DIMENSIONS = {
    "text-embedding-ada-002": 1536,
    "text-embedding-3-small": 1536,
    "text-embedding-3-large": 3072,
}
_FIXED = "text-embedding-ada-002"
_WINDOW = 8192


class EncodedEmbedding(APIModel):
    """A vector as it is sent where `base64` is asked for: the client's type has it as numbers."""

    object: str
    index: int
    embedding: str


class EncodedEmbeddings(APIResponse):
    """The vectors of all inputs as base64."""

    object: str
    data: list[EncodedEmbedding]
    model: str
    usage: CompletionUsage


class Embeddings:
    """Turns texts into vectors of length 1, nearer to each other for more similar texts.

    Args:
        engine: Knows tokens.
        models: Knows the weights.
        vectors: Embeddings given by hand.
    """

    def __init__(self, *, engine: Engine, models: Models, vectors: EmbeddingStubs) -> None:
        self._engine = engine
        self._models = models
        self._vectors = vectors

    async def create(
        self, operation: CreateEmbedding
    ) -> CreateEmbeddingResponse | EncodedEmbeddings:
        """Embed the inputs, each for itself."""
        require_embedding_model(self._models, operation.model)
        dimensions = _dimensions(operation)
        model = self._models.resolve(operation.model)
        texts = self._texts(operation)
        tokens = [len(self._engine.encode(text)) for text in texts]
        for count in tokens:
            check_context_length(count, 0, _WINDOW)
        await checkpoint()
        vectors = (
            self._vectors.find(operation, text) or model.embed(text, dimensions=dimensions)
            for text in texts
        )
        encoded = operation.encoding_format == "base64"
        data = [
            {"object": "embedding", "index": index, "embedding": _base64(v) if encoded else v}
            for index, v in enumerate(vectors)
        ]
        fields = {
            "object": "list",
            "data": data,
            "model": operation.model,
            "usage": {"prompt_tokens": sum(tokens), "total_tokens": sum(tokens)},
        }
        return (EncodedEmbeddings if encoded else CreateEmbeddingResponse).model_validate(fields)

    def _texts(self, asked: CreateEmbedding) -> list[str]:
        given = asked.input
        if isinstance(given, str):
            inputs: list[str | Sequence[int]] = [given]
        else:
            ids = [each for each in given if isinstance(each, int)]
            inputs = [ids] if ids else [each for each in given if not isinstance(each, int)]
        if not inputs or not all(inputs):
            raise invalid(
                "'$.input' is invalid. Please check the API reference: "
                "https://platform.openai.com/docs/api-reference."
            )
        return [each if isinstance(each, str) else self._decoded(each) for each in inputs]

    def _decoded(self, tokens: Sequence[int]) -> str:
        try:
            return self._engine.decode(tokens)
        except ValueError:
            raise invalid("Invalid token ids: not all are in the vocabulary", "input") from None


def _dimensions(asked: CreateEmbedding) -> int:
    most = _DIMENSIONS.get(asked.model, _DIMENSIONS[_FIXED])
    if asked.dimensions is None:
        return most
    if asked.model == _FIXED:
        raise invalid("This model does not support specifying dimensions.")
    if asked.dimensions > most:
        raise invalid(
            f"Invalid value for 'dimensions' = {asked.dimensions}. Must be less than or equal to "
            f"{most}.",
            "dimensions",
        )
    return asked.dimensions


def _base64(vector: Sequence[float]) -> str:
    """Write a vector as the API does: 32-bit floats, little-endian, in base64."""
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
