"""Jobs that do not succeed at once: rejected, failed, cancelled, paused."""

from dataclasses import replace
from math import inf

import pytest

from tunesmith.operations.files import DeleteFile
from tunesmith.operations.fine_tuning import (
    CancelFineTuningJob,
    CreateFineTuningJob,
    ListFineTuningJobEvents,
    PauseFineTuningJob,
    ResumeFineTuningJob,
    RetrieveFineTuningJob,
)
from tunesmith.operations.models import ListModels, RetrieveModel
from tunesmith.service.core.behavior import ServiceBehavior
from tunesmith.service.core.errors import ServiceError
from tunesmith.service.fine_tuning.timeline import JOB_TIMELINE, Failure, Timeline, Transition
from tunesmith.service.service import Service

pytestmark = pytest.mark.anyio


async def _create(service, training_file, **parameters):
    model = parameters.pop("model", "davinci-002")
    return await service.execute(
        CreateFineTuningJob(model=model, training_file=training_file, **parameters)
    )


async def _after(service, job, seconds):
    service.clock.jump(seconds)
    return await service.execute(RetrieveFineTuningJob(job.id))


async def _last_event(service, job):
    return (await service.execute(ListFineTuningJobEvents(job.id))).data[0]


@pytest.mark.parametrize(
    ("change", "message", "param"),
    [
        ({"training_file": "file-x"}, "File 'file-x' does not exist", "training_file"),
        ({"validation_file": "file-x"}, "File 'file-x' does not exist", "validation_file"),
        ({"model": "gpt-x"}, "Model 'gpt-x' does not exist", "model"),
        ({"model": "text-embedding-3-small"}, "is not available for fine-tuning", "model"),
        (
            {"method": {"type": "reinforcement"}},
            "'grader' is a required property",
            "method.reinforcement.grader",
        ),
        (
            {"method": {"type": "dpo", "supervised": {}}},
            "'supervised' cannot be used with the type 'dpo'",
            "method.supervised",
        ),
    ],
)
async def test_some_mistakes_fail_the_creation(service, upload, pairs, change, message, param):
    with pytest.raises(ServiceError, match=message) as caught:
        await _create(service, **{"training_file": await upload(pairs), **change})
    assert caught.value.status == 400
    assert caught.value.param == param


async def test_a_file_with_another_purpose_is_rejected(service, upload, pairs):
    file = await upload(pairs, purpose="batch")
    with pytest.raises(ServiceError, match="has the purpose 'batch', not 'fine-tune'"):
        await _create(service, file)


async def test_too_few_examples_fail_the_job_before_hyperparameters_are_set(service, upload, pairs):
    job = await _create(service, await upload(pairs[:7]))
    job = await _after(service, job, 3600)
    assert job.status == "failed"
    assert job.error.model_dump() == {
        "code": "invalid_n_examples",
        "message": "Training file has 7 example(s), but must have at least 10 examples",
        "param": "training_file",
    }
    assert job.hyperparameters.n_epochs == "auto"
    assert job.fine_tuned_model is None
    event = await _last_event(service, job)
    assert (event.level, event.message) == ("error", job.error.message)


async def test_a_dpo_job_has_no_hyperparameters_and_requires_pairs(service, upload, chats):
    job = await _create(service, await upload(chats), model="gpt-4o-mini", method={"type": "dpo"})
    assert job.hyperparameters is None
    assert job.method.dpo.hyperparameters.beta == "auto"
    job = await _after(service, job, 3600)
    assert job.error.code == "invalid_training_file"
    assert job.error.message == (
        "The job failed due to an invalid training file. Invalid file format. "
        'Example 1 is missing "input"'
    )
    assert job.hyperparameters is None


async def test_a_dpo_job_learns_from_pairs(service, upload):
    line = {
        "input": {"messages": [{"role": "user", "content": "Hello"}]},
        "preferred_output": [{"role": "assistant", "content": "Good day."}],
        "non_preferred_output": [{"role": "assistant", "content": "What?"}],
    }
    job = await _create(
        service, await upload([line] * 10), model="gpt-4o-mini", method={"type": "dpo"}
    )
    job = await _after(service, job, 3600)
    assert job.status == "succeeded"
    assert job.method.dpo.hyperparameters.beta == 0.1


@pytest.mark.slow
async def test_a_reinforcement_job_learns_by_its_grader(service, upload):
    line = {"messages": [{"role": "user", "content": "What is it?"}], "answer": "it"}
    grader = {
        "type": "string_check",
        "name": "says it",
        "input": "{{sample.output_text}}",
        "reference": "{{item.answer}}",
        "operation": "ilike",
    }
    job = await _create(
        service,
        await upload([line] * 10),
        model="o4-mini-2025-04-16",
        method={"type": "reinforcement", "reinforcement": {"grader": grader}},
    )
    assert job.method.reinforcement.grader == grader
    job = await _after(service, job, 3600)
    assert job.status == "succeeded", job.error


async def test_a_grader_that_needs_code_is_rejected_at_creation(service, upload, chats):
    grader = {"type": "python", "name": "p", "source": "def grade(sample, item): return 1"}
    method = {"type": "reinforcement", "reinforcement": {"grader": grader}}
    with pytest.raises(ServiceError, match="does not run Python code"):
        await _create(service, await upload(chats), model="o4-mini", method=method)


async def test_an_invalid_validation_file_fails_the_job(service, upload, pairs, chats):
    job = await _create(service, await upload(pairs), validation_file=await upload(chats))
    job = await _after(service, job, 3600)
    assert job.error.param == "validation_file"
    assert job.error.message.startswith("The job failed due to an invalid validation file.")


async def test_a_file_deleted_meanwhile_fails_the_job(service, upload, pairs):
    file = await upload(pairs)
    job = await _create(service, file)
    await service.execute(DeleteFile(file))
    job = await _after(service, job, 3600)
    assert job.status == "failed"
    assert job.error.message == f"No such File object: {file}"


@pytest.mark.parametrize("seconds", [0, 20, 60, 100])
async def test_a_cancelled_job_stays_cancelled_without_finished_at(service, upload, pairs, seconds):
    job = await _create(service, await upload(pairs))
    await _after(service, job, seconds)
    cancelled = await service.execute(CancelFineTuningJob(job.id))
    assert (cancelled.status, cancelled.finished_at) == ("cancelled", None)
    assert cancelled.estimated_finish is None
    models = len((await service.execute(ListModels())).data)
    later = await _after(service, job, 3600)
    assert later == cancelled
    assert len((await service.execute(ListModels())).data) == models
    assert (await _last_event(service, job)).message == "The job has been cancelled"


async def test_an_ended_job_can_be_neither_cancelled_nor_paused(service, upload, pairs):
    job = await _create(service, await upload(pairs))
    await _after(service, job, 3600)
    for operation in (CancelFineTuningJob, PauseFineTuningJob, ResumeFineTuningJob):
        with pytest.raises(ServiceError, match="is succeeded") as caught:
            await service.execute(operation(job.id))
        assert caught.value.status == 400


async def test_a_paused_job_resumes_at_its_action(service, upload, pairs):
    job = await _create(service, await upload(pairs), hyperparameters={"n_epochs": 3})
    await _after(service, job, 100)
    paused = await service.execute(PauseFineTuningJob(job.id))
    assert (paused.status, paused.estimated_finish) == ("paused", None)
    assert (await _after(service, job, 86_400)).status == "paused"
    resumed = await service.execute(ResumeFineTuningJob(job.id))
    assert resumed.status == "queued"
    assert (await _after(service, job, 3600)).status == "succeeded"
    events = (await service.execute(ListFineTuningJobEvents(job.id, limit=100))).data
    steps = [event.data["step"] for event in reversed(events) if event.type == "metrics"]
    assert steps == list(range(1, len(steps) + 1)), "no step is lost, none is done twice"


async def test_a_timeline_fails_a_job_after_its_model_was_created(upload, pairs):
    late = Transition("succeeded", 8, "failed", "fail")
    timeline = Timeline(
        (*JOB_TIMELINE.rows[:-1], late),
        failure=Failure("moderation_failed", "The model did not pass our evaluations."),
    )
    service = Service(job_timeline=timeline)
    job = await _create(service, await upload(pairs, to=service))
    job = await _after(service, job, 3600)
    assert (job.status, job.error.code) == ("failed", "moderation_failed")
    assert await service.execute(RetrieveModel(job.fine_tuned_model))


async def test_a_timeline_keeps_a_job_queued(upload, pairs):
    rows = tuple(
        replace(row, delay=inf) if row.action == "start" else row for row in JOB_TIMELINE.rows
    )
    service = Service(job_timeline=Timeline(rows))
    job = await _create(service, await upload(pairs, to=service))
    assert (await _after(service, job, 10**9)).status == "queued"


async def test_step_events_can_have_an_interval(upload, pairs):
    service = Service(behavior=ServiceBehavior(event_every_steps=10))
    job = await _create(
        service,
        await upload(pairs, to=service),
        hyperparameters={"n_epochs": 2, "batch_size": 1},
    )
    await _after(service, job, 3600)
    events = (await service.execute(ListFineTuningJobEvents(job.id, limit=100))).data
    assert [e.data["step"] for e in reversed(events) if e.type == "metrics"] == [10, 20, 24]


async def test_an_engine_error_fails_only_its_job(service, upload, pairs, monkeypatch, caplog):
    async def broken(name, folder=None):
        raise RuntimeError("no weights today")

    job = await _create(service, await upload(pairs))
    monkeypatch.setattr(service.engine, "open", broken, raising=False)
    job = await _after(service, job, 3600)
    assert job.status == "failed"
    assert job.error.code == "server_error"
    assert "no weights today" in job.error.message
    assert "failed in the engine" in caplog.text


async def test_durations_are_set_by_action():
    timeline = JOB_TIMELINE.with_delays(start=3600, step=30)
    assert [row.delay for row in timeline.rows] == [0, 15, 15, 3600, 30, 20, 8]


def test_unknown_actions_and_negative_durations_are_errors():
    wrong = Timeline((Transition("queued", 3, "running", "begin"),))
    known = "the timeline has no action 'begin'; use one of announce, "
    with pytest.raises(ValueError, match=f"{known}validate"):
        Service(job_timeline=wrong)
    with pytest.raises(ValueError, match=f"{known}price"):
        Service(fine_tune_timeline=wrong)
    with pytest.raises(ValueError, match=known):
        JOB_TIMELINE.with_delays(begin=3)
    with pytest.raises(ValueError, match="delay must not be negative"):
        JOB_TIMELINE.with_delays(start=-3)
