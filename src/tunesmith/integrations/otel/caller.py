"""Calls with spans."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, TypeVar

from pydantic_core import from_json

from tunesmith.calls.caller import Caller
from tunesmith.calls.deadline import Deadline
from tunesmith.calls.open_response import OpenResponse
from tunesmith.calls.policy import CallPolicy
from tunesmith.integrations.otel.attributes import RequestInfo
from tunesmith.integrations.otel.telemetry import CallSpan, Telemetry
from tunesmith.operations.base import Operation
from tunesmith.protocol.message import Request
from tunesmith.protocol.sse import ServerSentEvent, SSEDecoder
from tunesmith.types.response import ResponseInfo

__all__ = ["TracedCaller"]

A = TypeVar("A")


class TracedCaller(Caller):
    """Caller that records spans of the calls of another one.

    Args:
        caller: The other caller.
        telemetry: The recorder of spans.
    """

    def __init__(self, caller: Caller, telemetry: Telemetry) -> None:
        super().__init__(caller.backend, caller.policy)
        self.created_ids = caller.created_ids
        self._telemetry = telemetry

    def with_policy(self, policy: CallPolicy) -> "TracedCaller":
        """Return a caller with another policy."""
        return TracedCaller(super().with_policy(policy), self._telemetry)

    async def call(self, operation: Operation[A], *, deadline: Deadline | None = None) -> A:
        """Make a call; see `Caller.call`."""
        with (
            self._telemetry.call(RequestInfo.from_operation(operation), self.clock) as span,
            span.current(),
        ):
            answer = await super().call(operation, deadline=deadline)
            span.set_answer(answer)
            return answer

    async def attempt(
        self, request: Request, deadline: Deadline, number: int
    ) -> tuple[ResponseInfo, bytes]:
        """Send a row of a batch job once; see `Caller.attempt`."""
        described = RequestInfo.from_request(request)
        with self._telemetry.call(described, self.clock) as span, span.current():
            info, body = await super().attempt(request, deadline, number)
            span.set_response(info)
            span.set_answer(_read(body))
            return info, body

    @asynccontextmanager
    async def stream(
        self,
        operation: Operation[Any],
        *,
        streaming: bool = False,
        headers: Mapping[str, str] | None = None,
        deadline: Deadline | None = None,
    ) -> AsyncGenerator[OpenResponse]:
        """Make a call and yield its open response; see `Caller.stream`."""
        # The span is not the current one, since another task may close the stream.
        with self._telemetry.call(
            RequestInfo.from_operation(operation), self.clock, streaming=streaming
        ) as span:
            async with super().stream(
                operation, streaming=streaming, headers=headers, deadline=deadline
            ) as received:
                span.set_response(received.info)
                if streaming:
                    yield replace(received, stream=_TracedStream(received.stream, span))
                else:
                    yield received


def _read(body: bytes) -> object:
    try:
        return from_json(body)
    except ValueError:
        return None  # reported by the job


class _TracedStream:
    """Stream that records its events as they are read."""

    def __init__(self, stream: AsyncIterator[bytes], span: CallSpan) -> None:
        self._stream = stream
        self._span = span
        self._decoder = SSEDecoder()

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        try:
            chunk = await anext(self._stream)
        except StopAsyncIteration:
            self._record_events(self._decoder.finish())
            raise
        self._record_events(self._decoder.feed(chunk))
        return chunk

    def _record_events(self, events: list[ServerSentEvent]) -> None:
        for event in events:
            if event.data.startswith(b"{"):
                try:
                    self._span.chunk(from_json(event.data))
                except ValueError:
                    continue  # reported to the reader of the stream
