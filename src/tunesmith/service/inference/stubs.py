"""Stubbed replies and embeddings, which take precedence over the engine."""

import json
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, is_dataclass
from inspect import iscoroutinefunction
from numbers import Real
from typing import Any, ClassVar, Generic, Protocol, TypeAlias, TypeVar, cast

from pydantic import BaseModel
from pydantic_core import to_jsonable_python

from tunesmith.operations.completions import CreateCompletion
from tunesmith.operations.embeddings import CreateEmbedding
from tunesmith.service.inference.stub_matching import (
    InferenceOperation,
    RequestMatcher,
    matches,
    stub_errors,
    validate_matcher,
)
from tunesmith.service.inference.stub_queue import StubQueue

__all__ = [
    "EmbeddingStubs",
    "Reply",
    "ReplyLike",
    "ReplyStubs",
    "Token",
    "ToolCall",
    "UnmatchedRequest",
    "Vector",
]


class Dataclass(Protocol):
    """Instance of any dataclass."""

    __dataclass_fields__: ClassVar[dict[str, Any]]


Json: TypeAlias = Mapping[str, Any] | BaseModel | Dataclass

_MAX_UNMATCHED = 1000
_SHOWN_CHARS = 80


@dataclass(frozen=True, slots=True)
class ToolCall:
    """Call of a tool.

    Args:
        name: The tool's name.
        arguments: Its arguments: a mapping or a model, which is sent as JSON, or the text itself.
        id: The call's id; None for a new one.
    """

    name: str
    arguments: Json | str = field(default_factory=dict[str, Any])
    id: str | None = None

    @property
    def text(self) -> str:
        """The arguments as text."""
        return self.arguments if isinstance(self.arguments, str) else _to_json(self.arguments)


@dataclass(frozen=True, slots=True)
class Token:
    """Token of a reply, with its log-probability.

    Args:
        text: The token.
        logprob: Natural logarithm of its probability.
        top: Alternatives, with their log-probabilities.
    """

    text: str
    logprob: float
    top: Mapping[str, float] = field(default_factory=dict[str, float])


@dataclass(frozen=True, slots=True)
class Reply:
    """Stubbed reply.

    Args:
        text: The text.
        tool_calls: Tool calls; a reply with calls is used for chats only.
        tokens: The text in tokens with log-probabilities; without them the engine tokenizes and
            scores the text.
        finish_reason: Finish reason, such as `length` or `content_filter`; None for the usual one.
        refusal: Refusal of the model, instead of a text; for chats and responses only.
        first_token_delay: Seconds before the first token.
        token_delay: Seconds between two tokens.

    Example:
        ```python
        from tunesmith.testing import Reply, Service, Token

        service = Service()
        tokens = [Token("Yes", -0.1, top={"No": -2.4})]
        service.stub_reply(Reply(tokens=tokens, first_token_delay=0.5))
        ```
    """

    text: str | None = None
    tool_calls: Sequence[ToolCall] = ()
    tokens: Sequence[Token] = ()
    finish_reason: str | None = None
    first_token_delay: float = 0.0
    token_delay: float = 0.0
    refusal: str | None = None

    def __post_init__(self) -> None:
        joined = "".join(token.text for token in self.tokens)
        if self.tokens and self.text not in {None, joined}:
            raise ValueError(
                f"text {self.text!r} and tokens {joined!r} of a reply differ: leave out one"
            )
        if self.refusal is not None and (self.has_text or self.tool_calls):
            raise ValueError("a refusal has neither text nor tool_calls: leave them out")
        if not (self.has_text or self.tool_calls or self.refusal is not None):
            raise ValueError("a reply needs text, tokens, tool_calls or a refusal")

    @property
    def segments(self) -> list[str]:
        """The text or refusal, if there is one, and the arguments of each call."""
        text = "".join(token.text for token in self.tokens) if self.tokens else self.text
        text = self.refusal if text is None else text
        return ([] if text is None else [text]) + [call.text for call in self.tool_calls]

    @property
    def has_text(self) -> bool:
        """Whether the reply has a text beside its calls."""
        return self.text is not None or bool(self.tokens)


ReplyLike: TypeAlias = (
    str
    | Reply
    | ToolCall
    | Sequence[ToolCall]
    | Json
    | Callable[[Any], "str | Reply | ToolCall | Sequence[ToolCall] | Json | None"]
)
"""A text, one or several tool calls, a mapping, model or dataclass to send as JSON, a `Reply`, or
a function of the operation that returns one of these, or None to leave the request to the next
stub."""

Vector: TypeAlias = Sequence[float] | Callable[[str], Sequence[float] | None]
"""An embedding, or a function of the text that returns one, or None to leave the text to the next
stub."""


@dataclass(frozen=True, slots=True)
class UnmatchedRequest:
    """Request that matched no stub.

    Args:
        operation: Name of the operation.
        model: The model.
        prompt: The beginning of the prompt.
    """

    operation: str
    model: str
    prompt: str

    def __str__(self) -> str:
        return f"{self.operation} model={self.model!r} prompt={self.prompt!r}"


V = TypeVar("V")
R = TypeVar("R")


class _Stubs(Generic[V, R]):
    """Stubs of one kind, in the order of their precedence.

    Args:
        convert: Conversion of a user's value to a result; raises TypeError for any other value.
    """

    def __init__(self, convert: Callable[[object], R | None]) -> None:
        self._convert = convert
        self._queue: StubQueue[tuple[V, RequestMatcher | None]] = StubQueue()
        self.unmatched: deque[UnmatchedRequest] = deque(maxlen=_MAX_UNMATCHED)
        """The last 1,000 requests that no stub matched."""

    def add(
        self, value: V, *, match: RequestMatcher | None = None, times: int | None = None
    ) -> None:
        """Add a stub; see `Service.stub_reply` and `Service.stub_embedding`."""
        validate_matcher(match)
        if iscoroutinefunction(value):
            raise TypeError("the function of a stub must be synchronous: remove 'async'")
        if not callable(value):
            self._convert(value)  # raise for a wrong value here, not at the first request
        self._queue.add((value, match), times)

    @property
    def unused(self) -> list[str]:
        """Descriptions of stubs added with `times=` that have uses left."""
        return [
            f"{_shorten(repr(value))} match={match!r} ({remaining} of its uses left)"
            for (value, match), remaining in self._queue.unused
        ]

    def clear(self) -> None:
        """Remove all stubs."""
        self._queue.clear()
        self.unmatched.clear()

    def _find(
        self,
        operation: InferenceOperation,
        prompt: str,
        argument: object,
        accepts: Callable[[R], bool],
    ) -> R | None:
        def use(stub: tuple[V, RequestMatcher | None]) -> R | None:
            value, match = stub
            if not matches(match, operation, prompt):
                return None
            result = self._convert(value(argument) if callable(value) else value)
            return result if result is not None and accepts(result) else None

        with stub_errors(operation):
            result = self._queue.match(use)
        if result is None:
            shown = _shorten(prompt)
            self.unmatched.append(UnmatchedRequest(operation.spec.name, operation.model, shown))
        return result


class ReplyStubs(_Stubs[ReplyLike, Reply]):
    """Stubbed replies of a service.

    Example:
        ```python
        from tunesmith.service.inference.stubs import ReplyStubs

        stubs = ReplyStubs()
        stubs.add("I only know that I know nothing.")
        stubs.add("A philosopher.", match="Kant")
        stubs.add("Wait.", times=1)
        ```
    """

    def __init__(self) -> None:
        super().__init__(to_reply)

    def find(self, operation: InferenceOperation, prompt: str) -> Reply | None:
        """Return the reply to a request; None leaves it to the engine.

        Args:
            operation: The request.
            prompt: Its prompt as text.
        """
        is_chat = not isinstance(operation, CreateCompletion)
        return self._find(operation, prompt, operation, lambda reply: is_chat or reply.has_text)


class EmbeddingStubs(_Stubs[Vector, "list[float]"]):
    """Stubbed embeddings of a service."""

    def __init__(self) -> None:
        super().__init__(_to_vector)

    def find(self, operation: CreateEmbedding, text: str) -> list[float] | None:
        """Return the embedding of a text; None leaves it to the engine."""
        return self._find(operation, text, text, lambda _: True)


def to_reply(value: object) -> Reply | None:
    """Convert a user's value to a reply.

    Raises:
        TypeError: The value is not one of `ReplyLike`.
    """
    if value is None or isinstance(value, Reply):
        return value
    if isinstance(value, str):
        return Reply(value)
    calls = (value,) if isinstance(value, ToolCall) else value
    is_object = is_dataclass(calls) and not isinstance(calls, Token)
    if is_object or isinstance(calls, Mapping | BaseModel):
        return Reply(_to_json(cast("Json", calls)))
    if isinstance(calls, list | tuple):
        items = cast("Sequence[object]", calls)
        if items and all(isinstance(item, ToolCall) for item in items):
            return Reply(tool_calls=cast("Sequence[ToolCall]", items))
    raise TypeError(
        "a reply must be a text, a mapping, model or dataclass to send as JSON, a ToolCall or "
        f"several, a Reply, or a function that returns one of these, not {type(value).__name__}"
    )


def _to_vector(value: object) -> list[float] | None:
    if value is None:
        return None
    if not isinstance(value, str) and isinstance(value, Sequence):
        numbers = cast("Sequence[object]", value)
        if numbers and all(isinstance(number, Real) for number in numbers):
            return [float(number) for number in cast("Sequence[float]", numbers)]
    raise TypeError(f"an embedding must be a non-empty list of numbers, not {value!r}")


def _to_json(value: Json) -> str:
    if isinstance(value, BaseModel):
        return value.model_dump_json()
    return json.dumps(value, ensure_ascii=False, default=_dump_object)


def _dump_object(value: object) -> object:
    if isinstance(value, BaseModel) or is_dataclass(value):
        return to_jsonable_python(value)
    raise TypeError(f"{type(value).__name__} is not JSON serializable")


def _shorten(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]}…"
