"""Interface between the service and an engine that trains and generates.

An `Engine` has a vocabulary and returns `EngineModel`s: immutable sets of weights that generate,
score and embed, and from which a `Training` starts.

    engine.base("davinci-002").train(spec)   → Training: iterate over its steps
    training.snapshot()                      → EngineModel: the weights after the last step
    model.generate(tokens, spec)             → Generation: iterate over its tokens
    model.to_bytes(), engine.load(data)      → storage

Everything is lazy and synchronous: work is done while an iterator is advanced, in a worker thread
if the engine is slow, and is cancelled by not advancing it. Results depend on inputs and seeds
only.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, TypeAlias, runtime_checkable

FinishReason: TypeAlias = Literal["stop", "length"]


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """Turn of a conversation, as text.

    Args:
        role: `system`, `developer`, `user`, `assistant`, `tool` or `function`.
        content: The text, including tool calls and placeholders of images.
        weight: Weight of the turn in training; None is 1 for `assistant`, 0 for the others.
    """

    role: str
    content: str
    weight: float | None = None


@dataclass(frozen=True, slots=True)
class CompletionTrainingExample:
    """A prompt and the completion to learn, including its end."""

    prompt: str
    completion: str


@dataclass(frozen=True, slots=True)
class ChatTrainingExample:
    """A conversation whose assistant turns are learnt."""

    messages: tuple[ChatMessage, ...]


@dataclass(frozen=True, slots=True)
class PreferenceTrainingExample:
    """A conversation with a preferred and a non-preferred answer (preference optimization)."""

    messages: tuple[ChatMessage, ...]
    preferred: tuple[ChatMessage, ...]
    non_preferred: tuple[ChatMessage, ...]


@dataclass(frozen=True, slots=True)
class GradedExample:
    """A conversation whose sampled answers are graded (reinforcement).

    Args:
        messages: The conversation.
        grade: Returns the reward of an answer's text, from 0 to 1.
    """

    messages: tuple[ChatMessage, ...]
    grade: Callable[[str], float]


TrainingExample: TypeAlias = (
    CompletionTrainingExample | ChatTrainingExample | PreferenceTrainingExample | GradedExample
)


@dataclass(frozen=True, slots=True)
class TrainingSpec:
    """Training data and hyperparameters.

    Args:
        examples: Training examples, all of one kind; at least one.
        validation: Held-out examples, which are scored but not learnt.
        n_epochs: Passes over the examples; None lets the engine choose, here and below.
        batch_size: Examples per step.
        learning_rate_multiplier: Factor of the engine's learning rate.
        prompt_loss_weight: Weight of prompt tokens beside completion tokens.
        beta: Strength of the constraint to the initial model in preference training.
        seed: Seed of the order of examples and of all samples.
    """

    examples: Sequence[TrainingExample]
    validation: Sequence[TrainingExample] = ()
    n_epochs: int | None = None
    batch_size: int | None = None
    learning_rate_multiplier: float | None = None
    prompt_loss_weight: float = 0.01
    beta: float = 0.1
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Hyperparameters:
    """Hyperparameters of a training, including those that the engine chose."""

    n_epochs: int
    batch_size: int
    learning_rate_multiplier: float


@dataclass(frozen=True, slots=True)
class Metrics:
    """Metrics of a model on some examples.

    Args:
        loss: Weighted mean of the negative log-probabilities, in nats per token; for preferences
            the loss of the method, for graded examples 1 minus the mean reward.
        mean_token_accuracy: Share of the learnt tokens that were the most likely ones; for
            preferences the share of correctly ranked pairs, for graded examples that of the full
            rewards.
        sequence_accuracy: Share of examples without an error.
        mean_reward: Mean reward of the sampled answers, for graded examples.
    """

    loss: float
    mean_token_accuracy: float
    sequence_accuracy: float
    mean_reward: float | None = None


@dataclass(frozen=True, slots=True)
class TrainingStep:
    """One step of a training: a batch was scored, then learnt.

    Args:
        step: Number of the step, from 1.
        epoch: Number of its epoch, from 1.
        elapsed_tokens: Tokens trained on so far, including repetitions.
        elapsed_examples: Examples trained on so far, including repetitions.
        train: Metrics of the batch before the step.
        valid: Metrics of a validation batch after the step; None without validation data.
        full_valid: Metrics of all validation data, at the end of each epoch.
    """

    step: int
    epoch: int
    elapsed_tokens: int
    elapsed_examples: int
    train: Metrics
    valid: Metrics | None = None
    full_valid: Metrics | None = None


@dataclass(frozen=True, slots=True)
class GenerationSpec:
    """Sampling parameters, under the API's names.

    Args:
        max_tokens: Maximum number of tokens; None for the rest of the context window.
        temperature: 0 takes the most likely token, 1 samples from the model's distribution.
        top_p: Share of the probability from whose most likely tokens to sample.
        stop: Texts that end the completion and are left out.
        top_logprobs: Number of alternatives to return for each token.
        logit_bias: Added to the logits, by token id; -100 bans, 100 forces.
        frequency_penalty: Subtracted from a token's logit for each time it was generated before.
        presence_penalty: Subtracted once if it was.
        seed: Seed of the samples.
    """

    max_tokens: int | None = 16
    temperature: float = 1.0
    top_p: float = 1.0
    stop: tuple[str, ...] = ()
    top_logprobs: int = 0
    logit_bias: Mapping[int, float] = field(default_factory=dict[int, float])
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    seed: int | str = 0


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    r"""Token with its log-probability.

    Args:
        id: Its id in the vocabulary.
        token: Its text in the API's notation: `bytes:\xe2\x80` for an incomplete character.
        token_bytes: Its bytes.
        logprob: Natural logarithm of its probability under the weights alone: before temperature,
            bias and penalties.
    """

    id: int
    token: str
    token_bytes: bytes
    logprob: float


@dataclass(frozen=True, slots=True)
class ScoredToken:
    """Token of a prompt or a completion.

    Args:
        token: The token.
        top: The most likely tokens in its place, best first.
        text: The text that it adds: empty until a character's bytes are complete, and truncated
            where a stop text begins.
    """

    token: TokenLogprob
    top: tuple[TokenLogprob, ...]
    text: str


class Generation(Protocol):
    """Completion in progress; iterate over it once."""

    def __iter__(self) -> Iterator[ScoredToken]:
        """Yield each token as soon as no stop text can begin in it."""
        ...

    @property
    def finish_reason(self) -> FinishReason | None:
        """`stop` (end of text, stop text) or `length`; None until the end."""
        ...

    @property
    def n_tokens(self) -> int:
        """Number of tokens generated so far, including those of a stop text."""
        ...


class Training(Protocol):
    """Training in progress; iterate over it once, to its end or not."""

    @property
    def hyperparameters(self) -> Hyperparameters:
        """The hyperparameters; known before the first step."""
        ...

    @property
    def total_steps(self) -> int:
        """Number of steps of all epochs; known before the first step."""
        ...

    def __iter__(self) -> Iterator[TrainingStep]:
        """Yield each completed step."""
        ...

    def snapshot(self) -> "EngineModel":
        """Return the weights after the last completed step."""
        ...


class EngineModel(Protocol):
    """Immutable set of weights, which may be shared by tasks."""

    def train(self, spec: TrainingSpec, /) -> Training:
        """Start a training from these weights.

        Raises:
            ValueError: The list of examples is empty, or they are of several kinds.
        """
        ...

    def generate(self, prompt: Sequence[int], spec: GenerationSpec, /) -> Generation:
        """Complete a prompt of token ids."""
        ...

    def score(self, tokens: Sequence[int], /, *, top_logprobs: int = 0) -> list[ScoredToken]:
        """Return the log-probability of each token after those before it."""
        ...

    def embed(self, text: str, /, *, dimensions: int) -> list[float]:
        """Return the embedding of a text: a vector of length 1."""
        ...

    def to_bytes(self) -> bytes:
        """Serialize the weights for `Engine.load`."""
        ...


@runtime_checkable
class Engine(Protocol):
    """Vocabulary and its models."""

    @property
    def context_window(self) -> int:
        """Maximum number of tokens of a prompt and its completion together."""
        ...

    @property
    def end_of_text(self) -> int:
        """Id of the token that ends a text; alone it is the empty prompt."""
        ...

    def encode(self, text: str, /) -> list[int]:
        """Split a text into token ids; `decode` restores it exactly."""
        ...

    def decode(self, tokens: Sequence[int], /) -> str:
        """Join token ids to a text; incomplete characters become U+FFFD.

        Raises:
            ValueError: An id is not in the vocabulary.
        """
        ...

    def encode_chat(self, messages: Sequence[ChatMessage], /) -> list[int]:
        """Return the prompt of the assistant's next turn in a conversation."""
        ...

    def base(self, name: str, /) -> EngineModel:
        """Return a base model; the service decides which names exist."""
        ...

    def load(self, data: bytes, /) -> EngineModel:
        """Load a model that `EngineModel.to_bytes` serialized.

        Raises:
            ValueError: The data is not a model of this engine.
        """
        ...
