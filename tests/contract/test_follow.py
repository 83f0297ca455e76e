"""Following a job: each event once, in order, to the last."""

import pytest
from tests.contract.data import begin_job, collect, finish_job, pairs

from tunesmith import AsyncClient, errors
from tunesmith.testing import Faults

pytestmark = pytest.mark.anyio

LAST = "The job has successfully completed"


async def all_events(client, job):
    """Every event by the plain list, oldest first."""
    return [event async for event in client.fine_tuning.jobs.list_events(job.id, limit=100)][::-1]


async def follow(client, job, **options):
    options = {"poll_interval": 5} | options
    return [event async for event in client.fine_tuning.jobs.follow(job, **options)]


async def test_each_event_is_yielded_once_oldest_first(client):
    job = await begin_job(client)
    events = await follow(client, job)
    assert events == await all_events(client, job)
    messages = [event.message for event in events]
    assert messages[0] == f"Created fine-tuning job: {job.id}"
    assert messages[-1] == LAST
    assert len({event.id for event in events}) == len(events)
    steps = [event.data["step"] for event in events if event.type == "metrics"]
    assert steps == [1, 2, 3]


@pytest.mark.slow
async def test_following_ends_after_the_events_that_come_after_the_job_has_ended(client):
    job = await begin_job(client)
    last = (await follow(client, job, poll_interval=1))[-1]
    job = await client.fine_tuning.jobs.retrieve(job.id)
    assert last.message == LAST
    assert last.created_at > job.finished_at


@pytest.mark.slow
async def test_events_are_yielded_while_the_job_runs(client):
    job = await begin_job(client)
    async for event in client.fine_tuning.jobs.follow(job):
        if event.message == "Fine-tuning job started":
            assert (await client.fine_tuning.jobs.retrieve(job.id)).status == "running"
            break
    else:
        pytest.fail("the job never started")


@pytest.mark.slow
async def test_dropped_connections_neither_lose_nor_repeat_events(backend):
    faults = Faults(backend)
    for operation in ("fine_tuning.jobs.retrieve", "fine_tuning.jobs.list_events"):
        faults.on(operation, nth=range(3, 1000, 6)).drop_response()
        faults.on(operation, nth=range(6, 1000, 6)).refuse_connection()
    broken = AsyncClient(backend=faults, max_retries=0)
    whole = AsyncClient(backend=backend)
    job = await begin_job(whole)
    assert await follow(broken, job) == await all_events(whole, job)


async def test_a_finished_job_is_followed_from_its_first_event(client):
    job = await finish_job(client)
    events = await follow(client, job.id)
    assert events == await all_events(client, job)
    assert events[-1].message == LAST


async def test_new_events_on_several_pages_are_yielded_in_order(client):
    method = {
        "type": "supervised",
        "supervised": {"hyperparameters": {"n_epochs": 10, "batch_size": 1}},
    }
    job = await begin_job(client, pairs(12), method=method)
    events = await follow(client, job, poll_interval=10_000)
    steps = [event.data["step"] for event in events if event.type == "metrics"]
    assert steps == list(range(1, 121))
    assert events[-1].message == LAST


async def test_a_failed_job_is_followed_to_the_event_with_the_reason(client):
    job = await begin_job(client, pairs(7))
    events = await follow(client, job)
    assert "must have at least 10 examples" in events[-1].message
    assert events[-1].level == "error"


async def test_cancelling_the_job_ends_following(client):
    job = await begin_job(client)
    events = []
    async for event in client.fine_tuning.jobs.follow(job):
        events.append(event)
        if event.message == "Fine-tuning job started":
            await client.fine_tuning.jobs.cancel(job.id)
    assert events == await all_events(client, job)
    assert events[-1].message != LAST


async def test_the_deadline_ends_following_which_can_be_repeated(client, service):
    job = await begin_job(client)
    began = service.clock.monotonic()
    before = []
    with pytest.raises(errors.DeadlineExceededError) as caught:
        await collect(client.fine_tuning.jobs.follow(job, deadline=60), before)
    assert service.clock.monotonic() - began <= 60
    assert caught.value.operation == "fine_tuning.jobs.follow"
    events = await follow(client, job)
    assert events[: len(before)] == before
    assert events[-1].message == LAST


async def test_the_deadline_of_the_client_ends_following(client):
    job = await begin_job(client)
    with pytest.raises(errors.DeadlineExceededError):
        await follow(client.with_options(deadline=60), job)


async def test_a_service_unreachable_for_minutes_is_an_error(backend, service):
    job = await begin_job(AsyncClient(backend=backend))
    gone = Faults(backend)
    gone.on("fine_tuning.jobs.retrieve", nth=None).refuse_connection()
    began = service.clock.monotonic()
    with pytest.raises(errors.APIConnectionError):
        await follow(AsyncClient(backend=gone), job)
    assert 300 < service.clock.monotonic() - began < 400


async def test_following_an_unknown_job_is_an_immediate_error(client):
    with pytest.raises(errors.NotFoundError):
        await follow(client, "ftjob-none")


async def test_a_poll_interval_of_zero_is_refused(client):
    jobs = client.fine_tuning.jobs
    with pytest.raises(errors.InvalidRequestError, match="poll_interval"):
        jobs.follow("ftjob-1", poll_interval=0)
    with pytest.raises(errors.InvalidRequestError, match="poll_interval"):
        await jobs.wait("ftjob-1", poll_interval=-1)
    with pytest.raises(errors.InvalidRequestError, match="poll_interval"):
        await client.files.wait_for_processing("file-1", poll_interval=0)
