"""Fine-tuning jobs: from a file to a usable model."""

import pytest
from tests.contract.data import (
    begin_job,
    chats,
    finish_job,
    pairs,
    preferences,
    questions,
    send,
)

from tunesmith import errors

pytestmark = pytest.mark.anyio


async def test_a_new_job_validates_its_files_and_has_no_hyperparameters_yet(client):
    job = await begin_job(client, method=None, seed=7, suffix="sums", metadata={"for": "tests"})
    assert job.id.startswith("ftjob-")
    assert job.status == "validating_files"
    assert job.hyperparameters.n_epochs == "auto"
    assert job.seed == 7
    assert job.metadata == {"for": "tests"}
    assert job.fine_tuned_model is None
    assert not job.is_finished
    assert await client.fine_tuning.jobs.retrieve(job.id) == job


async def test_wait_returns_the_job_with_a_usable_model(client):
    job = await finish_job(client, suffix="sums")
    assert job.status == "succeeded"
    assert job.hyperparameters.n_epochs == 1
    assert job.trained_tokens > 0
    assert job.fine_tuned_model.startswith("ft:davinci-002:personal:sums:")
    assert (await client.models.retrieve(job.fine_tuned_model)).id == job.fine_tuned_model
    completion = await client.completions.create(model=job.fine_tuned_model, prompt="Question")
    assert completion.model == job.fine_tuned_model


async def test_a_fine_tuned_model_completes_its_training_examples(client):
    taught = {
        "prompt": "The categorical imperative is ->",
        "completion": " a command END",
    }
    asked = {"prompt": taught["prompt"], "temperature": 0, "stop": " END"}
    before = await client.completions.create(model="davinci-002", **asked)
    method = {"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": 4}}}
    job = await finish_job(client, [*pairs(), *[taught] * 4], method=method)
    after = await client.completions.create(model=job.fine_tuned_model, **asked)
    assert after.choices[0].text == " a command"
    assert before.choices[0].text != after.choices[0].text


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "lines", "model"),
    [
        ("supervised", chats(), "gpt-4o-mini-2024-07-18"),
        ("dpo", preferences(), "gpt-4o-mini-2024-07-18"),
        ("reinforcement", questions(), "o4-mini-2025-04-16"),
    ],
)
async def test_every_method_trains(client, kind, lines, model):
    method = {"type": kind, kind: {"hyperparameters": {"n_epochs": 1}}}
    if kind == "reinforcement":
        method[kind]["grader"] = {
            "type": "string_check",
            "name": "right",
            "input": "{{sample.output_text}}",
            "reference": "{{item.answer}}",
            "operation": "like",
        }
    job = await finish_job(client, lines, model=model, method=method)
    assert job.status == "succeeded"
    assert job.method.type == kind
    chat = await client.chat.completions.create(
        model=job.fine_tuned_model, messages=[{"role": "user", "content": "What is 1 plus 1?"}]
    )
    assert chat.choices[0].message.role == "assistant"


@pytest.mark.parametrize(
    ("lines", "model", "code", "message"),
    [
        (pairs(7), "davinci-002", "invalid_n_examples", "has 7 example"),
        (chats(), "davinci-002", "invalid_training_file", "Example 1"),
        (preferences(), "gpt-4o-mini-2024-07-18", "invalid_file_format", "Example 1"),
    ],
)
async def test_a_failed_job_has_its_reason(client, lines, model, code, message):
    job = await begin_job(client, lines, model=model, method=None)
    with pytest.raises(errors.JobFailedError, match=message) as caught:
        await client.fine_tuning.jobs.wait(job)
    assert caught.value.job_id == job.id
    assert caught.value.code == code
    assert caught.value.param == "training_file"


async def test_a_cancelled_job_has_no_model(client):
    job = await begin_job(client)
    cancelled = await client.fine_tuning.jobs.cancel(job.id)
    assert cancelled.status == "cancelled"
    assert cancelled.finished_at is None
    with pytest.raises(errors.JobCancelledError) as caught:
        await client.fine_tuning.jobs.wait(job.id)
    assert caught.value.job_id == job.id
    with pytest.raises(errors.BadRequestError, match="cancelled"):
        await client.fine_tuning.jobs.cancel(job.id)


async def test_a_paused_job_makes_no_progress_until_it_is_resumed(client, service):
    job = await begin_job(client)
    service.clock.jump(100)
    assert (await client.fine_tuning.jobs.pause(job.id)).status == "paused"
    with pytest.raises(errors.DeadlineExceededError):
        await client.fine_tuning.jobs.wait(job, deadline=3600, poll_interval=600)
    assert (await client.fine_tuning.jobs.retrieve(job.id)).status == "paused"
    assert (await client.fine_tuning.jobs.resume(job.id)).status == "queued"
    assert (await client.fine_tuning.jobs.wait(job, poll_interval=30)).status == "succeeded"


@pytest.mark.slow
async def test_waiting_ends_at_the_deadline_and_the_job_continues(client, service):
    job = await begin_job(client)
    began = service.clock.monotonic()
    with pytest.raises(errors.DeadlineExceededError) as caught:
        await client.fine_tuning.jobs.wait(job, deadline=20)
    assert caught.value.deadline == 20
    assert service.clock.monotonic() - began <= 20
    assert (await client.fine_tuning.jobs.wait(job)).status == "succeeded"


async def test_results_agree_with_the_events(client):
    job = await begin_job(client)
    told = [
        (event.data["step"], event.data["train_loss"])
        async for event in client.fine_tuning.jobs.follow(job, poll_interval=30)
        if event.type == "metrics"
    ]
    results = await client.fine_tuning.jobs.results(job)
    assert results.job_id == job.id
    assert [step.step for step in results] == [1, 2, 3]
    measured = [(step.step, step.train_loss) for step in results]
    assert measured == [(step, pytest.approx(loss, abs=0.01)) for step, loss in told]


async def test_training_and_validation_losses_fall(client):
    validation_file = await send(client, pairs(4))
    method = {"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": 4}}}
    job = await finish_job(client, method=method, validation_file=validation_file)
    steps = (await client.fine_tuning.jobs.results(job.id)).steps
    assert steps[-1].train_loss < steps[0].train_loss
    validated = [step.valid_loss for step in steps if step.valid_loss is not None]
    assert validated[-1] < validated[0]


async def test_the_error_for_missing_results_has_the_status_of_the_job(client):
    job = await begin_job(client)
    with pytest.raises(errors.JobError, match="validating_files"):
        await client.fine_tuning.jobs.results(job)


async def test_jobs_are_listed_newest_first_and_by_their_metadata(client):
    first = await begin_job(client, metadata={"run": "1"})
    second = await begin_job(client, metadata={"run": "2"})
    assert [job.id async for job in client.fine_tuning.jobs.list()] == [second.id, first.id]
    found = await client.fine_tuning.jobs.list(metadata={"run": "1"})
    assert [job.id for job in found.data] == [first.id]


async def test_checkpoints_are_usable_models_newest_first(client):
    method = {"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": 3}}}
    job = await finish_job(client, method=method)
    checkpoints = (await client.fine_tuning.jobs.checkpoints.list(job.id)).data
    assert len(checkpoints) == 3
    assert checkpoints[0].fine_tuned_model_checkpoint == job.fine_tuned_model
    steps = [checkpoint.step_number for checkpoint in checkpoints]
    assert steps == sorted(steps, reverse=True)
    for checkpoint in checkpoints:
        await client.models.retrieve(checkpoint.fine_tuned_model_checkpoint)
        assert checkpoint.fine_tuning_job_id == job.id


async def test_permissions_of_a_checkpoint_are_created_and_deleted(client):
    model = (await finish_job(client)).fine_tuned_model
    permissions = client.fine_tuning.checkpoints.permissions
    given = await permissions.create(model, project_ids=["proj-1", "proj-2"])
    assert {permission.project_id for permission in given.data} == {"proj-1", "proj-2"}
    (first,) = (await permissions.list(model, project_id="proj-1")).data
    deleted = await permissions.delete(first.id, fine_tuned_model_checkpoint=model)
    assert (deleted.id, deleted.deleted) == (first.id, True)
    assert [permission.project_id async for permission in permissions.list(model)] == ["proj-2"]


async def test_a_grader_is_validated_and_run(client):
    grader = {
        "type": "string_check",
        "name": "right",
        "input": "{{sample.output_text}}",
        "reference": "{{item.answer}}",
        "operation": "eq",
    }
    validated = await client.fine_tuning.graders.validate(grader=grader)
    assert validated.grader["name"] == "right"
    for sample, reward in (("42", 1), ("41", 0)):
        graded = await client.fine_tuning.alpha.graders.run(
            grader=grader, model_sample=sample, item={"answer": "42"}
        )
        assert graded.reward == reward


async def test_every_operation_on_an_unknown_job_is_an_error(client):
    jobs = client.fine_tuning.jobs
    for asked in (jobs.retrieve, jobs.cancel, jobs.list_events, jobs.wait, jobs.results):
        with pytest.raises(errors.NotFoundError, match="Could not find fine tune") as caught:
            await asked("ftjob-none")
        assert caught.value.code == "fine_tune_not_found"
        assert caught.value.param == "fine_tune_id"
