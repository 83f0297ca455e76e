"""Weights of n-gram models in folders."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel
from pydantic_core import to_json

from tunesmith.service.engines.base import EngineError
from tunesmith.service.engines.ngram.context_tree import ContextTree
from tunesmith.service.engines.ngram.inference import Weights
from tunesmith.service.engines.ngram.tokenizer import standard_tokenizer

__all__ = ["load_weights", "save_weights"]

_FILENAME = "ngram.json"


class _StoredModel(BaseModel):
    """Serialized model."""

    format: Literal["tunesmith-ngram-1"] = "tunesmith-ngram-1"
    n_tokens: int
    separators: tuple[tuple[int, ...], ...]
    counts: list[list[float]]


def save_weights(weights: Weights, folder: Path) -> None:
    """Write weights to a new folder."""
    stored = {
        "format": "tunesmith-ngram-1",
        "n_tokens": len(weights.tokenizer),
        "separators": weights.separators,
        "counts": weights.tree.to_rows(),
    }
    folder.mkdir(parents=True)
    (folder / _FILENAME).write_bytes(to_json(stored))


def load_weights(folder: Path) -> Weights:
    """Read weights that `save_weights` wrote.

    Raises:
        EngineError: The folder has no weights of this engine, or they have a larger vocabulary.
    """
    tokenizer = standard_tokenizer()
    try:
        stored = _StoredModel.model_validate_json((folder / _FILENAME).read_bytes())
        tree = ContextTree.from_rows(len(tokenizer), stored.counts)
    except (OSError, ValueError) as error:
        raise EngineError(f"{folder} has no weights of the n-gram engine: {error}") from error
    if stored.n_tokens > len(tokenizer):
        raise EngineError(
            f"The model has {stored.n_tokens} tokens, this engine {len(tokenizer)}: "
            "it was written by a newer version of tunesmith."
        )
    return Weights(tokenizer, tree, stored.separators)
