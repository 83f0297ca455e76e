"""Cache of trainings.

A training depends on its initial weights, its spec and its seed alone, so it is stored under a
digest of these. Weights are read when they are used.
"""

import hashlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from importlib.metadata import version
from typing import Protocol

from pydantic import BaseModel, ConfigDict, ValidationError

from tunesmith.service.engines.base import (
    ChatMessage,
    Engine,
    EngineModel,
    Generation,
    GenerationSpec,
    GradedExample,
    Hyperparameters,
    ScoredToken,
    Training,
    TrainingSpec,
    TrainingStep,
)

__all__ = ["CachingEngine", "TrainingCache"]

_STORED_WEIGHTS = 10
"""Number of epochs whose weights are stored; a job uses three."""


class TrainingCache(Protocol):
    """Storage of trainings."""

    def find_training(self, key: str, /) -> bytes | None:
        """Return the record of a training."""
        ...

    def find_weights(self, key: str, step: int, /) -> bytes | None:
        """Return the weights after a step."""
        ...

    def store_training(self, key: str, record: bytes, weights: Mapping[int, bytes], /) -> None:
        """Store a training."""
        ...


class _Record(BaseModel):
    """A training without its weights."""

    model_config = ConfigDict(ser_json_inf_nan="constants")

    hyperparameters: Hyperparameters
    steps: list[TrainingStep]


class CachingEngine:
    """Engine that looks up trainings in a cache.

    Args:
        engine: The engine.
        cache: Storage of trainings.
    """

    def __init__(self, engine: Engine, cache: TrainingCache) -> None:
        self._engine = engine
        self._cache = cache
        self._kind = f"{type(engine).__module__}.{type(engine).__qualname__}"

    @property
    def is_fast(self) -> bool:
        """Whether the service may generate on the event loop instead of in threads."""
        return getattr(self._engine, "is_fast", False)

    @property
    def context_window(self) -> int:
        """Maximum number of tokens of a prompt and its completion."""
        return self._engine.context_window

    @property
    def end_of_text(self) -> int:
        """Id of the token that ends a text."""
        return self._engine.end_of_text

    def encode(self, text: str, /) -> list[int]:
        """Split a text into token ids."""
        return self._engine.encode(text)

    def decode(self, tokens: Sequence[int], /) -> str:
        """Join token ids."""
        return self._engine.decode(tokens)

    def encode_chat(self, messages: Sequence[ChatMessage], /) -> list[int]:
        """Write a conversation as the prompt after which the assistant answers."""
        return self._engine.encode_chat(messages)

    def base(self, name: str, /) -> EngineModel:
        """Return an untuned model."""
        return _Model(self, f"{self._kind}:{name}", lambda: self._engine.base(name))

    def load(self, data: bytes, /) -> EngineModel:
        """Read a model that `EngineModel.to_bytes` wrote."""
        model = self._engine.load(data)
        return _Model(self, f"bytes:{hashlib.sha256(data).hexdigest()}", lambda: model)

    def cached_or_new(self, key: str, start: "_Model", spec: TrainingSpec) -> Training:
        """Return a cached training, or start it."""
        record = self._cache.find_training(key)
        if record is not None:
            try:
                return _CachedTraining(self, key, _Record.model_validate_json(record), start, spec)
            except ValidationError:
                pass  # an unreadable entry is replaced
        return _RecordingTraining(self, key, start.model().train(spec))

    def model_at_step(self, key: str, step: int, retrain: Callable[[], Training]) -> EngineModel:
        """Return the model after a step; the weights are read when they are used."""

        def load() -> EngineModel:
            data = self._cache.find_weights(key, step)
            if data is not None:
                with suppress(ValueError):  # unreadable weights are computed again
                    return self._engine.load(data)
            training = retrain()
            for made in training:
                if made.step == step:
                    break
            return training.snapshot()

        return _Model(self, _step_key(key, step), load)

    def store(self, key: str, record: _Record, weights: Mapping[int, EngineModel]) -> None:
        """Store a complete training."""
        last = list(weights)[-_STORED_WEIGHTS:]
        data = {step: weights[step].to_bytes() for step in last}
        self._cache.store_training(key, record.model_dump_json().encode(), data)


class _Model:
    """Weights with a key, loaded when they are used."""

    def __init__(self, engine: CachingEngine, key: str, load: Callable[[], EngineModel]) -> None:
        self._engine = engine
        self._key = key
        self._load = load
        self._model: EngineModel | None = None
        self._loading = threading.Lock()

    def model(self) -> EngineModel:
        with self._loading:
            if self._model is None:
                self._model = self._load()
            return self._model

    def train(self, spec: TrainingSpec, /) -> Training:
        key = _key(self._key, spec)
        if key is None:
            return self.model().train(spec)
        return self._engine.cached_or_new(key, self, spec)

    def generate(self, prompt: Sequence[int], spec: GenerationSpec, /) -> Generation:
        return self.model().generate(prompt, spec)

    def score(self, tokens: Sequence[int], /, *, top_logprobs: int = 0) -> list[ScoredToken]:
        return self.model().score(tokens, top_logprobs=top_logprobs)

    def embed(self, text: str, /, *, dimensions: int) -> list[float]:
        return self.model().embed(text, dimensions=dimensions)

    def to_bytes(self) -> bytes:
        return self.model().to_bytes()


class _RecordingTraining:
    """Training that is stored once it is complete."""

    def __init__(self, engine: CachingEngine, key: str, training: Training) -> None:
        self._engine = engine
        self._key = key
        self._training = training
        self._steps: list[TrainingStep] = []
        self._weights: dict[int, EngineModel] = {}

    @property
    def hyperparameters(self) -> Hyperparameters:
        return self._training.hyperparameters

    @property
    def total_steps(self) -> int:
        return self._training.total_steps

    def __iter__(self) -> Iterator[TrainingStep]:
        for step in self._training:
            self._steps.append(step)
            yield step

    def snapshot(self) -> EngineModel:
        weights = self._training.snapshot()
        number = len(self._steps)
        self._weights[number] = weights
        if number == self.total_steps:
            record = _Record(hyperparameters=self.hyperparameters, steps=self._steps)
            self._engine.store(self._key, record, self._weights)
        return _Model(self._engine, _step_key(self._key, number), lambda: weights)


class _CachedTraining:
    """Training that is read from the cache."""

    def __init__(
        self,
        engine: CachingEngine,
        key: str,
        record: _Record,
        start: _Model,
        spec: TrainingSpec,
    ) -> None:
        self._engine = engine
        self._key = key
        self._record = record
        self._retrain: Callable[[], Training] = lambda: start.model().train(spec)
        self._step = 0

    @property
    def hyperparameters(self) -> Hyperparameters:
        return self._record.hyperparameters

    @property
    def total_steps(self) -> int:
        return len(self._record.steps)

    def __iter__(self) -> Iterator[TrainingStep]:
        for step in self._record.steps:
            self._step = step.step
            yield step

    def snapshot(self) -> EngineModel:
        engine, key = self._engine, self._key
        return engine.model_at_step(key, self._step, self._retrain)


def _step_key(key: str, step: int) -> str:
    return f"{key}:{step}"


def _key(start: str, spec: TrainingSpec) -> str | None:
    """Return a digest of the inputs of a training; None if they cannot be identified."""
    digest = hashlib.sha256()
    for examples in (spec.examples, spec.validation):
        for example in examples:
            text = repr(example)
            if isinstance(example, GradedExample) and " at 0x" in text:
                return None  # the repr of a plain function does not identify it
            digest.update(text.encode("utf-8", "surrogatepass"))
        digest.update(b"\0")
    chosen = (
        version("tunesmith"),
        start,
        spec.n_epochs,
        spec.batch_size,
        spec.learning_rate_multiplier,
        spec.prompt_loss_weight,
        spec.beta,
        spec.seed,
    )
    digest.update(repr(chosen).encode())
    return digest.hexdigest()
