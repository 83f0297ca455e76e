"""Streams: the events of a response as they arrive."""

import json
from collections import deque
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from pydantic import BaseModel

from tunesmith._lazy import missing_attribute
from tunesmith.calls.caller import Caller
from tunesmith.calls.open_response import OpenResponse
from tunesmith.errors import BackendError, InvalidResponseError, TunesmithError
from tunesmith.operations.base import Operation, StreamOperation
from tunesmith.protocol.decode import begins_like_document, decode_event, decode_response
from tunesmith.protocol.error_body import find_stream_error
from tunesmith.protocol.json import join_surrogates, parse_json
from tunesmith.protocol.sse import ServerSentEvent, SSEDecoder
from tunesmith.types.base import APIModel, Page, attach_response
from tunesmith.types.response import ResponseInfo

__all__ = ["OpenStream", "Stream"]

A = TypeVar("A")
E = TypeVar("E", bound=BaseModel)

_DONE = frozenset({b"DONE", b"[DONE]"})

_MAX_WORD_BYTES = 20
"""Longer data is more than the word of a keep-alive."""

_DRAIN_TIMEOUT_S = 0.2
"""How long to wait for the end of the body after `[DONE]`, so that the connection can be reused."""

_KEEP_ALIVES = frozenset({"heartbeat", "keep-alive", "keepalive", "ping", "processing"})

_EMPTY_DATA = frozenset({b"", b"null"} | {word.encode() for word in _KEEP_ALIVES})


class Stream(Generic[A, E]):
    """Events of a response as they arrive, returned by a resource's `stream` method.

    Example:
        ```python
        async with client.completions.stream(model="davinci-002", prompt="Kant was") as stream:
            async for event in stream:
                print(event.choices[0].text, end="")
            completion = await stream.final_response()
        ```
    """

    def __init__(self, received: OpenResponse, operation: StreamOperation[A, E]) -> None:
        self._received = received
        self._operation = operation
        self._decoder = SSEDecoder()
        self._has_begun = False
        self._unparsed_bytes = 0
        self._waiting: deque[ServerSentEvent] = deque()
        # Bytes instead of objects: streams may be long, and few callers need the whole response.
        self._seen: list[bytes] = []
        self._open_choices: set[int] = set()
        self._ended_choices: set[int] = set()
        self._is_complete = False
        self._is_over = False
        self._error: TunesmithError | None = None
        self._halves: dict[tuple[int, str], str] | None = None

    @property
    def response(self) -> ResponseInfo:
        """Request ID, headers, rate limits and attempts of the response."""
        return self._received.info

    def __aiter__(self) -> AsyncIterator[E]:
        return self

    async def __anext__(self) -> E:
        """Return the next event.

        Raises:
            StreamError: The service reported an error inside the stream.
            StreamInterruptedError: The stream ended early.
            InvalidResponseError: An event cannot be parsed.
            APITimeoutError: No event was received within `timeout`.
            DeadlineExceededError: The deadline of the call passed.
        """
        try:
            event = None if self._is_over else await self._next_event()
        except TunesmithError as error:
            self._is_over, self._error = True, error
            # Without the variables that hold the data: servers may echo the key.
            raise error.with_traceback(None) from error.__cause__
        if event is None:
            self._is_over = True
            raise StopAsyncIteration
        return event

    async def _next_event(self) -> E | None:
        while True:
            while self._waiting:
                received = self._waiting.popleft()
                data = received.data.strip()
                if data.strip(b'"').upper() in _DONE:
                    await self._drain()
                    return None
                error = find_stream_error(data, received.event)
                if error is not None:
                    data = self._received.redact(data)
                    error = find_stream_error(data, received.event) or error
                    error.operation = self._operation.spec.name
                    error.attempts = self.response.attempts
                    error.request_id = self.response.request_id
                    raise error
                if _is_keep_alive(data) or received.event in _KEEP_ALIVES:
                    continue
                if b'"message"' in data and b'"delta"' not in data:
                    data = _to_chunk(data)
                event = self._decode(data)
                if _is_empty(event):
                    continue
                self._track_choices(event)
                self._seen.append(data)
                return self._join_characters(event, data)
            if not await self._read():
                if not self._is_complete:
                    raise self._received.interrupted("it ended before the response was complete")
                return None

    def _decode(self, data: bytes) -> E:
        spec = self._operation.spec
        event: E
        try:
            event = decode_event(spec.event_type, data, self.response, operation=spec.name)
        except InvalidResponseError:
            data = self._received.redact(data)
            event = decode_event(spec.event_type, data, self.response, operation=spec.name)
        return event

    def _track_choices(self, event: Any) -> None:
        """Track which choices have ended: a stream without `[DONE]` is complete when all have."""
        for choice in getattr(event, "choices", ()):
            if choice.finish_reason:
                self._ended_choices.add(choice.index)
                self._open_choices.discard(choice.index)
            elif choice.index not in self._ended_choices:
                self._open_choices.add(choice.index)
            self._is_complete = bool(self._ended_choices) and not self._open_choices
        if getattr(event, "is_final", False):
            self._is_complete = True

    def _join_characters(self, event: E, data: bytes) -> E:
        """Move the first half of a character that was cut in two to the next event."""
        if self._halves is None:
            if b"\\ud" not in data and b"\\uD" not in data:
                return event
            self._halves = {}
        for choice in getattr(event, "choices", ()):
            target: APIModel = getattr(choice, "delta", choice)
            for fields in (vars(target), target.model_extra or {}):
                for name, value in fields.items():
                    if isinstance(value, str) and value:
                        key = choice.index, name
                        text = self._halves.pop(key, "") + value
                        if "\ud800" <= text[-1] <= "\udbff":
                            self._halves[key] = text[-1]
                            text = text[:-1]
                        fields[name] = join_surrogates(text)
        return event

    async def _read(self) -> bool:
        """Receive more events; return whether there were any."""
        chunk = await self._received.next_chunk()
        if chunk is None:
            self._enqueue(self._decoder.finish())
            return bool(self._waiting)
        if not self._has_begun and chunk.strip():
            self._has_begun = True
            if begins_like_document(chunk):
                await self._read_json(chunk)
                return True
        events = self._decoder.feed(chunk)
        self._unparsed_bytes = 0 if events else self._unparsed_bytes + len(chunk)
        self._received.check_size(self._unparsed_bytes)
        self._enqueue(events)
        return True

    def _enqueue(self, events: list[ServerSentEvent]) -> None:
        for event in events:
            if b"\n" in event.data:
                self._waiting.extend(event._replace(data=d) for d in _split_lines(event.data))
            else:
                self._waiting.append(event)

    async def _read_json(self, begin: bytes) -> None:
        """Receive a response that is not streamed, and split it into events."""
        chunks = [begin]
        size = len(begin)
        async for chunk in self._received:
            chunks.append(chunk)
            size += len(chunk)
            self._received.check_size(size)
        body = b"".join(chunks)
        if len(_split_lines(body)) > 1:  # an event per line, without "data:"
            self._enqueue([ServerSentEvent(body)])
            return
        self._waiting.extend(ServerSentEvent(data) for data in self._split(body))
        self._is_complete = True

    def _split(self, body: bytes) -> list[bytes]:
        """Split a response that is not streamed into events.

        Raises:
            InvalidResponseError: It lacks what the response to an unstreamed call needs.
        """
        if find_stream_error(body, event="") is not None:
            return [body]
        response = decode_response(self._operation, self._received.redact(body), self.response)
        if self._has_choices:
            return [body]
        if isinstance(response, Page):
            return [json.dumps(item).encode() for item in parse_json(body)["data"]]
        return [b'{"type":"response.completed","response":' + body + b"}"]

    @property
    def _has_choices(self) -> bool:
        return "choices" in self._operation.spec.event_type.model_fields

    async def _drain(self) -> None:
        """Read to the end of the body, so that the connection can be reused."""
        # The response is complete, so errors no longer matter.
        with (
            suppress(BackendError, TimeoutError),
            self._received.deadline.clock.fail_after(_DRAIN_TIMEOUT_S),
        ):
            await anext(self._received.stream, None)

    async def final_response(self) -> A:
        """Read the remaining events and join all of them to the response of an unstreamed call.

        Raises:
            TunesmithError: The error that ended the stream, if any.
            InvalidResponseError: The stream had no content.
        """
        async for _ in self:
            pass
        if self._error is not None:
            raise self._error
        if not self._seen or (self._has_choices and not self._ended_choices | self._open_choices):
            raise InvalidResponseError(
                f"{self._operation.spec.name}: the stream ended without content",
                status=self.response.status,
                operation=self._operation.spec.name,
                attempts=self.response.attempts,
                request_id=self.response.request_id,
            )
        # Imported late: it imports the types of all streams.
        from tunesmith.protocol.accumulate import accumulate  # noqa: PLC0415

        response = accumulate(self._operation.spec.response_type, map(self._decode, self._seen))
        attach_response(response, self.response)
        return cast("A", response)

    async def get_final_completion(self) -> A:
        """Return the whole completion: the name of `final_response` in the official SDK."""
        return await self.final_response()

    async def get_final_response(self) -> A:
        """Return the whole response: the name of `final_response` in the official SDK."""
        return await self.final_response()

    if not TYPE_CHECKING:  # type checkers report unknown names themselves

        def __getattr__(self, name: str) -> Any:
            raise missing_attribute(self, ("stream",), name)

        def __iter__(self) -> Any:
            raise TypeError("streams are asynchronous: write async for event in stream")


def _is_keep_alive(data: bytes) -> bool:
    """Return whether data carries nothing: `{}`, `[PING]`, or a comment that a proxy wrapped."""
    is_word = len(data) <= _MAX_WORD_BYTES and data.strip(b'"[]{}').lower() in _EMPTY_DATA
    return is_word or data.startswith(b":")


def _split_lines(data: bytes) -> list[bytes]:
    """Split data into JSON documents: some servers omit the blank lines between events."""
    lines = data.strip().split(b"\n")
    is_split = all(line.lstrip().startswith((b'{"', b"[DONE]")) for line in lines)
    return lines if is_split else [data]


def _to_chunk(data: bytes) -> bytes:
    """Convert a whole response to an event, for servers that send it although asked to stream."""
    with suppress(ValueError, AttributeError, TypeError):  # reported when the event is decoded
        fields = parse_json(data)
        for choice in fields.get("choices") or ():
            delta = choice["delta"] = choice.pop("message")
            for index, call in enumerate(delta.get("tool_calls") or ()):
                call.setdefault("index", index)
        return json.dumps(fields).encode()
    return data


_EMPTY_FIELDS = frozenset({"created", "id", "model", "object", "type"})


def _is_empty(event: BaseModel) -> bool:
    """Return whether an event only keeps the connection alive."""
    return event.model_fields_set <= _EMPTY_FIELDS


class OpenStream(AbstractAsyncContextManager[Stream[A, E]]):
    """Request whose response is streamed inside of `async with`.

    Args:
        caller: The caller.
        operation: The operation.
    """

    def __init__(self, caller: Caller, operation: Operation[A]) -> None:
        self._operation = cast("StreamOperation[A, E]", operation)
        self._open = caller.stream(operation, streaming=True)

    async def __aenter__(self) -> Stream[A, E]:
        return Stream(await self._open.__aenter__(), self._operation)

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        return await self._open.__aexit__(exc_type, exc, traceback)

    if not TYPE_CHECKING:  # type checkers report all of these themselves

        def _refuse(self, *_: object) -> Any:
            resource = self._operation.spec.name.rpartition(".")[0]
            raise TypeError(
                f"a stream is opened by async with: write async with client.{resource}.stream(…) "
                "as stream"
            )

        __await__ = __aiter__ = __iter__ = __enter__ = __exit__ = _refuse

        def __getattr__(self, name: str) -> Any:
            raise AttributeError(
                f"a stream has no {name!r} before it is opened: write async with … as stream, "
                f"then stream.{name}"
            )
