"""The service as a whole."""

from contextlib import aclosing

import anyio
import pytest

from tunesmith.operations.base import StreamOperation
from tunesmith.operations.fine_tunes import CreateFineTune, ListFineTuneEvents
from tunesmith.operations.fine_tuning import (
    CreateFineTuningJob,
    ListFineTuningJobs,
    RetrieveFineTuningJob,
)
from tunesmith.operations.registry import all_operations
from tunesmith.service.service import Service

pytestmark = pytest.mark.anyio


def test_every_operation_has_a_handler(service):
    assert set(service._handlers) == set(all_operations())


def test_every_streamed_operation_has_a_stream_handler(service):
    streamed = {op for op in all_operations() if issubclass(op, StreamOperation)}
    assert set(service._stream_handlers) == streamed


async def test_a_job_runs_while_everybody_only_waits(service, upload, pairs):
    job = await service.execute(
        CreateFineTuningJob(model="davinci-002", training_file=await upload(pairs))
    )
    with service.clock.fail_after(3600):
        while not job.is_finished:
            await service.clock.sleep(10)
            job = await service.execute(RetrieveFineTuningJob(job.id))
    assert job.status == "succeeded"


async def test_readers_at_the_same_time_see_the_same(service, upload, pairs):
    job = await service.execute(
        CreateFineTuningJob(model="davinci-002", training_file=await upload(pairs))
    )
    seen = []

    async def read():
        seen.append(await service.execute(RetrieveFineTuningJob(job.id)))

    for _ in range(10):
        service.clock.jump(40)
        async with anyio.create_task_group() as group:
            for _ in range(5):
                group.start_soon(read)
        assert len(set(map(repr, seen))) == 1
        seen.clear()


async def test_whoever_gives_up_waiting_for_the_engine_harms_nobody(service, upload, pairs):
    job = await service.execute(
        CreateFineTuningJob(model="davinci-002", training_file=await upload(pairs))
    )
    service.clock.jump(3600)
    for _ in range(5):
        with anyio.move_on_after(0):
            await service.execute(RetrieveFineTuningJob(job.id))
    done = await service.execute(RetrieveFineTuningJob(job.id))
    assert done.status == "succeeded"
    untroubled = Service(seed=1)
    again = await untroubled.execute(
        CreateFineTuningJob(model="davinci-002", training_file=await upload(pairs, to=untroubled))
    )
    untroubled.clock.jump(3600)
    assert await untroubled.execute(RetrieveFineTuningJob(again.id)) == done


async def test_no_deadline_passes_while_the_service_works(service, upload, pairs):
    job = await service.execute(
        CreateFineTuningJob(model="davinci-002", training_file=await upload(pairs))
    )
    service.clock.jump(3600)
    began = service.clock.time()
    answered_at = []

    async def ask():
        with service.clock.fail_after(1):
            await service.execute(RetrieveFineTuningJob(job.id))
        answered_at.append(service.clock.time())

    async with anyio.create_task_group() as group:
        group.start_soon(ask)
        group.start_soon(service.clock.sleep, 60)
    assert answered_at == [began]


async def test_a_stream_that_is_left_early_is_closed_at_once(service, upload, pairs):
    fine_tune = await service.execute(CreateFineTune(training_file=await upload(pairs)))
    async with aclosing(service.stream(ListFineTuneEvents(fine_tune.id))) as events:
        async for _ in events:
            break
    now = service.clock.time()
    await anyio.wait_all_tasks_blocked()
    assert service.clock.time() == now


def test_one_service_lives_on_across_event_loops():
    service = Service()
    for backend in ("asyncio", "trio"):
        assert anyio.run(service.execute, ListFineTuningJobs(), backend=backend).data == []
