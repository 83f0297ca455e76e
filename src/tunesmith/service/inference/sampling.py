"""What completions and chat have in common: they draw texts from an engine, token by token."""

import hashlib
import re
from collections.abc import AsyncGenerator, Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import count

from anyio.lowlevel import checkpoint

from tunesmith.clock import VirtualClock
from tunesmith.operations.chat import CreateChatCompletion
from tunesmith.operations.completions import CreateCompletion
from tunesmith.service.core.errors import invalid
from tunesmith.service.core.ids import IdGenerator
from tunesmith.service.core.models import Models
from tunesmith.service.core.scheduler import Scheduler
from tunesmith.service.engines.base import (
    Engine,
    EngineModel,
    FinishReason,
    Generation,
    GenerationSpec,
    ScoredToken,
)
from tunesmith.service.inference.stub_generation import StubGeneration, TokenTiming
from tunesmith.service.inference.stubs import Reply, ReplyStubs

__all__ = [
    "InferenceContext",
    "SampledText",
    "finish_reason_for",
    "interleave",
    "sampling_spec",
    "start_generation",
    "system_fingerprint",
]

_MAX_BIAS = 100
_SHOWN_CHARS = 60


@dataclass(frozen=True, slots=True)
class InferenceContext:
    """What answers come from.

    Args:
        engine: Knows tokens.
        models: Knows the weights.
        replies: Answers given by hand.
        ids: Makes ids.
        clock: Lets time pass where answers take time.
        schedule: Knows whether it is the service itself that asks.
    """

    engine: Engine
    models: Models
    replies: ReplyStubs
    ids: IdGenerator
    clock: VirtualClock
    schedule: Scheduler

    def now(self) -> float:
        """Tell the time in Unix seconds."""
        return self.schedule.now()

    async def pause(self, seconds: float, *, working: bool = False) -> None:
        """Let a scripted answer take its time, but none in a batch or where time is stopped.

        Args:
            seconds: How long.
            working: Whether the service holds time still meanwhile, as it does but for streams.
        """
        if seconds > 0 and not (self.schedule.is_running or self.clock.is_stopped):
            with self.clock.released() if working else nullcontext():
                await self.clock.sleep(seconds)


@dataclass(frozen=True, slots=True)
class SampledText:
    """A text that an engine has finished.

    Args:
        tokens: What it is made of.
        n_tokens: How many tokens were generated, those of a stop text included.
        finish_reason: Why it ends.
    """

    tokens: tuple[ScoredToken, ...]
    n_tokens: int
    finish_reason: FinishReason

    @classmethod
    def from_generation(cls, generation: Generation) -> "SampledText":
        """Generate to the end."""
        tokens = tuple(generation)
        return cls(tokens, generation.n_tokens, generation.finish_reason or "stop")

    @property
    def text(self) -> str:
        """The whole text."""
        return "".join(token.text for token in self.tokens)

    @property
    def mean_logprob(self) -> float:
        """How likely its tokens are, on average; what `best_of` compares."""
        total = sum(token.token.logprob for token in self.tokens)
        return total / len(self.tokens) if self.tokens else 0.0


async def interleave(
    generations: Iterable[Generation], sources: InferenceContext, timing: TokenTiming
) -> AsyncGenerator[tuple[int, ScoredToken | FinishReason], None]:
    """Take a token of each generation in turn, as a stream of several choices has them.

    Args:
        generations: One for each choice.
        sources: Let time pass.
        timing: How long the tokens take; those of different choices come at the same time.

    Yields:
        The generation's place, and its next token or, at its end, the reason for it.
    """
    running = [(place, each, iter(each)) for place, each in enumerate(generations)]
    for number in count():
        if not running:
            return
        await sources.pause(timing.delay_before(number))
        still: list[tuple[int, Generation, Iterator[ScoredToken]]] = []
        for place, generation, tokens in running:
            await checkpoint()
            token = next(tokens, None)
            if token is None:
                yield place, generation.finish_reason or "stop"
            else:
                still.append((place, generation, tokens))
                yield place, token
        running = still


def sampling_spec(
    operation: CreateCompletion | CreateChatCompletion,
    *,
    max_tokens: int | None,
    top_logprobs: int | None,
    id: str,
) -> GenerationSpec:
    """Read what a request says about sampling.

    Args:
        operation: The request.
        max_tokens: How long the text may become.
        top_logprobs: How many likeliest tokens to tell.
        id: The answer's id: without a seed of its own every answer is another one.

    Raises:
        ServiceError: A bias is beyond its bounds, or its token is no number.
    """
    for token, bias in (operation.logit_bias or {}).items():
        if not re.fullmatch(r"[0-9]{1,9}", token):
            raise invalid(
                f"Invalid key in 'logit_bias': {token[:_SHOWN_CHARS]}. You should only be "
                "submitting non-negative integers.",
                "logit_bias",
            )
        if not -_MAX_BIAS <= bias <= _MAX_BIAS:
            raise invalid(
                f"{bias} is not between -{_MAX_BIAS} and {_MAX_BIAS} - 'logit_bias'", "logit_bias"
            )
    stop = operation.stop or ()
    texts = (stop,) if isinstance(stop, str) else stop
    return GenerationSpec(
        max_tokens=max_tokens,
        temperature=1.0 if operation.temperature is None else operation.temperature,
        top_p=1.0 if operation.top_p is None else operation.top_p,
        stop=tuple(text for text in texts if text),
        top_logprobs=top_logprobs or 0,
        logit_bias={int(token): bias for token, bias in (operation.logit_bias or {}).items()},
        frequency_penalty=operation.frequency_penalty or 0.0,
        presence_penalty=operation.presence_penalty or 0.0,
        seed=id if operation.seed is None else str(operation.seed),
    )


def finish_reason_for(reason: FinishReason, stub: Reply | None) -> str:
    """Tell why an answer ends: a reply may say so itself, if it was not cut off."""
    if stub is None or stub.finish_reason is None or reason == "length":
        return reason
    return stub.finish_reason


def system_fingerprint(*parts: str) -> str:
    """Name the state of the system that answers, as `system_fingerprint` does."""
    return f"fp_{hashlib.sha256('/'.join(parts).encode()).hexdigest()[:10]}"


def start_generation(
    engine: Engine,
    model: EngineModel,
    prompt: Sequence[int],
    spec: GenerationSpec,
    stub: Reply | None,
) -> Generation:
    """Begin a completion: the model's own, or one that is given."""
    if stub is None:
        return model.generate(prompt, spec)
    return StubGeneration(engine, model, prompt, stub, spec)
