"""Generation of text: sampling parameters, tokens with their probabilities, and its progress."""

import hashlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeAlias

__all__ = [
    "FinishReason",
    "Generation",
    "GenerationSpec",
    "ScoredToken",
    "TokenLogprob",
    "ToolCallDelta",
    "ToolCallSpec",
]

FinishReason: TypeAlias = Literal["stop", "length"]


@dataclass(frozen=True, slots=True)
class ToolCallSpec:
    """Tool calls that a text may contain.

    Args:
        functions: Functions that may be called, as the API has them: `name`, `parameters`. Without
            any the text contains no call.
        is_required: Whether the text must consist of a call.
        is_parallel: Whether it may contain several calls.
    """

    functions: Sequence[Mapping[str, Any]] = ()
    is_required: bool = False
    is_parallel: bool = True


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
        json_schema: JSON schema that the text conforms to; only for models whose
            `ModelInfo.structured` is `constrained`.
        tool_calls: Tool calls that the text may contain, if the request has tools; only for models
            whose `ModelInfo.tool_calls` is `generated`.
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
    json_schema: Mapping[str, Any] | None = None
    tool_calls: ToolCallSpec | None = None

    @property
    def seed_number(self) -> int:
        """The seed as a number of 56 bits, for generators that take only numbers."""
        return int.from_bytes(hashlib.sha256(str(self.seed).encode()).digest()[:7], "big")


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
class ToolCallDelta:
    """Part of a tool call; the first part of each call has its name.

    Args:
        name: Name of the function; None in later parts.
        arguments: Part of the arguments, which are JSON.
    """

    name: str | None
    arguments: str = ""


@dataclass(frozen=True, slots=True)
class ScoredToken:
    """Token of a prompt or a completion.

    Args:
        token: The token.
        top: The most likely tokens in its place, best first.
        text: The text that it adds: empty until a character's bytes are complete, and truncated
            where a stop text begins. It has nothing of tool calls.
        tool_calls: The parts of tool calls that it adds, which come after all text.
    """

    token: TokenLogprob
    top: tuple[TokenLogprob, ...]
    text: str
    tool_calls: tuple[ToolCallDelta, ...] = ()


class Generation(Protocol):
    """Completion in progress; iterate over it once."""

    def __aiter__(self) -> AsyncIterator[ScoredToken]:
        """Yield each token as soon as no stop text can begin in it.

        Tokens that end the text (`Tokenizer.stop_ids`) are not yielded.

        Raises:
            EngineError: The model cannot generate with these parameters; raised before the first
                token.
        """
        ...

    @property
    def finish_reason(self) -> FinishReason | None:
        """`stop` (end of text, stop text) or `length`; None until the end."""
        ...

    @property
    def n_tokens(self) -> int:
        """Number of tokens generated so far, including those of a stop text."""
        ...

    async def aclose(self) -> None:
        """Stop generating.

        The service calls it once for each generation, ended or not, possibly while it is cancelled.
        """
        ...
