"""The door in process: a backend like any other, over a service of its own."""

import json

import anyio
import anyio.lowlevel
import pytest

from tunesmith.backends.base import clock_of
from tunesmith.errors import BackendError
from tunesmith.protocol.message import Request
from tunesmith.service.memory import MemoryBackend
from tunesmith.service.service import Service

pytestmark = pytest.mark.anyio

_MODELS = Request("models.list", "GET", "/models")


def _completion(**more):
    body = {"model": "davinci-002", "prompt": "The sky is", **more}
    return Request("completions.create", "POST", "/completions", body=json.dumps(body).encode())


async def test_it_answers_like_a_backend():
    backend = MemoryBackend()
    async with backend.send(_MODELS) as response:
        assert response.status == 200
        assert json.loads(await response.read())["object"] == "list"
    await backend.aclose()


def test_it_may_be_made_outside_of_an_event_loop_and_used_in_several():
    backend = MemoryBackend()

    async def count():
        async with backend.send(_MODELS) as response:
            return len(json.loads(await response.read())["data"])

    assert anyio.run(count, backend="asyncio") == anyio.run(count, backend="trio") > 0


async def test_the_client_sleeps_by_the_clock_of_its_service():
    backend = MemoryBackend()
    assert clock_of(backend) is backend.service.clock


async def test_it_takes_a_service_that_is_there_already():
    service = Service()
    first, second = MemoryBackend(service), MemoryBackend(service)
    assert first.service is second.service is service


async def test_two_services_know_nothing_of_each_other():
    one, other = MemoryBackend(), MemoryBackend()
    file = one.service.files.add([b"{}"], "a.jsonl", "batch")
    async with other.send(Request("files.retrieve", "GET", f"/files/{file.id}")) as response:
        assert response.status == 404


async def test_after_closing_it_refuses_to_send():
    backend = MemoryBackend()
    await backend.aclose()
    with pytest.raises(BackendError) as caught:
        async with backend.send(_MODELS):
            pass
    assert caught.value.phase == "closed"


async def test_the_same_seed_answers_the_same_bytes():
    answers = []
    for _ in range(2):
        async with MemoryBackend(seed=3).send(_completion()) as response:
            answers.append((dict(response.headers), await response.read()))
    assert answers[0] == answers[1]


async def test_a_stream_left_early_leaves_nothing_running():
    backend = MemoryBackend()
    async with backend.send(_completion(stream=True, max_tokens=200)) as response:
        stream = response.stream
        first = await anext(stream)
        assert first.startswith(b"data: {")
    with pytest.raises(StopAsyncIteration):
        await anext(stream)


async def test_a_stream_never_read_is_closed_as_well():
    backend = MemoryBackend()
    async with backend.send(_completion(stream=True)) as response:
        stream = response.stream
    with pytest.raises(StopAsyncIteration):
        await anext(stream)


@pytest.mark.parametrize("streaming", [False, True])
async def test_cancelling_at_any_await_leaves_the_service_as_good_as_before(streaming):
    """However far a call has come when it is cancelled, the next one is answered."""
    backend = MemoryBackend()
    finished = False

    async def call():
        nonlocal finished
        async with backend.send(_completion(stream=streaming, max_tokens=5)) as response:
            await response.read()
        finished = True

    for checkpoints in range(200):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call)
            for _ in range(checkpoints):
                await anyio.lowlevel.checkpoint()
            tasks.cancel_scope.cancel()
        if finished:
            break
    assert finished
    async with backend.send(_completion()) as response:
        assert response.status == 200


async def test_many_streams_run_side_by_side():
    backend = MemoryBackend()
    texts = {}

    async def read(seed):
        async with backend.send(_completion(stream=True, seed=seed)) as response:
            texts[seed] = await response.read()

    async with anyio.create_task_group() as tasks:
        for seed in range(20):
            tasks.start_soon(read, seed)
    assert len(texts) == 20
    assert all(text.endswith(b"data: [DONE]\n\n") for text in texts.values())
