"""Following a job of a service that streams its events."""

import json
from contextlib import asynccontextmanager

import anyio
import pytest

from tunesmith import AsyncClient, Response
from tunesmith.clock import VirtualClock
from tunesmith.errors import APIStatusError, BackendError, InvalidResponseError

pytestmark = pytest.mark.anyio

EVENTS = [
    {"id": "e1", "created_at": 1, "level": "error", "message": "Step 1"},
    {"id": "e2", "created_at": 2, "level": "info", "message": "Step 2"},
    {"id": "e3", "created_at": 3, "level": "info", "message": "Step 3"},
    {"id": "e4", "created_at": 4, "message": "The job has successfully completed"},
]
WITHOUT_ID = [{key: event[key] for key in ("created_at", "message")} for event in EVENTS]


class Listing:
    """A backend that lists its events, in chunks; the second list breaks off at first."""

    def __init__(self):
        self.clock = VirtualClock()
        self.polls = 0

    @asynccontextmanager
    async def send(self, request):
        is_events = request.operation == "fine_tuning.jobs.list_events"
        body = self.list() if is_events else self.job()
        try:
            yield Response(200, {"content-type": "application/json"}, body)
        finally:
            await body.aclose()

    async def job(self):
        status = "succeeded" if self.polls >= 2 else "running"
        yield json.dumps({"id": "ftjob-1", "status": status}).encode()

    async def list(self):
        self.polls += 1
        yield b'{"object": "list", "data": '
        if self.polls == 2:
            raise BackendError("broken", phase="read")
        events = EVENTS[:1] if self.polls == 1 else EVENTS[::-1]
        yield json.dumps(events).encode() + b"}"

    async def aclose(self):
        pass


class Streaming:
    """A backend whose events endpoint streams; each poll finds one more event.

    Args:
        events: The events.
        stays_open: Whether a stream stays open after its events.
    """

    def __init__(self, events, *, stays_open=False):
        self.events, self.stays_open = events, stays_open
        self.polls = self.closed = 0

    @asynccontextmanager
    async def send(self, request):
        is_events = request.operation == "fine_tuning.jobs.list_events"
        kind = "text/event-stream; charset=utf-8" if is_events else "application/json"
        body = self.stream() if is_events else self.job()
        try:
            yield Response(200, {"content-type": kind}, body)
        finally:
            self.closed += is_events
            await body.aclose()

    async def job(self):
        status = "succeeded" if self.polls >= len(self.events) - 1 else "running"
        yield json.dumps({"id": "ftjob-1", "status": status}).encode()

    async def stream(self):
        self.polls += 1
        yield b": hello\n\n"
        yield b"data: hello\n\n" + b"".join(
            b"event: fine_tuning.job.event\ndata: " + json.dumps(event).encode() + b"\n\n"
            for event in self.events[: self.polls]
        )
        if self.stays_open and self.polls < len(self.events):
            await anyio.sleep_forever()
        yield b"data: [DONE]\n\n"

    async def aclose(self):
        pass


async def follow(backend):
    async with AsyncClient(backend=backend) as client:
        return [
            event.message
            async for event in client.fine_tuning.jobs.follow("ftjob-1", poll_interval=0.01)
        ]


@pytest.mark.parametrize("stays_open", [False, True])
@pytest.mark.parametrize("events", [EVENTS, WITHOUT_ID], ids=["ids", "no ids"])
async def test_streamed_events_are_followed_in_order_and_once(events, stays_open):
    backend = Streaming(events, stays_open=stays_open)
    with anyio.fail_after(10):
        messages = await follow(backend)
    assert messages == [event["message"] for event in EVENTS]
    assert backend.closed == backend.polls


async def test_an_error_in_the_stream_is_raised():
    error = {"message": "No such job", "type": "invalid_request_error", "code": "not_found"}
    backend = Streaming([{"error": error}])
    with anyio.fail_after(10), pytest.raises(APIStatusError, match="No such job") as caught:
        await follow(backend)
    assert caught.value.operation == "fine_tuning.jobs.list_events"


async def test_events_that_arrive_together_keep_their_order():
    backend = Streaming(EVENTS)
    backend.polls = len(EVENTS) - 1
    with anyio.fail_after(10):
        assert await follow(backend) == [event["message"] for event in EVENTS]


@pytest.mark.parametrize("event", [{"id": "e1"}, {"id": "e1", "message": 7, "created_at": "x"}])
async def test_an_event_of_another_shape_is_an_error(event):
    with anyio.fail_after(10), pytest.raises(InvalidResponseError) as caught:
        await follow(Streaming([event]))
    assert caught.value.operation == "fine_tuning.jobs.list_events"
    assert caught.value.status == 200


async def test_a_service_that_lists_its_events_is_asked_again_when_a_list_breaks_off():
    backend = Listing()
    with anyio.fail_after(10):
        assert await follow(backend) == [event["message"] for event in EVENTS]
    assert backend.polls == 4
