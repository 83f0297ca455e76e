"""Answers given by hand, in front of the engine."""

import json
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from inspect import iscoroutinefunction
from numbers import Real
from typing import Any, TypeAlias, cast

from pydantic import BaseModel

from tunesmith.operations.chat import CreateChatCompletion
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

Json: TypeAlias = Mapping[str, Any] | BaseModel


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call of a tool.

    Args:
        name: The tool's name.
        arguments: What it is called with: a mapping or an object, which is written as JSON, or the
            text itself.
        id: The call's id; None for a new one.
    """

    name: str
    arguments: Json | str = field(default_factory=dict[str, Any])
    id: str | None = None

    @property
    def text(self) -> str:
        """The arguments, as they are sent."""
        return self.arguments if isinstance(self.arguments, str) else _json(self.arguments)


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of a reply, with its log-probability.

    Args:
        text: The piece.
        logprob: The natural logarithm of its probability.
        top: What else was likely, with its log-probability.
    """

    text: str
    logprob: float
    top: Mapping[str, float] = field(default_factory=dict[str, float])


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, word by word.

    Args:
        text: What is said.
        tool_calls: Which tools are called; a reply with calls answers chats only.
        tokens: What is said, piece by piece, with log-probabilities; without them the text is
            split, and its probabilities computed, by the engine.
        finish_reason: Why it ends, such as `length` or `content_filter`; what is usual if None.
        first_token_s: Seconds until the first token comes.
        token_s: Seconds between two tokens.

    Example:
        ```python
        from tunesmith.testing import Reply, Service, Token

        service = Service()
        service.stub_reply(Reply(tokens=[Token("Yes", -0.1, top={"No": -2.4})], first_token_s=0.5))
        ```
    """

    text: str | None = None
    tool_calls: Sequence[ToolCall] = ()
    tokens: Sequence[Token] = ()
    finish_reason: str | None = None
    first_token_s: float = 0.0
    token_s: float = 0.0

    def __post_init__(self) -> None:
        joined = "".join(token.text for token in self.tokens)
        if self.tokens and self.text not in {None, joined}:
            raise ValueError(f"the tokens say {joined!r}, the text says {self.text!r}: give one")
        if self.text is None and not (self.tokens or self.tool_calls):
            raise ValueError("a reply has a text, tokens or tool_calls")

    @property
    def segments(self) -> list[str]:
        """The text, if there is one, and the arguments of each call."""
        said = "".join(token.text for token in self.tokens) if self.tokens else self.text
        return ([] if said is None else [said]) + [call.text for call in self.tool_calls]

    @property
    def has_text(self) -> bool:
        """Whether anything is said beside the calls."""
        return self.text is not None or bool(self.tokens)


ReplyLike: TypeAlias = (
    str
    | Reply
    | ToolCall
    | Sequence[ToolCall]
    | Json
    | Callable[[Any], "str | Reply | ToolCall | Sequence[ToolCall] | Json | None"]
)
"""A text, a call or calls of tools, a mapping or an object to answer as JSON, a `Reply`, or a
function of the operation that gives one of these; where it gives None, the next reply is asked."""


@dataclass(frozen=True, slots=True)
class UnmatchedRequest:
    """A request that no script answered.

    Args:
        operation: The operation's name.
        model: The model that was asked.
        prompt: The beginning of the prompt.
    """

    operation: str
    model: str
    prompt: str

    def __str__(self) -> str:
        return f"{self.operation} model={self.model!r} prompt={self.prompt!r}"


class ReplyStubs:
    """The replies a service was given.

    Example:
        ```python
        replies = ReplyStubs()
        replies.add("I only know that I know nothing.")
        replies.add("A philosopher.", match="Kant")
        replies.add("Wait.", times=1)
        ```
    """

    def __init__(self) -> None:
        self._replies: StubQueue[tuple[ReplyLike, RequestMatcher | None]] = StubQueue()
        self.unmatched: deque[UnmatchedRequest] = deque(maxlen=_MAX_UNMATCHED)
        """The last thousand requests that were left to the engine."""

    def add(
        self, reply: ReplyLike, *, match: RequestMatcher | None = None, times: int | None = None
    ) -> None:
        """Answer so from now on; see `Service.stub_reply`."""
        validate_matcher(match)
        _require_no_coroutine(reply)
        if not callable(reply):
            to_reply(reply)  # what is wrong shows at once, not when somebody asks
        self._replies.add((reply, match), times)

    def clear(self) -> None:
        """Leave all answers to the engine again."""
        self._replies.clear()
        self.unmatched.clear()

    def find(self, operation: CreateCompletion | CreateChatCompletion, prompt: str) -> Reply | None:
        """Tell what to answer; None leaves it to the engine, which is noted.

        Args:
            operation: The request.
            prompt: Its prompt as text.
        """

        def use(script: tuple[ReplyLike, RequestMatcher | None]) -> Reply | None:
            given, match = script
            if not matches(match, operation, prompt):
                return None
            reply = to_reply(given(operation) if callable(given) else given)
            chats = isinstance(operation, CreateChatCompletion)
            return reply if reply and (chats or not reply.tool_calls) else None

        with stub_errors(operation):
            reply = self._replies.match(use)
        if reply is None:
            self.unmatched.append(_unmatched_request(operation, prompt))
        return reply


Vector: TypeAlias = Sequence[float] | Callable[[str], Sequence[float] | None]
"""An embedding, or a function of the text that gives one, or None to leave it to the next."""


class EmbeddingStubs:
    """The embeddings a service was given."""

    def __init__(self) -> None:
        self._vectors: StubQueue[tuple[Vector, RequestMatcher | None]] = StubQueue()
        self.unmatched: deque[UnmatchedRequest] = deque(maxlen=_MAX_UNMATCHED)
        """The last thousand texts that were left to the engine."""

    def add(
        self, vector: Vector, *, match: RequestMatcher | None = None, times: int | None = None
    ) -> None:
        """Embed so from now on; see `Service.stub_embedding`."""
        validate_matcher(match)
        _require_no_coroutine(vector)
        if not callable(vector):
            _numbers(vector)  # what is wrong shows at once, not when somebody asks
        self._vectors.add((vector, match), times)

    def find(self, operation: CreateEmbedding, text: str) -> list[float] | None:
        """Tell the embedding of a text; None leaves it to the engine, which is noted."""

        def use(script: tuple[Vector, RequestMatcher | None]) -> list[float] | None:
            given, match = script
            if not matches(match, operation, text):
                return None
            vector = given(text) if callable(given) else given
            return None if vector is None else _numbers(vector)

        with stub_errors(operation):
            vector = self._vectors.match(use)
        if vector is None:
            self.unmatched.append(_unmatched_request(operation, text))
        return vector


def _require_no_coroutine(value: object) -> None:
    if iscoroutinefunction(value):
        raise TypeError("a script's function is a plain one: leave async out")


def _numbers(vector: object) -> list[float]:
    if not isinstance(vector, str) and isinstance(vector, Sequence):
        numbers = cast("Sequence[object]", vector)
        if numbers and all(isinstance(each, Real) for each in numbers):
            return [float(each) for each in cast("Sequence[float]", numbers)]
    raise TypeError(f"an embedding is a list of numbers, and not empty, not {vector!r}")


def to_reply(value: object) -> Reply | None:
    """Read what somebody gave as an answer.

    Raises:
        TypeError: It is no answer.
    """
    if value is None or isinstance(value, Reply):
        return value
    if isinstance(value, str):
        return Reply(value)
    if isinstance(value, Mapping | BaseModel):
        return Reply(_json(cast("Json", value)))
    calls = (value,) if isinstance(value, ToolCall) else value
    if isinstance(calls, list | tuple):
        items = cast("Sequence[object]", calls)
        if items and all(isinstance(item, ToolCall) for item in items):
            return Reply(tool_calls=cast("Sequence[ToolCall]", items))
    raise TypeError(
        "a reply is a text, a mapping or model to answer as JSON, a ToolCall or several, a Reply, "
        f"or a function that gives one of these, not {type(value).__name__}"
    )


_MAX_UNMATCHED = 1000
_SHOWN_CHARS = 80


def _unmatched_request(operation: InferenceOperation, prompt: str) -> UnmatchedRequest:
    shown = prompt if len(prompt) <= _SHOWN_CHARS else f"{prompt[:_SHOWN_CHARS]}…"
    return UnmatchedRequest(operation.spec.name, operation.model, shown)


def _json(value: Json) -> str:
    if isinstance(value, BaseModel):
        return value.model_dump_json()
    return json.dumps(value, ensure_ascii=False, default=_plain)


def _plain(value: object) -> object:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")
