"""Streams: the events of one answer, as they come."""

from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, Generic, TypeVar, cast

from pydantic import BaseModel

from tunesmith.calls.caller import Caller
from tunesmith.calls.open_response import OpenResponse
from tunesmith.errors import BackendError, InvalidResponseError
from tunesmith.operations.base import Operation, StreamOperation
from tunesmith.protocol.decode import decode_event
from tunesmith.protocol.error_body import is_error_event, parse_stream_error
from tunesmith.protocol.sse import ServerSentEvent, SSEDecoder
from tunesmith.types.base import attach_response
from tunesmith.types.response import ResponseInfo

__all__ = ["Stream", "open_stream"]

A = TypeVar("A")
E = TypeVar("E", bound=BaseModel)

_DONE = b"[DONE]"

_DRAIN_TIMEOUT_S = 0.2
"""How long to wait for the end of the body after `[DONE]`, so that the connection can be kept."""


class Stream(Generic[A, E]):
    """The events of one answer, as they come; made by a resource's `stream` method.

    Example:
        ```python
        async with client.completions.stream(model="davinci-002", prompt="Kant was") as stream:
            async for completion in stream:
                print(completion.choices[0].text, end="")
            whole = await stream.final_response()
        ```
    """

    def __init__(self, received: OpenResponse, operation: StreamOperation[A, E]) -> None:
        self._received = received
        self._operation = operation
        self._decoder = SSEDecoder()
        self._waiting: deque[ServerSentEvent] = deque()
        # As bytes, not as objects: a stream may be long, and few ask for the whole answer.
        self._seen: list[bytes] = []
        self._finished = False
        self._over = False

    @property
    def response(self) -> ResponseInfo:
        """Request id, headers, rate limits and attempts of the response."""
        return self._received.info

    def __aiter__(self) -> AsyncIterator[E]:
        return self

    async def __anext__(self) -> E:
        """Wait for the next event.

        Raises:
            StreamError: The service reported an error inside the stream.
            StreamInterruptedError: The stream broke off.
            InvalidResponseError: What came cannot be understood.
            APITimeoutError: The event did not come within `timeout`.
            DeadlineExceededError: The time of the whole call is up.
        """
        if self._over:
            raise StopAsyncIteration
        while not self._waiting:
            await self._read_events()
        received = self._waiting.popleft()
        if received.data == _DONE:
            await self._drain()
            raise StopAsyncIteration
        try:
            event = self._decode(received.data)
        except InvalidResponseError:
            self._over = True
            if received.event != "error" and not is_error_event(received.data):
                raise
            error = parse_stream_error(received.data)
            error.operation = self._operation.spec.name
            error.request_id = self.response.request_id
            raise error from None
        self._finished = self._finished or _is_last(event)
        self._seen.append(received.data)
        return event

    def _decode(self, data: bytes) -> E:
        spec = self._operation.spec
        event: E = decode_event(spec.event_type, data, self.response, operation=spec.name)
        return event

    async def _read_events(self) -> None:
        chunk = await self._received.next_chunk()
        if chunk is not None:
            self._waiting.extend(self._decoder.feed(chunk))
            return
        self._waiting.extend(self._decoder.finish())
        if not self._waiting:
            self._over = True
            if not self._finished:
                # Some servers leave `[DONE]` out, but none the reason why a choice ended.
                raise self._received.interrupted("it ended before the answer did")
            raise StopAsyncIteration

    async def _drain(self) -> None:
        """Read to the end of the body, so that the connection can be kept."""
        self._over = True
        # The answer is whole: whatever goes wrong now concerns nobody.
        with (
            suppress(BackendError, TimeoutError),
            self._received.deadline.clock.fail_after(_DRAIN_TIMEOUT_S),
        ):
            await anext(self._received.stream, None)

    async def final_response(self) -> A:
        """Read what is left and put all events together to the answer that `create` would give.

        Raises:
            InvalidResponseError: There was no event at all.
        """
        async for _ in self:
            pass
        if not self._seen:
            raise InvalidResponseError(
                f"{self._operation.spec.name}: the stream ended without an event",
                status=self.response.status,
                operation=self._operation.spec.name,
                request_id=self.response.request_id,
            )
        # Imported only now: it knows the types of every noun that streams.
        from tunesmith.protocol.accumulate import accumulate  # noqa: PLC0415

        answer = accumulate(self._operation.spec.response_type, map(self._decode, self._seen))
        attach_response(answer, self.response)
        return cast("A", answer)


def _is_last(event: Any) -> bool:
    choices = getattr(event, "choices", None)
    return choices is None or any(choice.finish_reason for choice in choices)


@asynccontextmanager
async def open_stream(caller: Caller, operation: Operation[A]) -> AsyncGenerator[Stream[A, Any]]:
    """Ask, and hand over the answer's events as they come.

    Args:
        caller: Makes the call.
        operation: What is asked.
    """
    async with caller.stream(operation, streaming=True) as received:
        yield Stream(received, cast("StreamOperation[A, Any]", operation))
