"""From the events of a stream to the answer that a call without a stream would give.

```python
pieces = CompletionAccumulator()
async with client.completions.stream(model="babbage-002", prompt="Kant was") as stream:
    async for completion in stream:
        pieces.add(completion)
whole = pieces.result()
```

Pieces are kept as they come and put together at the end, so that the time it takes grows with the
length of the answer, not with its square.
"""

from collections.abc import Iterable
from typing import Any, Generic, TypeVar, cast

from pydantic import BaseModel

from tunesmith.types.base import APIModel
from tunesmith.types.chat import ChatCompletion, ChatCompletionChunk, ChoiceDeltaToolCall
from tunesmith.types.completions import Completion

__all__ = ["ChatCompletionAccumulator", "CompletionAccumulator", "accumulate"]

A = TypeVar("A", bound=BaseModel)
E = TypeVar("E", Completion, ChatCompletionChunk)

_UNCUT_FIELDS = frozenset({"id", "name", "role", "type"})
"""Texts that are not cut: servers that send them again mean the same one."""

_NUMBERS = frozenset({bool, float, int})

_OF_THE_STREAM = frozenset({"choices", "object", "obfuscation"})
"""What an event has for itself; the answer has none of it, or its own."""

_FIRST_WINS_FIELDS = frozenset({"created", "id", "model", "system_fingerprint"})

_MERGED_FIELDS = frozenset({"delta", "logprobs", "text"})
"""What of a choice is joined; of the rest, such as why it ended, the last word counts."""


def accumulate(answer: type[A], events: Iterable[BaseModel]) -> A:
    """Put the events of a stream together.

    Args:
        answer: The type of the whole answer.
        events: All events, in their order.

    Returns:
        The answer; of events that are objects of their own, a page.
    """
    if issubclass(answer, Completion):
        return cast("A", _all(CompletionAccumulator(), cast("Iterable[Completion]", events)))
    if issubclass(answer, ChatCompletion):
        chunks = cast("Iterable[ChatCompletionChunk]", events)
        return cast("A", _all(ChatCompletionAccumulator(), chunks))
    return answer.model_validate({"data": list(events)})


class _Merger:
    """A value that comes in pieces.

    Texts and lists are joined, mappings and objects field by field; of anything else the last one
    counts.
    """

    __slots__ = ("_fields", "_items", "_kind", "_last", "_once", "_texts")

    def __init__(self) -> None:
        self._kind: type[Any] | None = None
        self._texts: list[str] = []
        self._items: list[Any] = []
        self._once: dict[str, Any] = {}
        self._fields: dict[str, _Merger] = {}
        self._last: Any = None

    def add(self, piece: Any) -> None:
        if piece is None:
            return
        kind = piece.__class__
        if kind is str:
            self._texts.append(piece)
        elif kind is list:
            self._items += piece
        elif kind in _NUMBERS:
            self._last = piece
        else:
            self._add_fields(piece.items() if kind is dict else _fields(piece))
            kind = dict
        self._kind = kind

    def _add_fields(self, fields: Iterable[tuple[str, Any]]) -> None:
        for name, value in fields:
            if value is None:
                continue
            if name in _UNCUT_FIELDS:
                self._once[name] = self._once.get(name) or value
                continue
            field = self._fields.get(name)
            if field is None:
                field = self._fields[name] = _Merger()
            field.add(value)

    def value(self) -> Any:
        if self._kind is str:
            return "".join(self._texts)
        if self._kind is list:
            return self._items
        if self._kind is dict:
            return self._once | {name: field.value() for name, field in self._fields.items()}
        return self._last


def _fields(piece: APIModel) -> Iterable[tuple[str, Any]]:
    known, more = piece.__dict__, piece.__pydantic_extra__
    return (known | more if more else known).items()


class _Accumulator(Generic[E]):
    """What the streams of all nouns have in common: choices by their index, and what frames them.

    Of the frame the last word counts, such as the usage; but for what names the answer: there some
    services send empty texts at first.
    """

    def __init__(self) -> None:
        self._frame: dict[str, Any] = {}
        self._choices: dict[int, _Choice] = {}

    def add(self, event: E) -> None:
        """Take the next event."""
        frame = self._frame
        for name, value in _fields(event):
            if value is not None and name not in _OF_THE_STREAM:
                frame[name] = (name in _FIRST_WINS_FIELDS and frame.get(name)) or value
        for piece in event.choices:
            choice = self._choices.get(piece.index)
            if choice is None:
                choice = self._choices[piece.index] = _Choice()
            choice.add(piece)

    def _whole(self) -> dict[str, Any]:
        choices = [choice.result() for _, choice in sorted(self._choices.items())]
        return {**self._frame, "choices": choices}


class CompletionAccumulator(_Accumulator[Completion]):
    """Puts a stream of completions together."""

    def result(self) -> Completion:
        """Give the completion as far as it has come."""
        return Completion.model_validate(self._whole())


class ChatCompletionAccumulator(_Accumulator[ChatCompletionChunk]):
    """Puts the chunks of answers to a conversation together."""

    def result(self) -> ChatCompletion:
        """Give the answers as far as they have come."""
        return ChatCompletion.model_validate(self._whole())


def _all(pieces: Any, events: Iterable[Any]) -> Any:
    for event in events:
        pieces.add(event)
    return pieces.result()


class _Choice:
    """A choice that comes in pieces: of its text, its message and its log-probabilities."""

    def __init__(self) -> None:
        self._last: dict[str, Any] = {}
        self._joined: dict[str, _Merger] = {}

    def add(self, piece: APIModel) -> None:
        for name, value in _fields(piece):
            if value is None:
                continue
            if name in _MERGED_FIELDS:
                joined = self._joined.get(name)
                if joined is None:
                    joined = self._joined[name] = _Merger()
                joined.add(value)
            else:
                self._last[name] = value

    def result(self) -> dict[str, Any]:
        fields = self._last | {name: joined.value() for name, joined in self._joined.items()}
        if "delta" in fields:
            message = fields["message"] = fields.pop("delta")
            if "tool_calls" in message:
                message["tool_calls"] = _tool_calls(message["tool_calls"])
        return fields


def _tool_calls(pieces: Iterable[ChoiceDeltaToolCall]) -> list[dict[str, Any]]:
    calls: list[tuple[int, _Merger]] = []
    current: dict[int, tuple[str | None, _Merger]] = {}
    for piece in pieces:
        call_id, call = current.get(piece.index, (None, None))
        if call is None or _starts_new_call(piece, call_id):
            call_id, call = piece.id, _Merger()
            calls.append((piece.index, call))
        current[piece.index] = (call_id or piece.id, call)
        call.add(piece)
    return [_tool_call(call.value()) for _, call in sorted(calls, key=lambda each: each[0])]


def _starts_new_call(piece: ChoiceDeltaToolCall, call_id: str | None) -> bool:
    # Some servers give all calls the index 0, others each piece an id of its own, others repeat
    # the name: only together do id and name tell where a call begins.
    named = piece.function or piece.custom
    return bool(call_id and piece.id and piece.id != call_id and named and named.name)


def _tool_call(fields: dict[str, Any]) -> dict[str, Any]:
    fields.pop("index", None)
    if "custom" not in fields:
        fields.setdefault("function", {})
    return fields
