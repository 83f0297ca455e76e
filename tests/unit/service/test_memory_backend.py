"""The backend in process; `tests/contract` has the tests of all backends."""

import json
import math

import anyio
import anyio.from_thread
import anyio.lowlevel
import anyio.to_thread
import pytest

from tunesmith.backends.base import get_clock
from tunesmith.protocol.message import Request
from tunesmith.service.memory_backend import MemoryBackend
from tunesmith.service.service import Service

pytestmark = pytest.mark.anyio

_MODELS = Request("models.list", "GET", "/models")


def _completion(**more):
    body = {"model": "davinci-002", "prompt": "The sky is", **more}
    return Request("completions.create", "POST", "/completions", body=json.dumps(body).encode())


def test_it_may_be_made_outside_of_an_event_loop_and_used_in_several():
    backend = MemoryBackend()

    async def count():
        async with backend.send(_MODELS) as response:
            return len(json.loads(await response.read())["data"])

    assert anyio.run(count, backend="asyncio") == anyio.run(count, backend="trio") > 0


async def test_the_client_sleeps_by_the_clock_of_its_service():
    backend = MemoryBackend()
    assert get_clock(backend) is backend.service.clock


async def test_a_file_that_is_read_while_others_wait_for_time_is_in_time(monkeypatch):
    monkeypatch.setattr("tunesmith.clock._EXTERNAL_IO_GRACE_S", math.inf)
    backend = MemoryBackend()

    async def body():
        for chunk in (b'{"model": "davinci-002", ', b'"prompt": ', b'"Kant"}'):
            yield await anyio.to_thread.run_sync(read, chunk)

    def read(chunk):
        for _ in range(100):  # the others go on meanwhile
            anyio.from_thread.run(anyio.lowlevel.checkpoint)
        return chunk

    async def wait():
        while True:
            await backend.clock.sleep(3600)

    request = Request("completions.create", "POST", "/completions", body=body)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wait)
        with backend.clock.fail_after(60):
            async with backend.send(request) as response:
                assert response.status == 200
        tasks.cancel_scope.cancel()


async def test_it_takes_a_service_that_is_there_already():
    service = Service()
    first, second = MemoryBackend(service), MemoryBackend(service)
    assert first.service is second.service is service


async def test_two_services_know_nothing_of_each_other():
    one, other = MemoryBackend(), MemoryBackend()
    file = one.service.files.add([b"{}"], "a.jsonl", "batch")
    async with other.send(Request("files.retrieve", "GET", f"/files/{file.id}")) as response:
        assert response.status == 404


async def test_the_same_seed_answers_the_same_bytes():
    answers = []
    for _ in range(2):
        async with MemoryBackend(seed=3).send(_completion()) as response:
            answers.append((dict(response.headers), await response.read()))
    assert answers[0] == answers[1]
