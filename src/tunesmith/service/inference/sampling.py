"""Sampling of texts from an engine, shared by completions and chat."""

import hashlib
import re
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext
from dataclasses import dataclass
from itertools import count
from typing import Any, TypeVar

import anyio
from anyio.lowlevel import checkpoint

from tunesmith.clock import VirtualClock
from tunesmith.operations.chat import CreateChatCompletion
from tunesmith.operations.completions import CreateCompletion
from tunesmith.service.core.errors import ServiceError, invalid
from tunesmith.service.core.ids import IdGenerator
from tunesmith.service.core.messages import Message, as_mapping, turn_text
from tunesmith.service.core.scheduler import Scheduler
from tunesmith.service.engines.base import EngineError, EngineFailureError, EngineModel
from tunesmith.service.engines.generation import (
    FinishReason,
    Generation,
    GenerationSpec,
    ScoredToken,
)
from tunesmith.service.inference.models import Models
from tunesmith.service.inference.stub_generation import TokenTiming
from tunesmith.service.inference.stubs import Reply, ReplyStubs

__all__ = [
    "MAX_CHOICES",
    "MAX_GENERATED_TOKENS",
    "InferenceContext",
    "SampledText",
    "finish_reason_for",
    "interleave",
    "sampling_spec",
    "system_fingerprint",
]

T = TypeVar("T")

MAX_CHOICES = 2048
"""Texts that one request may sample: prompts times candidates."""
MAX_GENERATED_TOKENS = 32_768
"""Tokens that one request may generate in all its choices."""

_MAX_STOP_CHARS = 4096
_MAX_BIAS = 100
_MAX_BIASED_TOKENS = 1024
_SHOWN_CHARS = 60
_MAX_CHARS_PER_TOKEN = 16
_INLINE_SIZE = 4096
"""Inputs larger than this, in characters or tokens, are processed in a worker thread."""
_MAX_BLOCKING_S = 0.005


@dataclass(frozen=True, slots=True)
class InferenceContext:
    """Dependencies shared by all endpoints that run models."""

    models: Models
    reply_stubs: ReplyStubs
    ids: IdGenerator
    clock: VirtualClock
    scheduler: Scheduler

    def now(self) -> float:
        """Return the time in Unix seconds."""
        return self.scheduler.now()

    async def pause(self, seconds: float, *, release_clock: bool = False) -> None:
        """Wait as long as a stubbed reply takes; not in a batch.

        Args:
            seconds: Time to wait, in seconds.
            release_clock: Whether the caller holds the clock, as every handler but a stream does.
        """
        if seconds > 0 and not self.scheduler.is_running:
            with self.clock.released() if release_clock else nullcontext():
                await self.clock.sleep(seconds)

    async def run(self, func: Callable[[], T], *, size: int) -> T:
        """Run a computation, in a worker thread if its input is large.

        Args:
            func: The computation.
            size: Length of its input, in characters or tokens.
        """
        try:
            return func() if size <= _INLINE_SIZE else await self.clock.run_in_thread(func)
        except EngineError as error:
            raise _refused(error) from None

    async def work(self, work: Awaitable[T]) -> T:
        """Await the work of an engine, during which no virtual time passes.

        Raises:
            ServiceError: The engine refuses it.
        """
        with self.clock.hold():
            try:
                return await work
            except EngineError as error:
                raise _refused(error) from None

    async def encode(self, model: EngineModel, text: str, window: int, param: str) -> list[int]:
        """Split a text into tokens.

        Args:
            model: The model.
            text: The text.
            window: Its context window, in tokens.
            param: The parameter that holds the text.

        Raises:
            ServiceError: The text has too many characters for the context window.
        """
        _check_chars(len(text), window, param)
        return await self.run(lambda: model.tokenizer.encode(text), size=len(text))

    async def encode_chat(
        self,
        model: EngineModel,
        messages: Sequence[Message],
        tools: Sequence[Mapping[str, Any]],
        window: int,
    ) -> list[int]:
        """Return the prompt of a conversation.

        Raises:
            ServiceError: The messages have too many characters for the context window, or the
                model's template does not support them.
        """
        plain = [as_mapping(message) for message in messages]
        chars = sum(len(turn_text(message)) for message in plain)
        _check_chars(chars, window, "messages")
        return await self.run(lambda: model.tokenizer.encode_chat(plain, tools), size=chars)

    async def sample(self, generations: Sequence[Generation]) -> "list[SampledText]":
        """Sample texts to their ends, at the same time; other requests are served meanwhile.

        Raises:
            ServiceError: More tokens than a request may generate.
        """
        texts: list[SampledText | None] = [None] * len(generations)
        errors: list[Exception] = []
        time_slice = _TimeSlice()

        async def sample(index: int) -> None:
            generation = generations[index]
            tokens: list[ScoredToken] = []
            try:
                async for token in generation:
                    tokens.append(token)
                    time_slice.count_token()
                    if time_slice.is_over:
                        await time_slice.yield_to_others()
            except Exception as error:  # noqa: BLE001 - raised without an exception group
                errors.append(error)
                tasks.cancel_scope.cancel()
            reason = generation.finish_reason or "stop"
            texts[index] = SampledText(tuple(tokens), generation.n_tokens, reason)

        async with _closing(generations):
            with self.clock.hold():
                async with anyio.create_task_group() as tasks:
                    for index in range(len(generations)):
                        tasks.start_soon(sample, index)
        if errors:
            raise _refused(errors[0]) if isinstance(errors[0], EngineError) else errors[0]
        return [text for text in texts if text is not None]


@dataclass(frozen=True, slots=True)
class SampledText:
    """A finished text.

    Args:
        tokens: Its tokens.
        n_tokens: Number of tokens generated, including those of a stop text.
        finish_reason: Reason for its end.
    """

    tokens: tuple[ScoredToken, ...]
    n_tokens: int
    finish_reason: FinishReason

    @property
    def text(self) -> str:
        """The whole text."""
        return "".join(token.text for token in self.tokens)

    @property
    def mean_logprob(self) -> float:
        """Mean log-probability of its tokens, by which `best_of` ranks."""
        total = sum(token.token.logprob for token in self.tokens)
        return total / len(self.tokens) if self.tokens else 0.0


class _TimeSlice:
    """Share of the event loop that a request takes before it yields to others."""

    def __init__(self) -> None:
        self._began = time.perf_counter()
        self._n_tokens = 0

    def count_token(self) -> None:
        self._n_tokens += 1
        if self._n_tokens > MAX_GENERATED_TOKENS:
            raise invalid(
                f"The request generates more than {MAX_GENERATED_TOKENS} tokens in all its "
                "choices. Reduce 'n', 'best_of', the maximum of tokens or the number of prompts."
            )

    @property
    def is_over(self) -> bool:
        return time.perf_counter() - self._began > _MAX_BLOCKING_S

    async def yield_to_others(self) -> None:
        await checkpoint()
        self._began = time.perf_counter()


async def interleave(
    generations: Sequence[Generation], context: InferenceContext, timing: TokenTiming
) -> AsyncGenerator[tuple[int, ScoredToken | FinishReason], None]:
    """Take one token of each generation in turn, as in a stream with several choices.

    Args:
        generations: One per choice.
        context: The clock to wait by.
        timing: Delays between tokens; those of different choices come at the same time.

    Yields:
        The choice's index, and its next token or, at its end, the finish reason.
    """
    running: list[tuple[int, AsyncIterator[ScoredToken]]] = [
        (index, aiter(generation)) for index, generation in enumerate(generations)
    ]
    time_slice = _TimeSlice()
    async with _closing(generations):
        for position in count():
            if not running:
                return
            await context.pause(timing.delay_before(position))
            ended: set[int] = set()
            for index, tokens in running:
                token = await context.work(_next_or_none(tokens))
                if token is None:
                    ended.add(index)
                    yield index, generations[index].finish_reason or "stop"
                else:
                    time_slice.count_token()
                    yield index, token
                if time_slice.is_over:
                    await time_slice.yield_to_others()
            running = [item for item in running if item[0] not in ended]


@asynccontextmanager
async def _closing(generations: Sequence[Generation]) -> AsyncGenerator[None]:
    async with AsyncExitStack() as stack:
        for generation in generations:
            stack.push_async_callback(generation.aclose)
        yield


async def _next_or_none(tokens: AsyncIterator[ScoredToken]) -> ScoredToken | None:
    return await anext(tokens, None)


def _check_chars(chars: int, window: int, param: str) -> None:
    """Refuse a text that cannot fit the context window, before it is tokenized."""
    if chars > window * _MAX_CHARS_PER_TOKEN:
        raise invalid(
            f"This model's maximum context length is {window} tokens, however '{param}' has "
            f"{chars} characters. Please reduce its length.",
            param,
            "context_length_exceeded",
        )


def _refused(error: EngineError) -> ServiceError:
    if isinstance(error, EngineFailureError):
        return ServiceError(500, error.message, type="server_error")
    return invalid(error.message, error.param)


def sampling_spec(
    operation: CreateCompletion | CreateChatCompletion,
    *,
    max_tokens: int | None,
    top_logprobs: int | None,
    id: str,
) -> GenerationSpec:
    """Return the sampling parameters of a request.

    Args:
        operation: The request.
        max_tokens: Maximum length of the text, in tokens.
        top_logprobs: Number of alternatives to return for each token.
        id: The response's id, which seeds a request without a seed of its own.

    Raises:
        ServiceError: A bias or a stop text is out of bounds.
    """
    biases = operation.logit_bias or {}
    if len(biases) > _MAX_BIASED_TOKENS:
        raise invalid(
            f"Invalid 'logit_bias': too many tokens. Expected at most {_MAX_BIASED_TOKENS}, but "
            f"got {len(biases)} instead.",
            "logit_bias",
        )
    for token, bias in biases.items():
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
    stops = (stop,) if isinstance(stop, str) else stop
    if any(len(text) > _MAX_STOP_CHARS for text in stops):
        raise invalid(
            f"Invalid 'stop': string too long. Expected at most {_MAX_STOP_CHARS} characters.",
            "stop",
            "string_above_max_length",
        )
    return GenerationSpec(
        max_tokens=max_tokens,
        temperature=1.0 if operation.temperature is None else operation.temperature,
        top_p=1.0 if operation.top_p is None else operation.top_p,
        stop=tuple(text for text in stops if text),
        top_logprobs=top_logprobs or 0,
        logit_bias={int(token): bias for token, bias in biases.items()},
        frequency_penalty=operation.frequency_penalty or 0.0,
        presence_penalty=operation.presence_penalty or 0.0,
        seed=id if operation.seed is None else str(operation.seed),
    )


def finish_reason_for(reason: FinishReason, stub: Reply | None) -> str:
    """Return the finish reason to send: the stub's own, unless its text was cut off."""
    if stub is None or stub.finish_reason is None or reason == "length":
        return reason
    return stub.finish_reason


def system_fingerprint(model: str) -> str:
    """Return the `system_fingerprint` of a model."""
    return f"fp_{hashlib.sha256(model.encode()).hexdigest()[:10]}"
