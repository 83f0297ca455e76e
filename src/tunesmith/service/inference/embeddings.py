"""Embeddings of texts."""

import base64
import struct
from collections.abc import Sequence

from anyio.lowlevel import checkpoint

from tunesmith.operations.embeddings import CreateEmbedding
from tunesmith.service.core.errors import invalid
from tunesmith.service.core.handlers import handles
from tunesmith.service.engines.base import EngineModel, ModelInfo
from tunesmith.service.inference.capabilities import check_context_length, require_embedding_model
from tunesmith.service.inference.sampling import InferenceContext
from tunesmith.service.inference.stubs import EmbeddingStubs
from tunesmith.types.base import APIModel, APIResponse
from tunesmith.types.completions import CompletionUsage
from tunesmith.types.embeddings import CreateEmbeddingResponse

__all__ = ["Embeddings", "EncodedEmbedding", "EncodedEmbeddings"]

_MAX_REQUEST_TOKENS = 300_000


class EncodedEmbedding(APIModel):
    """Embedding as base64; the client's type has it as numbers."""

    object: str
    index: int
    embedding: str


class EncodedEmbeddings(APIResponse):
    """Embeddings of all inputs as base64."""

    object: str
    data: list[EncodedEmbedding]
    model: str
    usage: CompletionUsage


class Embeddings:
    """Embeddings by an engine or by stubs: vectors of length 1, closer for more similar texts.

    Args:
        context: Dependencies shared by all endpoints that run models.
        stubs: Stubbed embeddings.
    """

    def __init__(self, context: InferenceContext, stubs: EmbeddingStubs) -> None:
        self._context = context
        self._stubs = stubs

    @handles(CreateEmbedding)
    async def create(
        self, operation: CreateEmbedding
    ) -> CreateEmbeddingResponse | EncodedEmbeddings:
        """Embed each input."""
        context = self._context
        require_embedding_model(context.models, operation.model)
        info = context.models.info_of(operation.model)
        dimensions = _dimensions(operation, info)
        model = await context.work(context.models.open(operation.model))
        texts = _read_texts(operation, model)
        n_tokens = 0
        for text in texts:
            count = len(await context.encode(model, text, info.context_window, "input"))
            check_context_length(count, 0, info.context_window)
            n_tokens += count
            if n_tokens > _MAX_REQUEST_TOKENS:
                raise invalid(
                    f"The inputs have more than {_MAX_REQUEST_TOKENS} tokens in all, which is the "
                    "maximum of a request. Split them over several requests.",
                    "input",
                )
        await checkpoint()
        is_encoded = operation.encoding_format == "base64"
        data: list[dict[str, object]] = []
        for index, text in enumerate(texts):
            vector = await self._embed(operation, model, text, dimensions)
            embedding = _to_base64(vector) if is_encoded else vector
            data.append({"object": "embedding", "index": index, "embedding": embedding})
        fields = {
            "object": "list",
            "data": data,
            "model": operation.model,
            "usage": {"prompt_tokens": n_tokens, "total_tokens": n_tokens},
        }
        return (EncodedEmbeddings if is_encoded else CreateEmbeddingResponse).model_validate(fields)

    async def _embed(
        self, operation: CreateEmbedding, model: EngineModel, text: str, dimensions: int
    ) -> Sequence[float]:
        stub = self._stubs.find(operation, text)
        if stub is not None:
            return stub
        return await self._context.work(model.embed(text, dimensions=dimensions))


def _read_texts(operation: CreateEmbedding, model: EngineModel) -> list[str]:
    value = operation.input
    if isinstance(value, str):
        inputs: list[str | Sequence[int]] = [value]
    else:
        ids = [item for item in value if isinstance(item, int)]
        inputs = [ids] if ids else [item for item in value if not isinstance(item, int)]
    if not inputs or not all(inputs):
        raise invalid(
            "'$.input' is invalid. Please check the API reference: "
            "https://platform.openai.com/docs/api-reference."
        )
    try:
        return [item if isinstance(item, str) else model.tokenizer.decode(item) for item in inputs]
    except ValueError:
        raise invalid("Invalid token ids: not all are in the vocabulary", "input") from None


def _dimensions(operation: CreateEmbedding, info: ModelInfo) -> int:
    maximum = info.dimensions or 1
    if operation.dimensions is None:
        return maximum
    if info.fixed_dimensions:
        raise invalid("This model does not support specifying dimensions.")
    if operation.dimensions > maximum:
        raise invalid(
            f"Invalid value for 'dimensions' = {operation.dimensions}. Must be less than or equal "
            f"to {maximum}.",
            "dimensions",
        )
    return operation.dimensions


def _to_base64(vector: Sequence[float]) -> str:
    """Encode a vector as the API does: 32-bit floats, little-endian, in base64."""
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
