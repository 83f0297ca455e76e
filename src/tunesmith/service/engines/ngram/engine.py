"""The default engine: n-gram models in plain Python, which are trained within moments.

Base models are trained on a page of English. See `context_tree` for the model, `objectives` for the
methods of training, and `encoding` for the format of examples.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from anyio.to_thread import run_sync

from tunesmith.known_models import KNOWN_MODELS, KnownModel, custom_model
from tunesmith.service.engines.base import EngineError, ModelInfo
from tunesmith.service.engines.generation import GenerationSpec, ScoredToken
from tunesmith.service.engines.ngram.context_tree import ContextTree
from tunesmith.service.engines.ngram.generation import TextGeneration
from tunesmith.service.engines.ngram.inference import Weights
from tunesmith.service.engines.ngram.tokenizer import (
    END_OF_TEXT,
    Tokenizer,
    load_corpus,
    standard_tokenizer,
)
from tunesmith.service.engines.ngram.training import NGramTraining
from tunesmith.service.engines.ngram.weights import load_weights
from tunesmith.service.engines.threads import ThreadedTrainingRun
from tunesmith.service.engines.training import TrainingSpec
from tunesmith.service.grading import embed
from tunesmith.training_rules import Format

__all__ = ["NGramEngine", "NGramModel"]

T = TypeVar("T")

# The page has a lower weight than training data.
_BASE_RATE = 0.3
# Inputs larger than this, in characters or tokens, are processed in a worker thread.
_INLINE_SIZE = 4096
_DIMENSIONS = {"text-embedding-3-large": 3072}
_DEFAULT_DIMENSIONS = 1536
_FIXED_DIMENSIONS = "text-embedding-ada-002"
_EMBEDDING_WINDOW = 8192


class NGramModel:
    """Immutable n-gram model.

    Args:
        weights: Its counts.
    """

    def __init__(self, weights: Weights) -> None:
        self.weights = weights

    @property
    def tokenizer(self) -> Tokenizer:
        """The vocabulary, which is the same for all models."""
        return self.weights.tokenizer

    def generate(self, prompt: Sequence[int], spec: GenerationSpec, /) -> TextGeneration:
        """Complete a prompt of token ids."""
        return self.weights.sample(prompt, spec)

    async def score(self, tokens: Sequence[int], /, *, top_logprobs: int = 0) -> list[ScoredToken]:
        """Return the log-probability of each token after those before it."""
        size = len(tokens) * (1 + top_logprobs)
        return await _run(lambda: self.weights.score_tokens(tokens, top_logprobs), size)

    async def embed(self, text: str, /, *, dimensions: int) -> list[float]:
        """Return the embedding of a text, which is the same for all models."""
        return await _run(lambda: embed(text, dimensions), len(text))

    async def train(self, spec: TrainingSpec, folder: Path, /) -> ThreadedTrainingRun:  # noqa: ARG002 - steps are computed again
        """Prepare a training from these weights.

        Raises:
            EngineError: The list of examples is empty.
        """
        return ThreadedTrainingRun(await run_sync(lambda: NGramTraining(self.weights, spec)))


class NGramEngine:
    """Engine of n-gram models with one vocabulary.

    Args:
        names: Names of base models beside those of the API.

    Example:
        ```python
        from pathlib import Path

        from tunesmith.service.engines import GenerationSpec, TrainingSpec
        from tunesmith.service.engines.ngram.engine import NGramEngine

        model = await NGramEngine().open("davinci-002")
        rows = [{"prompt": "The sky is", "completion": " blue."}]
        run = await model.train(TrainingSpec("completions", rows), Path("training"))
        await run.start()
        progress = await run.poll(0)
        print(progress.steps[0].train.loss)
        ```
    """

    max_trainings: int | None = None
    """Trainings take moments, so any number may run."""

    is_simulated = True
    """Jobs last as long as their timeline."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        known = {**KNOWN_MODELS, **{name: custom_model(name) for name in names}}
        self.models: Sequence[ModelInfo] = [_to_info(model) for model in known.values()]
        """The names of the API; all are the same small model."""

    def check_options(self, model: str, format: Format, options: Mapping[str, Any], /) -> None:
        """Refuse options: this engine has none.

        Raises:
            EngineError: There is an option.
        """
        del model, format
        for name in options:
            raise EngineError(
                f"Unknown option '{name}': the n-gram engine has no options.", f"tunesmith.{name}"
            )

    async def open(self, model: str, folder: Path | None = None, /) -> NGramModel:
        """Open the base model, which is the same for all names, or tuned weights.

        Raises:
            EngineError: The folder has no weights of this engine.
        """
        del model
        return base_model() if folder is None else NGramModel(await run_sync(load_weights, folder))

    async def aclose(self) -> None:
        """Do nothing."""


@cache
def base_model() -> NGramModel:
    """Return the base model."""
    tokenizer = standard_tokenizer()
    tree = ContextTree(len(tokenizer))
    for paragraph in load_corpus("prose").splitlines():
        tokens = [END_OF_TEXT, *tokenizer.encode(paragraph), END_OF_TEXT]
        for position in range(1, len(tokens)):
            tree.learn(tokens, position, _BASE_RATE, grow=True)
    return NGramModel(Weights(tokenizer, tree))


async def _run(func: Callable[[], T], size: int) -> T:
    return func() if size <= _INLINE_SIZE else await run_sync(func)


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
