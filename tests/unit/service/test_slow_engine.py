"""Requests never wait for the work of an engine while lifecycles run in the background."""

import json
import threading
import time

import anyio
import anyio.lowlevel
import pytest

from tunesmith.clock import VirtualClock
from tunesmith.operations.batches import CancelBatch, CreateBatch, RetrieveBatch
from tunesmith.operations.completions import CreateCompletion
from tunesmith.operations.fine_tunes import CreateFineTune, ListFineTuneEvents
from tunesmith.operations.fine_tuning import (
    CancelFineTuningJob,
    CreateFineTuningJob,
    ListFineTuningJobEvents,
    PauseFineTuningJob,
    ResumeFineTuningJob,
    RetrieveFineTuningJob,
)
from tunesmith.operations.models import ListModels
from tunesmith.service.engines.ngram.engine import NGramEngine, NGramModel
from tunesmith.service.engines.ngram.training import NGramTraining
from tunesmith.service.engines.threads import ThreadedGeneration, ThreadedTrainingRun
from tunesmith.service.service import Service

pytestmark = pytest.mark.anyio

SPEED = 1e6


class GatedTraining(NGramTraining):
    """Training whose steps wait for permits in a thread."""

    def __init__(self, weights, spec, gate):
        super().__init__(weights, spec)
        self._gate = gate

    def __iter__(self):
        for step in super().__iter__():
            self._gate.pass_one()
            yield step


class GatedGeneration:
    """Generation whose tokens wait for permits in a thread."""

    def __init__(self, generation, gate):
        self._generation = generation
        self._gate = gate

    def __iter__(self):
        for token in self._generation:
            self._gate.pass_one()
            yield token

    def __getattr__(self, name):
        return getattr(self._generation, name)


class GatedModel(NGramModel):
    def __init__(self, weights, gate):
        super().__init__(weights)
        self._gate = gate

    async def train(self, spec, folder):
        return ThreadedTrainingRun(GatedTraining(self.weights, spec, self._gate))

    def generate(self, prompt, spec):
        return ThreadedGeneration(GatedGeneration(super().generate(prompt, spec), self._gate))


class Gate:
    """Permits for the work of an engine; without one its thread blocks."""

    def __init__(self):
        self._permits = threading.Semaphore(0)
        self.n_waiting = 0
        self.n_passed = 0

    def pass_one(self):
        self.n_waiting += 1
        assert self._permits.acquire(timeout=20), "no permit came"
        self.n_waiting -= 1
        self.n_passed += 1

    def open(self, n=1000):
        self._permits.release(n)


class GatedEngine(NGramEngine):
    """Engine whose training steps and completions wait for permits, as a slow engine does."""

    def __init__(self, max_trainings=None):
        super().__init__()
        self.gate = Gate()
        self.max_trainings = max_trainings

    async def open(self, model, folder=None):
        return GatedModel((await super().open(model, folder)).weights, self.gate)


@pytest.fixture
def engine():
    engine = GatedEngine()
    yield engine
    engine.gate.open()


@pytest.fixture
async def service(engine):
    """A service in real time whose lifecycles run in the background."""
    clock = VirtualClock(time.time(), autojump=False, rate=1.0)
    service = Service(engine=engine, clock=clock, speed=SPEED)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(service.run_lifecycles)
        await anyio.wait_all_tasks_blocked()
        yield service
        engine.gate.open()
        tasks.cancel_scope.cancel()


@pytest.fixture
async def job(service, upload, pairs):
    return await service.execute(
        CreateFineTuningJob(
            model="davinci-002",
            training_file=await upload(pairs),
            hyperparameters={"n_epochs": 2, "batch_size": 4},
        )
    )


async def until(condition):
    """Wait in real time until an awaitable condition returns a true value, and return it."""
    with anyio.fail_after(20):
        while not (value := await condition()):
            await anyio.lowlevel.checkpoint()
    return value


def job_has(service, job, status):
    async def condition():
        current = await service.execute(RetrieveFineTuningJob(job.id))
        return current if current.status == status else None

    return condition


async def blocked(engine):
    async def condition():
        return engine.gate.n_waiting == 1

    await until(condition)


async def events(service, job):
    page = await service.execute(ListFineTuningJobEvents(job.id, limit=100))
    return page.data[::-1]


async def test_requests_are_answered_while_a_step_blocks(service, engine, job):
    await until(job_has(service, job, "running"))
    await blocked(engine)
    with anyio.fail_after(1):
        assert (await service.execute(ListModels())).data
        assert (await service.execute(RetrieveFineTuningJob(job.id))).status == "running"
    engine.gate.open()
    done = await until(job_has(service, job, "succeeded"))
    assert done.fine_tuned_model


async def test_a_job_trains_without_requests(service, engine, job):
    engine.gate.open()
    registered = service.models.is_tuned

    async def condition():
        current = service.jobs.find(job.id)
        return current.fine_tuned_model and registered(current.fine_tuned_model)

    assert await until(condition)


async def test_times_are_real_whatever_the_speed(service, engine, job):
    engine.gate.open()
    done = await until(job_has(service, job, "succeeded"))
    now = time.time()
    of_events = [event.created_at for event in await events(service, job)]
    for timestamp in (done.created_at, done.finished_at, *of_events):
        assert now - 60 < timestamp <= now + 1


async def test_cancel_takes_effect_during_a_step(service, engine, job):
    await until(job_has(service, job, "running"))
    await blocked(engine)
    with anyio.fail_after(1):
        cancelled = await service.execute(CancelFineTuningJob(job.id))
    assert cancelled.status == "cancelled"
    engine.gate.open(1)

    async def idle():
        return engine.gate.n_waiting == 0

    await until(idle)
    await anyio.wait_all_tasks_blocked()
    assert (await service.execute(RetrieveFineTuningJob(job.id))).status == "cancelled"
    assert (await events(service, job))[-1].message == "The job has been cancelled"


async def test_a_job_paused_during_a_step_loses_and_repeats_none(service, engine, job):
    await until(job_has(service, job, "running"))
    await blocked(engine)
    await service.execute(PauseFineTuningJob(job.id))
    engine.gate.open()
    assert (await service.execute(RetrieveFineTuningJob(job.id))).status == "paused"
    await service.execute(ResumeFineTuningJob(job.id))
    await until(job_has(service, job, "succeeded"))
    steps = [event.data["step"] for event in await events(service, job) if event.type == "metrics"]
    assert steps == list(range(1, 7))


async def test_two_jobs_train_at_the_same_time(service, engine, job, upload, pairs):
    other = await service.execute(
        CreateFineTuningJob(model="davinci-002", training_file=await upload(pairs))
    )

    async def both_block():
        return engine.gate.n_waiting == 2

    await until(both_block)
    engine.gate.open()
    for each in (job, other):
        await until(job_has(service, each, "succeeded"))


async def test_completions_do_not_wait_for_each_other(service, engine):
    completions = []

    async def complete(prompt):
        operation = CreateCompletion(model="davinci-002", prompt=prompt, max_tokens=3)
        completions.append(await service.execute(operation))

    async with anyio.create_task_group() as tasks:
        for prompt in ("one", "two"):
            tasks.start_soon(complete, prompt)

        async def both_block():
            return engine.gate.n_waiting == 2

        await until(both_block)
        with anyio.fail_after(1):
            assert (await service.execute(ListModels())).data
        engine.gate.open()
    assert len(completions) == 2


async def test_a_batch_can_be_cancelled_while_a_line_blocks(service, engine, upload):
    body = {"model": "davinci-002", "prompt": "Kant", "max_tokens": 2}
    lines = [
        {"custom_id": str(i), "method": "POST", "url": "/v1/completions", "body": body}
        for i in range(3)
    ]
    file = await upload(lines, purpose="batch")
    batch = await service.execute(
        CreateBatch(input_file_id=file, endpoint="/v1/completions", completion_window="24h")
    )
    await blocked(engine)
    with anyio.fail_after(1):
        cancelling = await service.execute(CancelBatch(batch.id))
    assert cancelling.status in {"cancelling", "cancelled"}
    engine.gate.open()

    async def cancelled():
        return (await service.execute(RetrieveBatch(batch.id))).status == "cancelled"

    await until(cancelled)
    done = await service.execute(RetrieveBatch(batch.id))
    content = b"".join(service.files.read(done.error_file_id)).splitlines()
    assert [json.loads(line)["error"]["code"] for line in content] == ["batch_cancelled"] * 3


async def test_requests_of_a_batch_are_generated_together_if_that_takes_time(upload):
    engine = GatedEngine()
    engine.is_simulated = False
    clock = VirtualClock(time.time(), autojump=False, rate=1.0)
    service = Service(engine=engine, clock=clock, batch_concurrency=3)
    body = {"model": "davinci-002", "prompt": "Kant", "max_tokens": 2}
    lines = [
        {"custom_id": str(i), "method": "POST", "url": "/v1/completions", "body": body}
        for i in range(4)
    ]
    file = await upload(lines, purpose="batch", to=service)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(service.run_lifecycles)
        batch = await service.execute(
            CreateBatch(input_file_id=file, endpoint="/v1/completions", completion_window="24h")
        )

        async def three_block():
            return engine.gate.n_waiting == 3

        await until(three_block)
        engine.gate.open()

        async def is_over():
            current = await service.execute(RetrieveBatch(batch.id))
            return current if current.is_over else None

        assert (await until(is_over)).request_counts.completed == 4
        tasks.cancel_scope.cancel()


async def test_a_streamed_legacy_fine_tune_ends_with_its_last_event(service, engine, upload, pairs):
    engine.gate.open()
    create = CreateFineTune(training_file=await upload(pairs), model="ada")
    fine_tune = await service.execute(create)
    assert [event.message for event in fine_tune.events] == [f"Created fine-tune: {fine_tune.id}"]
    with anyio.fail_after(20):
        messages = [
            event.message async for event in service.stream(ListFineTuneEvents(fine_tune.id))
        ]
    assert messages[-1] == "Fine-tune succeeded"


async def test_actions_of_a_stopped_background_run_again(engine, upload, pairs):
    clock = VirtualClock(time.time(), autojump=False, rate=1.0)
    service = Service(engine=engine, clock=clock, speed=SPEED)
    training_file = await upload(pairs, to=service)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(service.run_lifecycles)
        job = await service.execute(
            CreateFineTuningJob(model="davinci-002", training_file=training_file)
        )
        await blocked(engine)
        engine.gate.open()
        tasks.cancel_scope.cancel()
    await until(job_has(service, job, "succeeded"))


async def test_a_job_without_a_slot_stays_queued_until_there_is_one(upload, pairs):
    engine = GatedEngine(max_trainings=1)
    clock = VirtualClock(time.time(), autojump=False, rate=1.0)
    service = Service(engine=engine, clock=clock, speed=SPEED)
    training_file = await upload(pairs, to=service)
    create = CreateFineTuningJob(model="davinci-002", training_file=training_file)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(service.run_lifecycles)
        jobs = [await service.execute(create) for _ in range(4)]
        await until(job_has(service, jobs[0], "running"))
        await blocked(engine)

        async def all_wait():
            return service.training_slots.n_waiting == 3

        await until(all_wait)
        for job in jobs[1:]:
            assert await job_has(service, job, "queued")()
        await service.execute(CancelFineTuningJob(jobs[1].id))
        await service.execute(PauseFineTuningJob(jobs[0].id))
        await until(job_has(service, jobs[2], "running"))
        assert (await service.execute(RetrieveFineTuningJob(jobs[3].id))).status == "queued"
        await service.execute(ResumeFineTuningJob(jobs[0].id))
        engine.gate.open(10_000)
        for job in (jobs[0], jobs[2], jobs[3]):
            await until(job_has(service, job, "succeeded"))
        ended = [(await service.execute(RetrieveFineTuningJob(j.id))).status for j in jobs]
        assert ended == ["succeeded", "cancelled", "succeeded", "succeeded"]
        tasks.cancel_scope.cancel()
