"""Interface between the service and an engine that trains and generates.

    engine.models                                → catalogue: names and abilities
    await engine.open("gpt-4o-mini")             → EngineModel: weights with their tokenizer
    model.generate(tokens, spec)                 → Generation: async iterator of tokens
    await model.train(spec, folder)              → TrainingRun: start, poll, pause, cancel
    await run.save(step, other_folder)
    await engine.open("gpt-4o-mini", other_folder)

Work is awaited and never blocks the event loop; `service.engines.threads` helps engines whose code
is synchronous. Weights and unfinished trainings are folders, so they outlive the process. Results
depend on inputs and seeds only.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

from tunesmith.known_models import Ability
from tunesmith.service.engines.generation import Generation, GenerationSpec, ScoredToken
from tunesmith.service.engines.training import TrainingRun, TrainingSpec
from tunesmith.training_rules import Format

__all__ = ["Engine", "EngineError", "EngineFailureError", "EngineModel", "ModelInfo", "Tokenizer"]


class EngineError(ValueError):
    """Request that an engine refuses, or training that failed.

    Args:
        message: The problem and its fix, for the user.
        param: The invalid parameter of the request.
    """

    def __init__(self, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param


class EngineFailureError(EngineError):
    """Failure of the engine itself, after which the same request may succeed: a 500, not a 400."""


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """Entry of an engine's catalogue.

    Args:
        name: Name of the base model in the API.
        abilities: Endpoints that it and its tuned models serve, and methods of fine-tuning.
        context_window: Maximum number of tokens of a prompt and its completion together.
        dimensions: Number of dimensions of its embeddings.
        fixed_dimensions: Whether requests cannot choose fewer dimensions.
        structured: How texts that must be JSON are made: `constrained` by the engine
            (`GenerationSpec.json_schema`), `sampled` by the service from the schema alone, as a
            test double, or `refused`.
        tool_calls: How tools are called: calls are `generated` by the engine
            (`GenerationSpec.tool_calls`), `emulated` by the service where the request requires
            one, as JSON texts of the parameters' schema, or requests with tools are `refused`.
        reasons: Whether responses begin with a reasoning item.
        created: Unix time of its creation.
        owned_by: Its owner.
        shutdown: Date of its shutdown, for models of the past.
    """

    name: str
    abilities: frozenset[Ability]
    context_window: int = 16_384
    dimensions: int | None = None
    fixed_dimensions: bool = False
    structured: Literal["constrained", "sampled", "refused"] = "refused"
    tool_calls: Literal["generated", "emulated", "refused"] = "emulated"
    reasons: bool = False
    created: int = 1_649_358_449
    owned_by: str = "openai"
    shutdown: date | None = None

    def can(self, *abilities: Ability) -> bool:
        """Return whether the model has any of these abilities."""
        return not self.abilities.isdisjoint(abilities)

    @property
    def completes_only(self) -> bool:
        """Whether the model completes prompts but does not chat."""
        return self.can("completions") and not self.can("chat")

    @property
    def formats(self) -> Sequence[Format]:
        """Formats of the files that the model can be fine-tuned on."""
        supervised: Format = "completions" if self.completes_only else "chat"
        formats: dict[Ability, Format] = {
            "supervised": supervised,
            "dpo": "dpo",
            "reinforcement": "reinforcement",
        }
        return [value for method, value in formats.items() if self.can(method)]


class Tokenizer(Protocol):
    """Vocabulary and chat template of a model: pure functions, which may be called in threads."""

    @property
    def bos_token_id(self) -> int:
        """Id of the token that begins a text; alone it is the empty prompt."""
        ...

    @property
    def stop_ids(self) -> frozenset[int]:
        """Ids of all tokens that end a text or a turn."""
        ...

    def encode(self, text: str, /) -> list[int]:
        """Split a text into token ids; `decode` restores it exactly.

        A text that contains the spelling of a control token never becomes that token.
        """
        ...

    def decode(self, tokens: Sequence[int], /) -> str:
        """Join token ids to a text; incomplete characters become U+FFFD.

        Raises:
            ValueError: An id is not in the vocabulary.
        """
        ...

    def token_bytes(self, token: int, /) -> bytes:
        """Return the bytes of a token; those of the tokens of a text, joined, are the text.

        Raises:
            ValueError: The id is not in the vocabulary.
        """
        ...

    def encode_chat(
        self, messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]] = (), /
    ) -> list[int]:
        """Return the prompt of the assistant's next turn in a conversation.

        Args:
            messages: Messages of the API, with their content parts and tool calls.
            tools: Tools of the API.

        Raises:
            EngineError: The chat template does not support the messages.
        """
        ...


class EngineModel(Protocol):
    """Immutable set of weights, which may be shared by tasks.

    It may be a mere handle: weights are loaded when they are used first.
    """

    @property
    def tokenizer(self) -> Tokenizer:
        """Vocabulary and chat template."""
        ...

    def generate(self, prompt: Sequence[int], spec: GenerationSpec, /) -> Generation:
        """Complete a prompt of token ids; nothing is generated before the iteration."""
        ...

    async def score(
        self, tokens: Sequence[int], /, *, top_logprobs: int = 0
    ) -> Sequence[ScoredToken]:
        """Return the log-probability of each token after those before it."""
        ...

    async def embed(self, text: str, /, *, dimensions: int) -> Sequence[float]:
        """Return the embedding of a text: a vector of length 1."""
        ...

    async def train(self, spec: TrainingSpec, folder: Path, /) -> TrainingRun:
        """Validate the data and prepare a training from these weights, without starting it.

        Args:
            spec: Training data and hyperparameters.
            folder: Folder of the training alone, which need not exist. If it holds an unfinished
                training of the same spec, as after the process was killed, `start` continues it.

        Raises:
            EngineError: The model cannot be trained in this way.
            InvalidExampleError: A row cannot be learnt.
        """
        ...


@runtime_checkable
class Engine(Protocol):
    """Catalogue of models."""

    @property
    def models(self) -> Sequence[ModelInfo]:
        """The base models."""
        ...

    @property
    def max_trainings(self) -> int | None:
        """Number of trainings at a time; further jobs stay queued. None for no limit."""
        ...

    @property
    def is_simulated(self) -> bool:
        """Whether jobs last as long as their timeline, since the engine itself takes no time."""
        ...

    def check_options(self, model: str, format: Format, options: Mapping[str, Any], /) -> None:
        """Check the engine's own options of a new job, which are its field `tunesmith`.

        Args:
            model: Name of the base model.
            format: Format of the training file.
            options: The options.

        Raises:
            EngineError: An option is unknown or invalid.
        """
        ...

    async def open(self, model: str, folder: Path | None = None, /) -> EngineModel:
        """Open a base model, or weights that were tuned from it.

        Args:
            model: Name of the base model.
            folder: Folder that `TrainingRun.save` wrote.

        Raises:
            EngineError: The folder does not contain weights of this engine.
        """
        ...

    async def aclose(self) -> None:
        """Stop all work; trainings can be continued from their folders."""
        ...
