"""Accumulation of stream events into the response that an unstreamed call returns.

```python
accumulator = CompletionAccumulator()
async with client.completions.stream(model="babbage-002", prompt="Kant was") as stream:
    async for event in stream:
        accumulator.add(event)
completion = accumulator.result()
```

Pieces are joined at the end, so that the time is linear in the length of the response.
"""

from collections.abc import Iterable
from typing import Any, Generic, TypeVar, cast

from pydantic import BaseModel

from tunesmith.protocol.json import join_surrogates, validate_leniently
from tunesmith.types.base import APIModel
from tunesmith.types.chat import ChatCompletion, ChatCompletionChunk, ChoiceDeltaToolCall
from tunesmith.types.completions import Completion
from tunesmith.types.responses import Response

__all__ = ["ChatCompletionAccumulator", "CompletionAccumulator", "accumulate"]

A = TypeVar("A", bound=BaseModel)
E = TypeVar("E", Completion, ChatCompletionChunk)

_UNCUT_FIELDS = frozenset({"id", "role", "type"})
"""Texts that are sent whole; servers that repeat them mean the same value."""

_NUMBERS = frozenset({bool, float, int})

_EVENT_FIELDS = frozenset({"choices", "object", "obfuscation"})
"""Fields of events that the response does not have, or has with other values."""

_FIRST_WINS_FIELDS = frozenset({"created", "id", "model", "system_fingerprint"})
"""Fields of which the first value counts; some services send empty texts at first."""

_MERGED_FIELDS = frozenset({"delta", "logprobs", "text"})
"""Fields of a choice that are joined; of others, such as `finish_reason`, the last value counts."""


def accumulate(response_type: type[A], events: Iterable[BaseModel]) -> A:
    """Join the events of a stream.

    Args:
        response_type: Type of the response.
        events: All events, in order.

    Returns:
        The response; a page if the events are independent objects.
    """
    response: Any
    if issubclass(response_type, Completion):
        response = _all(CompletionAccumulator(), events)
    elif issubclass(response_type, ChatCompletion):
        response = _all(ChatCompletionAccumulator(), events)
    elif issubclass(response_type, Response):
        response = _last_response(events)
    else:
        response = response_type.model_validate({"data": list(events)})
    return cast("A", response)


def _last_response(events: Iterable[Any]) -> Response:
    response, items = Response(id=""), list[Any]()
    for event in events:
        if event.response is not None:
            response = event.response
        elif event.type == "response.output_item.done" and event.item is not None:
            items.append(event.item)
    if items and not response.output:  # some servers leave it out of the last event
        response = response.model_copy(update={"output": items})
    return response


class _Merger:
    """Value received in pieces.

    Texts and lists are joined, mappings and objects merged by field, list items merged by their
    `index` if they have one. Of anything else the last value counts.
    """

    __slots__ = ("_fields", "_indexed", "_items", "_kind", "_last", "_texts", "_uncut")

    def __init__(self) -> None:
        self._kind: type[Any] | None = None
        self._texts: list[str] = []
        self._items: list[Any] = []
        self._indexed: dict[int, _Merger] = {}
        self._uncut: dict[str, Any] = {}
        self._fields: dict[str, _Merger] = {}
        self._last: Any

    def add(self, piece: Any) -> None:
        kind = piece.__class__
        if kind is str and self._kind is not list:
            self._texts.append(piece)
        elif kind is str:
            self._items.append({"type": "text", "text": piece})
            kind = list
        elif kind is list:
            self._add_items(piece)
        elif kind in _NUMBERS:
            self._last = piece
        else:
            self._add_fields(piece.items() if kind is dict else _fields(piece))
            kind = dict
        self._kind = kind

    def _add_items(self, items: list[Any]) -> None:
        if self._texts:  # the content was text before it became a list of parts
            self._items.append({"type": "text", "text": "".join(self._texts)})
            self._texts.clear()
        for item in items:
            index: Any = item.get("index") if item.__class__ is dict else None
            if index.__class__ is not int:
                self._items.append(item)
                continue
            if index not in self._indexed:
                self._indexed[index] = _Merger()
                self._items.append(self._indexed[index])
            self._indexed[index].add(item)

    def _add_fields(self, fields: Iterable[tuple[str, Any]]) -> None:
        for name, value in fields:
            if value is None:
                continue
            if name in _UNCUT_FIELDS:
                self._uncut[name] = self._uncut.get(name) or value
            elif name == "name" and value.__class__ is str:
                self._uncut[name] = _join_name(self._uncut.get(name, ""), value)
            else:
                field = self._fields.get(name)
                if field is None:
                    field = self._fields[name] = _Merger()
                field.add(value)

    def value(self) -> Any:
        if self._kind is str:
            return _join_texts(self._texts)
        if self._kind is list:
            return [item.value() if item.__class__ is _Merger else item for item in self._items]
        if self._kind is dict:
            return self._uncut | {name: field.value() for name, field in self._fields.items()}
        return self._last


def _join_name(begin: str, piece: str) -> str:
    # Some servers send names in pieces, others repeat the name so far.
    return piece if piece.startswith(begin) else begin + piece


def _join_texts(texts: list[str]) -> str:
    text = "".join(texts)
    try:
        text.encode()
    except UnicodeEncodeError:
        return join_surrogates(text)  # an emoji that was cut in two
    return text


def _fields(piece: APIModel) -> Iterable[tuple[str, Any]]:
    return (piece.__dict__ | (piece.__pydantic_extra__ or {})).items()


class _Accumulator(Generic[E]):
    """Base class of accumulators: choices by index, and the fields around them."""

    def __init__(self) -> None:
        self._fields: dict[str, Any] = {}
        self._choices: dict[int, _Choice] = {}

    def add(self, event: E) -> None:
        """Add the next event."""
        fields = self._fields
        for name, value in _fields(event):
            if value is not None and name not in _EVENT_FIELDS:
                fields[name] = (name in _FIRST_WINS_FIELDS and fields.get(name)) or value
        for piece in event.choices:
            choice = self._choices.get(piece.index)
            if choice is None:
                choice = self._choices[piece.index] = _Choice()
            choice.add(piece)

    def _result(self) -> dict[str, Any]:
        choices = [choice.result() for _, choice in sorted(self._choices.items())]
        return {**self._fields, "choices": choices}


class CompletionAccumulator(_Accumulator[Completion]):
    """Accumulator of a stream of completions."""

    def result(self) -> Completion:
        """Return the completion received so far."""
        return validate_leniently(Completion, self._result())


class ChatCompletionAccumulator(_Accumulator[ChatCompletionChunk]):
    """Accumulator of a stream of chat completions."""

    def result(self) -> ChatCompletion:
        """Return the completion received so far."""
        return validate_leniently(ChatCompletion, self._result())


def _all(accumulator: Any, events: Iterable[Any]) -> Any:
    for event in events:
        accumulator.add(event)
    return accumulator.result()


class _Choice:
    """Choice received in pieces."""

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
            elif value != "" or name not in self._last:
                self._last[name] = value

    def result(self) -> dict[str, Any]:
        fields = self._last | {name: joined.value() for name, joined in self._joined.items()}
        if "delta" in fields:
            message = fields["message"] = fields.pop("delta")
            if "tool_calls" in message:
                message["tool_calls"] = _tool_calls(message["tool_calls"] or ())
        return fields


def _tool_calls(pieces: Iterable[Any]) -> list[dict[str, Any]]:
    calls: list[tuple[int, _Merger]] = []
    current: dict[int, tuple[str | None, _Merger]] = {}
    for piece in pieces:
        if not isinstance(piece, ChoiceDeltaToolCall):
            continue  # a raw value
        call_id, call = current.get(piece.index, (None, None))
        if call is None or _starts_new_call(piece, call_id):
            call_id, call = piece.id, _Merger()
            calls.append((piece.index, call))
        current[piece.index] = (call_id or piece.id, call)
        call.add(piece)
    return [_tool_call(call.value()) for _, call in sorted(calls, key=lambda item: item[0])]


def _starts_new_call(piece: ChoiceDeltaToolCall, call_id: str | None) -> bool:
    # Some servers send the index 0 for all calls, others an ID per piece, others repeat the name:
    # only a new ID together with a name begins another call.
    named = piece.function or piece.custom
    return bool(call_id and piece.id and piece.id != call_id and named and named.name)


def _tool_call(fields: dict[str, Any]) -> dict[str, Any]:
    del fields["index"]
    if "custom" not in fields:
        fields.setdefault("function", {})
    return fields
