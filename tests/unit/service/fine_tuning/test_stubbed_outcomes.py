"""Planned outcomes of jobs, and their behavior over the years."""

import base64

import pytest

from tunesmith.operations.fine_tunes import CreateFineTune, RetrieveFineTune
from tunesmith.operations.fine_tuning import (
    CancelFineTuningJob,
    CreateFineTuningJob,
    ListFineTuningJobEvents,
    PauseFineTuningJob,
    ResumeFineTuningJob,
    RetrieveFineTuningJob,
)
from tunesmith.operations.models import RetrieveModel
from tunesmith.service.core.behavior import BEHAVIOR_2023, BEHAVIOR_2024, ServiceBehavior

pytestmark = pytest.mark.anyio

_LONG_S = 100_000


@pytest.fixture
def create(service, upload, pairs):
    """Function that creates a job."""

    async def create(**parameters):
        return await service.execute(
            CreateFineTuningJob(
                model="davinci-002", training_file=await upload(pairs), **parameters
            )
        )

    return create


@pytest.fixture
def later(service):
    """Function that returns a job after some time."""

    async def later(job, seconds=_LONG_S):
        service.clock.jump(seconds)
        return await service.execute(RetrieveFineTuningJob(job.id))

    return later


@pytest.fixture
def events(service):
    """Function that returns the events of a job, oldest first."""

    async def events(job):
        page = await service.execute(ListFineTuningJobEvents(job.id, limit=100))
        return list(reversed(page.data))

    return events


# Failures.


async def test_the_next_job_fails_as_planned(service, create, later, events):
    service.jobs.fail_next("invalid_n_examples", "Too few.", param="training_file")
    job = await later(await create())
    assert job.status == "failed"
    assert job.error.model_dump() == {
        "code": "invalid_n_examples",
        "message": "Too few.",
        "param": "training_file",
    }
    assert (await events(job))[-1].message == "Too few."
    assert (await later(await create())).status == "succeeded"


async def test_planned_failures_are_used_in_order(service, create, later):
    service.jobs.fail_next("a", "A.")
    service.jobs.fail_next("b", "B.", times=2)
    jobs = [await create() for _ in range(4)]
    ends = [await later(job) for job in jobs]
    assert [job.error and job.error.code for job in ends] == ["a", "b", "b", None]


async def test_a_failure_can_be_planned_for_all_jobs(service, create, later):
    service.jobs.fail_next("a", "A.", times=None)
    assert [(await later(await create())).status for _ in range(3)] == ["failed"] * 3


async def test_a_job_fails_after_a_number_of_steps(service, create, later, events):
    service.jobs.fail_next("server_error", "CUDA out of memory.", after_steps=2)
    job = await later(await create())
    assert job.status == "failed"
    assert job.fine_tuned_model is None
    assert [event.data["step"] for event in await events(job) if event.type == "metrics"] == [1, 2]


async def test_a_failure_after_too_many_steps_comes_after_the_last_step(
    service, create, later, events
):
    service.jobs.fail_next("server_error", "CUDA out of memory.", after_steps=10**6)
    job = await later(await create())
    assert job.status == "failed"
    *_, last_step, failure = await events(job)
    assert last_step.data["step"] == last_step.data["total_steps"]
    assert failure.message == "CUDA out of memory."


async def test_a_job_fails_at_an_action(service, create, later, events):
    service.jobs.fail_next("server_error", "No GPU.", at_action="start")
    job = await later(await create())
    assert [event.message for event in await events(job)][-2:] == [
        "Files validated, moving job to queued state",
        "No GPU.",
    ]


@pytest.mark.slow
async def test_a_job_fails_after_its_model_was_created(service, create, later, events):
    service.jobs.fail_after_model_created("moderation", "The model was blocked.")
    job = await later(await create())
    assert job.status == "failed"
    assert job.error.code == "moderation"
    created, failed = [event.message for event in await events(job)][-2:]
    assert created == f"New fine-tuned model created: {job.fine_tuned_model}"
    assert failed == "The model was blocked."
    assert (await service.execute(RetrieveModel(job.fine_tuned_model))).id == job.fine_tuned_model


async def test_a_job_that_fails_late_is_never_succeeded(service, create, later):
    service.jobs.fail_after_model_created("moderation", "The model was blocked.")
    job = await create()
    seen = set()
    while not job.is_finished:
        job = await later(job, 1)
        seen.add(job.status)
    assert seen == {"validating_files", "queued", "running", "failed"}


def test_an_unknown_action_is_refused(service):
    with pytest.raises(ValueError, match="no action 'lunch'; use one of announce, "):
        service.jobs.fail_next("a", "A.", at_action="lunch")


def test_a_negative_number_of_steps_is_refused(service):
    with pytest.raises(ValueError, match="after_steps must be 0 or more, not -1"):
        service.jobs.fail_next("a", "A.", after_steps=-1)


# The queue.


async def test_a_held_job_stays_queued_until_release(service, create, later):
    service.jobs.hold_in_queue()
    job, other = await create(), await create()
    assert (await later(job)).status == "queued"
    assert (await later(other)).status == "succeeded"
    service.jobs.release(job.id)
    assert (await later(job)).status == "succeeded"


async def test_a_job_released_before_it_is_queued_is_not_held(service, create, later):
    service.jobs.hold_in_queue()
    job = await create()
    service.jobs.release()
    assert (await later(job)).status == "succeeded"


async def test_a_held_job_can_be_cancelled(service, create, later):
    service.jobs.hold_in_queue()
    job = await create()
    assert (await later(job)).status == "queued"
    await service.execute(CancelFineTuningJob(job.id))
    service.jobs.release()
    assert (await later(job)).status == "cancelled"


async def test_a_held_job_is_still_held_after_pause_and_resume(service, create, later):
    service.jobs.hold_in_queue()
    job = await create()
    await later(job)
    await service.execute(PauseFineTuningJob(job.id))
    await service.execute(ResumeFineTuningJob(job.id))
    assert (await later(job)).status == "queued"
    service.jobs.release()
    assert (await later(job)).status == "succeeded"


async def test_a_job_can_be_held_and_fail(service, create, later):
    service.jobs.hold_in_queue()
    service.jobs.fail_next("server_error", "CUDA out of memory.", after_steps=1)
    job = await create()
    assert (await later(job)).status == "queued"
    service.jobs.release()
    assert (await later(job)).status == "failed"


def test_releasing_an_unknown_job_is_refused(service):
    with pytest.raises(ValueError, match="job 'ftjob-1' does not exist"):
        service.jobs.release("ftjob-1")


# Behavior.


async def test_behavior_2023_has_the_events_of_2023(service, create, later, events):
    service.jobs.set_behavior(BEHAVIOR_2023)
    job = await later(await create(hyperparameters={"n_epochs": 2, "batch_size": 1}))
    listed = await events(job)
    assert [event.message.split(":")[0] for event in listed] == [
        "Created fine-tune",
        "Fine tuning job started",
        "Step 10/24",
        "Step 20/24",
        "Step 24/24",
        "New fine-tuned model created",
        "Fine-tuning job successfully completed",
    ]
    assert all(event.data is None for event in listed if event.type == "message")
    assert set(listed[2].data) == {"step", "train_loss", "train_mean_token_accuracy"}


async def test_behavior_can_be_set_for_one_job(service, create, later, events):
    service.jobs.set_behavior(ServiceBehavior(completed_event="All done."), times=1)
    first, second = await create(), await create()
    assert (await events(await later(first)))[-1].message == "All done."
    assert (await events(await later(second)))[-1].message == "The job has successfully completed"


@pytest.mark.parametrize(
    ("behavior", "error"), [(BEHAVIOR_2023, None), (BEHAVIOR_2024, {}), (ServiceBehavior(), None)]
)
async def test_a_missing_error_is_null_or_empty(service, create, later, behavior, error):
    service.jobs.set_behavior(behavior)
    job = await later(await create())
    assert job.model_dump(exclude_unset=True)["error"] == error


@pytest.mark.parametrize("results_base64", [True, False])
async def test_result_files_are_plain_or_base64(service, create, later, results_base64):
    service.jobs.set_behavior(ServiceBehavior(results_base64=results_base64))
    job = await later(await create())
    content = b"".join(service.files.read(job.result_files[0]))
    if results_base64:
        content = base64.b64decode(content, validate=True)
    assert content.startswith(b"step,train_loss,")


# The legacy API.


@pytest.fixture
async def fine_tune(service, upload, pairs):
    async def create():
        return await service.execute(CreateFineTune(training_file=await upload(pairs), model="ada"))

    return create


async def _end(service, fine_tune):
    service.clock.jump(_LONG_S)
    return await service.execute(RetrieveFineTune(fine_tune.id))


async def test_fine_tunes_fail_as_planned(service, fine_tune):
    service.fine_tunes.fail_next("server_error", "CUDA out of memory.", after_steps=3)
    ended = await _end(service, await fine_tune())
    assert (ended.status, ended.fine_tuned_model) == ("failed", None)
    assert ended.events[-1].message == "Fine-tune failed. CUDA out of memory."


async def test_fine_tunes_fail_after_their_model_was_created(service, fine_tune):
    service.fine_tunes.fail_after_model_created("moderation", "Blocked.")
    ended = await _end(service, await fine_tune())
    uploaded, failed = [event.message for event in ended.events][-2:]
    assert uploaded == f"Uploaded model: {ended.fine_tuned_model}"
    assert (ended.status, failed) == ("failed", "Fine-tune failed. Blocked.")


async def test_held_fine_tunes_stay_pending_until_release(service, fine_tune):
    service.fine_tunes.hold_in_queue()
    held = await fine_tune()
    assert (await _end(service, held)).status == "pending"
    service.fine_tunes.release()
    assert (await _end(service, held)).status == "succeeded"
