"""Streams come as they are made, and end where they are left."""

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
    """Streams come as they are made, and end where they are left."""

    @on_each_event_loop
    async def test_an_event_is_there_before_the_next_one_has_happened(
        self, target: BackendUnderTest
    ) -> None:
        """Time stands still after the first one, so who waits for more never hands it over."""
        events = await _events_of_a_fine_tune(target)
        async with target.backend.send(events) as response:
            assert response.headers["content-type"].startswith("text/event-stream")
            with anyio.fail_after(target.timeout_s):
                first = await anext(response.stream)
            assert b"Created fine-tune" in first
            assert b"succeeded" not in first
            target.service.clock.autojump = True
            target.service.clock.jump(_DAY_S)
            rest = await response.read()
        assert b"Fine-tune succeeded" in rest
        assert rest.endswith(b"data: [DONE]\n\n")

    @on_each_event_loop
    async def test_a_stream_that_is_left_ends_at_once(self, target: BackendUnderTest) -> None:
        for _ in range(3):
            async with target.backend.send(stream_completion(max_tokens=100)) as response:
                stream = response.stream
                assert (await anext(stream)).startswith(b"data: {")
            with pytest.raises((StopAsyncIteration, BackendError)):
                await anext(stream)
        await target.wait_streams_closed()
        assert (await target.request(LIST_MODELS)).status == 200

    @on_each_event_loop
    async def test_a_stream_that_is_never_read_ends_too(self, target: BackendUnderTest) -> None:
        async with target.backend.send(stream_completion(max_tokens=100)) as response:
            stream = response.stream
        with pytest.raises((StopAsyncIteration, BackendError)):
            await anext(stream)
        await target.wait_streams_closed()

    @on_each_event_loop
    async def test_a_stream_that_is_waited_for_can_be_cancelled(
        self, target: BackendUnderTest
    ) -> None:
        events = await _events_of_a_fine_tune(target)
        began = anyio.Event()

        async def read() -> None:
            async with target.backend.send(events) as response:
                await anext(response.stream)
                began.set()
                await response.read()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(read)
            await began.wait()
            tasks.cancel_scope.cancel()
        target.service.clock.autojump = True
        target.service.clock.jump(_DAY_S)  # a server notices when it has more to tell
        await target.wait_streams_closed()
        assert (await target.request(LIST_MODELS)).status == 200

    @on_each_event_loop
    async def test_an_error_of_its_user_comes_through_and_ends_the_stream(
        self, target: BackendUnderTest
    ) -> None:
        with pytest.raises(KeyError, match="mine"):
            async with target.backend.send(stream_completion(max_tokens=100)) as response:
                await anext(response.stream)
                raise KeyError("mine")
        await target.wait_streams_closed()

    @on_each_event_loop
    async def test_streams_side_by_side_do_not_wait_for_each_other(
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


async def _events_of_a_fine_tune(target: BackendUnderTest) -> Request:
    """Begin a fine-tune; its events are those of a day that does not pass by itself."""
    target.service.clock.autojump = False
    sent = encode(CreateFile(file=("a.jsonl", _LINES), purpose="fine-tune"))
    file = json.loads((await target.request(sent)).body)
    begin = encode(CreateFineTune(training_file=file["id"], model="ada", n_epochs=1))
    fine_tune = json.loads((await target.request(begin)).body)
    return encode(ListFineTuneEvents(fine_tune["id"]), streaming=True)
