"""The seam between the service and whatever trains and generates.

An `Engine` knows its tokens and hands out `EngineModel`s. An `EngineModel` is one set of weights
that never
changes: it generates, scores, embeds, and is where a `Training` starts. So

    engine.base("davinci-002").train(spec)   → Training: iterate it for the steps
    training.snapshot()                      → Model: the weights after the last step taken
    model.generate(tokens, spec)             → Generation: iterate it for the tokens
    model.to_bytes(), engine.load(data)      → kept in a store and back

Everything is lazy and nothing awaits: work is done while an iterator is advanced, so a slow engine
is advanced in a worker thread, and to cancel is to stop advancing. What an engine computes depends
on its input and the seed alone.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, TypeAlias, runtime_checkable

FinishReason: TypeAlias = Literal["stop", "length"]


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """One turn of a conversation, as text.

    Args:
        role: `system`, `developer`, `user`, `assistant`, `tool` or `function`.
        content: The text; what else the turn held (tool calls, images) as the service writes it.
        weight: How much training counts the turn; None is 1 for `assistant`, 0 for the others.
    """

    role: str
    content: str
    weight: float | None = None


@dataclass(frozen=True, slots=True)
class CompletionTrainingExample:
    """A prompt and the completion to learn, which ends where the text ends."""

    prompt: str
    completion: str


@dataclass(frozen=True, slots=True)
class ChatTrainingExample:
    """A conversation whose assistant turns are learnt."""

    messages: tuple[ChatMessage, ...]


@dataclass(frozen=True, slots=True)
class PreferenceTrainingExample:
    """A conversation with an answer to prefer to another (direct preference optimisation)."""

    messages: tuple[ChatMessage, ...]
    preferred: tuple[ChatMessage, ...]
    non_preferred: tuple[ChatMessage, ...]


@dataclass(frozen=True, slots=True)
class GradedExample:
    """A conversation whose sampled answers are graded (reinforcement).

    Args:
        messages: What the model answers to.
        grade: The reward of an answer's text, from 0 to 1.
    """

    messages: tuple[ChatMessage, ...]
    grade: Callable[[str], float]


TrainingExample: TypeAlias = (
    CompletionTrainingExample | ChatTrainingExample | PreferenceTrainingExample | GradedExample
)


@dataclass(frozen=True, slots=True)
class TrainingSpec:
    """What to train on, and how.

    Args:
        examples: All of one kind; at least one.
        validation: Held out: scored on the way, never learnt.
        n_epochs: Passes over the examples; None lets the engine choose, here and below.
        batch_size: Examples a step.
        learning_rate_multiplier: Scales what one step changes.
        prompt_loss_weight: How much prompts count beside completions.
        beta: How far preference training may move from the model it started at.
        seed: Decides the order of the examples and every sample drawn.
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
    """What a training settled on where its spec left the choice."""

    n_epochs: int
    batch_size: int
    learning_rate_multiplier: float


@dataclass(frozen=True, slots=True)
class Metrics:
    """How well a model does on some examples.

    Args:
        loss: Weighted mean of the negative log-probabilities, in nats a token; for preferences
            the loss of the method, for grades 1 less the mean reward.
        mean_token_accuracy: Share of the learnt tokens that were the likeliest ones; for
            preferences the share of pairs ranked as wanted, for grades that of the full ones.
        sequence_accuracy: Share of examples with everything right.
        mean_reward: Mean grade of the sampled answers, for graded examples.
    """

    loss: float
    mean_token_accuracy: float
    sequence_accuracy: float
    mean_reward: float | None = None


@dataclass(frozen=True, slots=True)
class TrainingStep:
    """One step: a batch was scored, then learnt.

    Args:
        step: Counted from 1.
        epoch: The epoch the step belongs to, counted from 1.
        elapsed_tokens: Tokens trained on so far, repetitions included.
        elapsed_examples: Examples trained on so far, repetitions included.
        train: The batch under the weights before the step.
        valid: A validation batch under the weights after it; None without validation data.
        full_valid: All validation data, at the end of each epoch.
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
    """How to continue a prompt: the sampling parameters of the API, under its names.

    Args:
        max_tokens: At most so many; None fills the context window.
        temperature: 0 takes the likeliest token, 1 samples as learnt.
        top_p: Sample from the likeliest tokens that make up this share of the probability.
        stop: Texts that end the completion and are not part of it.
        top_logprobs: How many likeliest alternatives each token is given with.
        logit_bias: Added to the logits, by token id; -100 bans, 100 forces.
        frequency_penalty: Taken off a token's logit for each time it was generated before.
        presence_penalty: Taken off once if it was.
        seed: Same seed, same completion.
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
    r"""A token with its probability.

    Args:
        id: Its number in the vocabulary.
        token: Its text as the API writes it: `bytes:\xe2\x80` where it is no whole character.
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
    """A token of a prompt or a completion.

    Args:
        token: The token itself.
        top: The likeliest tokens in its place, best first.
        text: What it adds to the text: empty until a character's bytes are complete, cut where a
            stop text begins.
    """

    token: TokenLogprob
    top: tuple[TokenLogprob, ...]
    text: str


class Generation(Protocol):
    """A completion in the making: iterate it once; it says at the end how it ended."""

    def __iter__(self) -> Iterator[ScoredToken]:
        """Yield each token as soon as it is sure that no stop text begins in it."""
        ...

    @property
    def finish_reason(self) -> FinishReason | None:
        """`stop` (end of text, stop text) or `length`; None while tokens may come."""
        ...

    @property
    def n_tokens(self) -> int:
        """Tokens generated so far, those of a stop text included."""
        ...


class Training(Protocol):
    """A training run: iterate it once, as far as wanted."""

    @property
    def hyperparameters(self) -> Hyperparameters:
        """What is trained with; known before the first step."""
        ...

    @property
    def total_steps(self) -> int:
        """Steps of all epochs together; known before the first step."""
        ...

    def __iter__(self) -> Iterator[TrainingStep]:
        """Yield each step after it was made."""
        ...

    def snapshot(self) -> "EngineModel":
        """Return the weights after the last step taken, which later steps do not change."""
        ...


class EngineModel(Protocol):
    """One set of weights. It never changes, so tasks may share it."""

    def train(self, spec: TrainingSpec, /) -> Training:
        """Start a training from these weights.

        Raises:
            ValueError: There are no examples, or they are of several kinds.
        """
        ...

    def generate(self, prompt: Sequence[int], spec: GenerationSpec, /) -> Generation:
        """Continue a prompt of token ids."""
        ...

    def score(self, tokens: Sequence[int], /, *, top_logprobs: int = 0) -> list[ScoredToken]:
        """Give each token its probability after those before it (`echo` with `logprobs`)."""
        ...

    def embed(self, text: str, /, *, dimensions: int) -> list[float]:
        """Give a text's direction: a vector of length 1, nearer for more similar texts."""
        ...

    def to_bytes(self) -> bytes:
        """Write what `Engine.load` reads."""
        ...


@runtime_checkable
class Engine(Protocol):
    """A vocabulary and the models that speak it."""

    @property
    def context_window(self) -> int:
        """How many tokens a prompt and its completion may have together."""
        ...

    @property
    def end_of_text(self) -> int:
        """Id of the token that ends a text; alone it is the empty prompt."""
        ...

    def encode(self, text: str, /) -> list[int]:
        """Split a text into token ids; `decode` gives back exactly this text."""
        ...

    def decode(self, tokens: Sequence[int], /) -> str:
        """Join token ids; incomplete characters become U+FFFD.

        Raises:
            ValueError: An id is not in the vocabulary.
        """
        ...

    def encode_chat(self, messages: Sequence[ChatMessage], /) -> list[int]:
        """Write a conversation as the prompt after which the assistant answers."""
        ...

    def base(self, name: str, /) -> EngineModel:
        """Return an untuned model; the service decides which names there are."""
        ...

    def load(self, data: bytes, /) -> EngineModel:
        """Read a model that `EngineModel.to_bytes` wrote.

        Raises:
            ValueError: The data is not a model of this engine.
        """
        ...
