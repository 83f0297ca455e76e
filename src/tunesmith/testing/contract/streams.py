"""Tests that streams arrive event by event and close when they are left."""

import json

import anyio
import pytest

from tunesmith.errors import BackendError
from tunesmith.operations.files import CreateFile
from tunesmith.operations.fine_tunes import CreateFineTune, ListFineTuneEvents
from tunesmith.protocol.encode import encode
from tunesmith.protocol.message import Request
from tunesmith.testing.contract.base import BackendUnderTest, ContractBase, on_each_event_loop
from tunesmith.testing.contract.messages import LIST_MODELS, stream_completion

__all__ = ["StreamContract"]

_DAY_S = 24 * 3600
_LINES = b'{"prompt": "1 + 1 ->", "completion": " 2"}\n' * 12


class StreamContract(ContractBase):
    """Tests that streams arrive event by event and close when they are left."""

    @on_each_event_loop
    async def test_an_event_is_received_before_the_next_one_happens(
        self, target: BackendUnderTest
    ) -> None:
        """The clock stands still after the first event, so a backend must not wait for the next."""
        events = await _fine_tune_events(target)
        async with target.backend.send(events) as response:
            assert response.headers["content-type"].startswith("text/event-stream")
            with anyio.fail_after(target.timeout):
                first = await anext(response.stream)
            assert b"Created fine-tune" in first
            assert b"succeeded" not in first
            target.service.clock.autojump = True
            target.service.clock.jump(_DAY_S)
            rest = await response.read()
        assert b"Fine-tune succeeded" in rest
        assert rest.endswith(b"data: [DONE]\n\n")

    @on_each_event_loop
    async def test_a_stream_closes_when_it_is_left(self, target: BackendUnderTest) -> None:
        for _ in range(3):
            async with target.backend.send(stream_completion(max_tokens=100)) as response:
                stream = response.stream
                assert (await anext(stream)).startswith(b"data: {")
            with pytest.raises((StopAsyncIteration, BackendError)):
                await anext(stream)
        await target.wait_streams_closed()
        assert (await target.request(LIST_MODELS)).status == 200

    @on_each_event_loop
    async def test_a_stream_that_is_never_read_closes(self, target: BackendUnderTest) -> None:
        async with target.backend.send(stream_completion(max_tokens=100)) as response:
            stream = response.stream
        with pytest.raises((StopAsyncIteration, BackendError)):
            await anext(stream)
        await target.wait_streams_closed()

    @on_each_event_loop
    async def test_waiting_for_an_event_can_be_cancelled(self, target: BackendUnderTest) -> None:
        events = await _fine_tune_events(target)
        started = anyio.Event()

        async def read() -> None:
            async with target.backend.send(events) as response:
                await anext(response.stream)
                started.set()
                await response.read()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(read)
            await started.wait()
            tasks.cancel_scope.cancel()
        target.service.clock.autojump = True
        target.service.clock.jump(_DAY_S)  # a server detects the closed connection when it sends
        await target.wait_streams_closed()
        assert (await target.request(LIST_MODELS)).status == 200

    @on_each_event_loop
    async def test_an_error_of_the_caller_is_reraised_and_closes_the_stream(
        self, target: BackendUnderTest
    ) -> None:
        with pytest.raises(KeyError, match="caller"):
            async with target.backend.send(stream_completion(max_tokens=100)) as response:
                await anext(response.stream)
                raise KeyError("caller")
        await target.wait_streams_closed()

    @on_each_event_loop
    async def test_concurrent_streams_do_not_wait_for_each_other(
        self, target: BackendUnderTest
    ) -> None:
        async with (
            target.backend.send(stream_completion(max_tokens=50, seed=1)) as one,
            target.backend.send(stream_completion(max_tokens=50, seed=2)) as other,
        ):
            chunks = [await anext(response.stream) for response in (one, other, one, other)]
            rest = await other.read(), await one.read()
        assert all(chunk.startswith(b"data: {") for chunk in chunks)
        assert all(text.endswith(b"data: [DONE]\n\n") for text in rest)


async def _fine_tune_events(target: BackendUnderTest) -> Request:
    """Create a fine-tune whose events happen only when the clock is advanced."""
    target.service.clock.autojump = False
    sent = encode(CreateFile(file=("a.jsonl", _LINES), purpose="fine-tune"))
    file = json.loads((await target.request(sent)).body)
    begin = encode(CreateFineTune(training_file=file["id"], model="ada", n_epochs=1))
    fine_tune = json.loads((await target.request(begin)).body)
    return encode(ListFineTuneEvents(fine_tune["id"]), streaming=True)
