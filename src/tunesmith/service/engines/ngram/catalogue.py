"""Catalogue of the n-gram engine: all models of the API, by name alone."""

from collections.abc import Iterable, Sequence

from tunesmith.known_models import KNOWN_MODELS, KnownModel, custom_model
from tunesmith.service.engines.base import ModelInfo

__all__ = ["create_catalogue"]

_DIMENSIONS = {"text-embedding-3-large": 3072}
_DEFAULT_DIMENSIONS = 1536
_FIXED_DIMENSIONS = "text-embedding-ada-002"
_EMBEDDING_WINDOW = 8192


def create_catalogue(names: Iterable[str] = ()) -> Sequence[ModelInfo]:
    """Return the models of the API, and others that have every ability.

    Args:
        names: Names of the others.
    """
    known = {**KNOWN_MODELS, **{name: custom_model(name) for name in names}}
    return [_to_info(model) for model in known.values()]


def _to_info(model: KnownModel) -> ModelInfo:
    embeds_only = model.can("embeddings") and not model.can("chat", "completions")
    return ModelInfo(
        model.name,
        model.abilities,
        context_window=_EMBEDDING_WINDOW if embeds_only else 16_384,
        dimensions=_DIMENSIONS.get(model.name, _DEFAULT_DIMENSIONS),
        fixed_dimensions=model.name == _FIXED_DIMENSIONS,
        structured="sampled",
        reasons=model.name.startswith("o"),
        shutdown=model.shutdown,
    )
