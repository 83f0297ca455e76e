"""A fine-tuning job from its creation to its model, in virtual time."""

import base64
import csv
import io

import pytest

from tunesmith.operations.files import DownloadFile, RetrieveFile
from tunesmith.operations.fine_tuning import (
    CreateFineTuningJob,
    ListFineTuningJobCheckpoints,
    ListFineTuningJobEvents,
    ListFineTuningJobs,
    RetrieveFineTuningJob,
)
from tunesmith.operations.models import ListModels, RetrieveModel
from tunesmith.service.core.behavior import ServiceBehavior
from tunesmith.service.core.errors import ServiceError
from tunesmith.service.engines import GenerationSpec
from tunesmith.service.engines.ngram.tokenizer import standard_tokenizer
from tunesmith.service.service import Service

pytestmark = pytest.mark.anyio

_GIVEN = {"batch_size": "auto", "learning_rate_multiplier": "auto", "n_epochs": 3}


@pytest.fixture
async def job(service, upload, pairs):
    """A job that was just created."""
    return await service.execute(
        CreateFineTuningJob(
            model="davinci-002",
            training_file=await upload(pairs),
            validation_file=await upload(pairs[:4]),
            suffix="sums",
            metadata={"for": "tests"},
            integrations=[{"type": "wandb", "wandb": {"project": "sums"}}],
            hyperparameters={"n_epochs": 3},
            seed=7,
        )
    )


async def _messages(service, job):
    """What the events say, oldest first."""
    page = await service.execute(ListFineTuningJobEvents(job.id, limit=100))
    return [event.message for event in reversed(page.data)]


async def _after(service, job, seconds):
    service.clock.jump(seconds)
    return await service.execute(RetrieveFineTuningJob(job.id))


async def test_a_new_job_has_the_fields_of_the_real_service(job):
    assert job.model_dump(exclude_unset=True) == {
        "id": job.id,
        "object": "fine_tuning.job",
        "status": "validating_files",
        "model": "davinci-002",
        "created_at": 1_700_000_000,
        "finished_at": None,
        "estimated_finish": None,
        "error": None,
        "fine_tuned_model": None,
        "hyperparameters": _GIVEN,
        "method": {"type": "supervised", "supervised": {"hyperparameters": _GIVEN}},
        "organization_id": "org-tunesmith",
        "training_file": job.training_file,
        "validation_file": job.validation_file,
        "result_files": [],
        "trained_tokens": None,
        "seed": 7,
        "integrations": [
            {
                "type": "wandb",
                "wandb": {"project": "sums", "name": None, "entity": None, "tags": []},
            }
        ],
        "metadata": {"for": "tests"},
        "user_provided_suffix": "sums",
    }
    assert len(job.id) == len("ftjob-") + 24


async def test_hyperparameters_default_to_auto(service, upload, pairs):
    job = await service.execute(
        CreateFineTuningJob(model="davinci-002", training_file=await upload(pairs))
    )
    assert set(job.hyperparameters.model_dump(exclude_unset=True).values()) == {"auto"}
    assert (job.user_provided_suffix, job.metadata) == (None, None)
    assert 0 <= job.seed < 2**31


async def test_chosen_hyperparameters_are_kept(service, upload, pairs):
    job = await service.execute(
        CreateFineTuningJob(
            model="davinci-002",
            training_file=await upload(pairs),
            method={"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": 2}}},
        )
    )
    job = await _after(service, job, 20)
    assert job.hyperparameters.n_epochs == 2
    assert job.method.supervised.hyperparameters == job.hyperparameters


async def test_the_status_changes_with_the_clock(service, job):
    seen = {}
    for _ in range(60):
        now = await _after(service, job, 5)
        seen.setdefault(now.status, service.clock.monotonic())
    assert list(seen) == ["validating_files", "queued", "running", "succeeded"]
    assert seen["queued"] == 30
    assert seen["running"] == 90


async def test_hyperparameters_become_numbers_during_validation(service, job):
    now = await _after(service, job, 20)
    assert now.status == "validating_files"
    assert isinstance(now.hyperparameters.n_epochs, int)
    assert isinstance(now.hyperparameters.batch_size, int)
    assert isinstance(now.hyperparameters.learning_rate_multiplier, float)
    assert job.hyperparameters.batch_size == "auto", "an answer does not change once it was given"


async def test_events_are_listed_newest_first(service, job):
    done = await _after(service, job, 3600)
    page = await service.execute(ListFineTuningJobEvents(job.id, limit=100))
    events = page.data[::-1]
    messages = [event.message for event in events]
    assert messages[:4] == [
        f"Created fine-tuning job: {job.id}",
        f"Validating training file: {job.training_file} and validation file: {job.validation_file}",
        "Files validated, moving job to queued state",
        "Fine-tuning job started",
    ]
    name = done.fine_tuned_model
    steps = [event for event in events if event.type == "metrics"]
    n = len(steps)
    epoch = n // 3
    assert messages[-4:] == [
        f"Checkpoint created at step {epoch} with Snapshot ID: {name}:ckpt-step-{epoch}",
        f"Checkpoint created at step {2 * epoch} with Snapshot ID: {name}:ckpt-step-{2 * epoch}",
        f"New fine-tuned model created: {name}",
        "The job has successfully completed",
    ]
    assert [event.data["step"] for event in steps] == list(range(1, n + 1))
    assert [event.data for event in events[:4]] == [{}, {}, {}, None]
    assert all(len(event.id) == len("ftevent-") + 24 for event in events)
    assert len({event.id for event in events}) == len(events)
    assert events[-1].created_at == events[-2].created_at, "several events share one second"


async def test_a_step_event_has_its_metrics(service, job):
    await _after(service, job, 3600)
    page = await service.execute(ListFineTuningJobEvents(job.id, limit=100))
    last = next(event for event in page.data if event.type == "metrics")
    data = last.data
    assert last.message == (
        f"Step {data['step']}/{data['total_steps']}: training loss={data['train_loss']:.2f}, "
        f"validation loss={data['valid_loss']:.2f}, "
        f"full validation loss={data['full_valid_loss']:.2f}"
    )
    assert set(data) == {
        "step",
        "total_steps",
        "train_loss",
        "train_mean_token_accuracy",
        "valid_loss",
        "valid_mean_token_accuracy",
        "full_valid_loss",
        "full_valid_mean_token_accuracy",
    }


async def test_the_loss_falls_as_the_engine_learns(service, job):
    await _after(service, job, 3600)
    page = await service.execute(ListFineTuningJobEvents(job.id, limit=100))
    losses = [e.data["train_loss"] for e in reversed(page.data) if e.type == "metrics"]
    assert losses[-1] < losses[0] / 2


async def test_events_are_paginated_and_appear_as_time_passes(service, job):
    assert len((await service.execute(ListFineTuningJobEvents(job.id))).data) == 2
    await _after(service, job, 3600)
    first = await service.execute(ListFineTuningJobEvents(job.id, limit=3))
    assert first.has_more
    assert first.model_dump(exclude_unset=True).keys() == {"object", "data", "has_more"}
    second = await service.execute(
        ListFineTuningJobEvents(job.id, limit=3, after=first.data[-1].id)
    )
    everything = await service.execute(ListFineTuningJobEvents(job.id, limit=100))
    assert [e.id for e in (*first.data, *second.data)] == [e.id for e in everything.data[:6]]
    assert not everything.has_more


async def test_the_job_is_finished_some_seconds_before_its_last_events(service, job):
    while not (now := await _after(service, job, 1)).is_finished:
        assert now.finished_at is None
    assert now.status == "succeeded"
    assert now.finished_at == int(service.clock.time())
    assert "The job has successfully completed" not in await _messages(service, job)
    await _after(service, job, 8)
    assert (await _messages(service, job))[-1] == "The job has successfully completed"


async def test_checkpoints_are_the_last_three_epochs_newest_first(service, upload, pairs):
    job = await service.execute(
        CreateFineTuningJob(
            model="davinci-002",
            training_file=await upload(pairs),
            hyperparameters={"n_epochs": 5, "batch_size": 4},
        )
    )
    page = await service.execute(ListFineTuningJobCheckpoints(job.id))
    assert (page.data, page.has_more) == ([], False)
    done = await _after(service, job, 3600)
    page = await service.execute(ListFineTuningJobCheckpoints(job.id))
    name = done.fine_tuned_model
    assert [(c.step_number, c.fine_tuned_model_checkpoint) for c in page.data] == [
        (15, name),
        (12, f"{name}:ckpt-step-12"),
        (9, f"{name}:ckpt-step-9"),
    ]
    assert all(c.fine_tuning_job_id == job.id for c in page.data)
    assert page.data[0].metrics.step == 15
    assert page.data[0].created_at < done.finished_at
    assert page.first_id == page.data[0].id
    assert page.last_id == page.data[2].id


@pytest.mark.parametrize("plain", [True, False])
async def test_the_result_file_agrees_with_the_events(pairs, upload, plain):
    service = Service(behavior=ServiceBehavior(results_base64=not plain))
    job = await service.execute(
        CreateFineTuningJob(model="babbage-002", training_file=await upload(pairs, to=service))
    )
    done = await _after(service, job, 3600)
    (file_id,) = done.result_files
    file = await service.execute(RetrieveFile(file_id))
    assert file.purpose == "fine-tune-results"
    content = await service.execute(DownloadFile(file_id))
    rows = list(
        csv.DictReader(io.StringIO((content if plain else base64.b64decode(content)).decode()))
    )
    page = await service.execute(ListFineTuningJobEvents(job.id, limit=100))
    told = [event.data for event in reversed(page.data) if event.type == "metrics"]
    assert list(rows[0]) == [
        "step",
        "train_loss",
        "train_accuracy",
        "valid_loss",
        "valid_mean_token_accuracy",
    ]
    assert [
        (int(row["step"]), float(row["train_loss"]), float(row["train_accuracy"])) for row in rows
    ] == [(d["step"], d["train_loss"], d["train_mean_token_accuracy"]) for d in told]
    assert {row["valid_loss"] for row in rows} == {""}, "there was no validation file"


async def test_the_model_and_its_checkpoints_complete_training_examples(service, job, pairs):
    done = await _after(service, job, 3600)
    prefix, base, owner, suffix, unique = done.fine_tuned_model.split(":")
    assert (prefix, base, owner, suffix) == ("ft", "davinci-002", "personal", "sums")
    assert len(unique) == 8
    page = await service.execute(ListFineTuningJobCheckpoints(job.id))
    prompt = standard_tokenizer().encode(pairs[5]["prompt"])

    async def says(name):
        spec = GenerationSpec(temperature=0, max_tokens=8)
        model = await service.models.open(name)
        return "".join([token.text async for token in model.generate(prompt, spec)])

    assert await says(done.fine_tuned_model) == pairs[5]["completion"]
    assert await says("davinci-002") != pairs[5]["completion"]
    for checkpoint in page.data:
        assert await says(checkpoint.fine_tuned_model_checkpoint)


async def test_the_model_and_the_file_appear_whichever_endpoint_is_called_first(service, job):
    before = {model.id for model in (await service.execute(ListModels())).data}
    service.clock.jump(3600)
    after = {model.id for model in (await service.execute(ListModels())).data}
    assert len(after - before) == 3
    done = await service.execute(RetrieveFineTuningJob(job.id))
    model = await service.execute(RetrieveModel(done.fine_tuned_model))
    assert (model.owned_by, model.created) == ("org-tunesmith", done.finished_at)


async def test_a_fine_tuned_model_can_be_fine_tuned(service, upload, job, pairs):
    done = await _after(service, job, 3600)
    again = await service.execute(
        CreateFineTuningJob(model=done.fine_tuned_model, training_file=await upload(pairs))
    )
    again = await _after(service, again, 3600)
    assert again.model == done.fine_tuned_model
    assert again.fine_tuned_model.startswith("ft:davinci-002:personal::")


async def test_jobs_are_listed_newest_first_and_by_metadata(service, upload, pairs):
    file = await upload(pairs)
    jobs = [
        await service.execute(
            CreateFineTuningJob(model="davinci-002", training_file=file, metadata=metadata)
        )
        for metadata in (None, {"a": "1"}, {"a": "1", "b": "2"})
    ]
    ids = [job.id for job in jobs]

    async def listed(**query):
        page = await service.execute(ListFineTuningJobs(**query))
        assert page.model_dump(exclude_unset=True).keys() == {"object", "data", "has_more"}
        return [job.id for job in page.data]

    assert await listed() == ids[::-1]
    assert await listed(limit=1) == [ids[2]]
    assert await listed(after=ids[2]) == [ids[1], ids[0]]
    assert await listed(metadata={"a": "1"}) == [ids[2], ids[1]]
    assert await listed(metadata={"a": "1", "b": "2"}) == [ids[2]]
    assert await listed(metadata="null") == [ids[0]]


async def test_the_maximum_page_length_can_be_set(service):
    with pytest.raises(ServiceError, match="101 is greater than the maximum of 100 - 'limit'"):
        await service.execute(ListFineTuningJobs(limit=101))
    generous = Service(behavior=ServiceBehavior(max_page_size=1000))
    assert (await generous.execute(ListFineTuningJobs(limit=1000))).data == []


async def test_an_unknown_job_is_a_404(service):
    for operation in (
        RetrieveFineTuningJob("ftjob-x"),
        ListFineTuningJobEvents("ftjob-x"),
        ListFineTuningJobCheckpoints("ftjob-x"),
    ):
        with pytest.raises(ServiceError) as caught:
            await service.execute(operation)
        assert caught.value.status == 404
        assert caught.value.body()["error"] == {
            "message": "Could not find fine tune: ftjob-x",
            "type": "invalid_request_error",
            "param": "fine_tune_id",
            "code": "fine_tune_not_found",
        }


async def _history(seed, upload, pairs):
    service = Service(seed=seed)
    job = await service.execute(
        CreateFineTuningJob(model="davinci-002", training_file=await upload(pairs, to=service))
    )
    done = await _after(service, job, 3600)
    events = await service.execute(ListFineTuningJobEvents(job.id, limit=100))
    return done.model_dump_json() + events.model_dump_json()


async def test_only_the_same_seed_returns_the_same_bytes(upload, pairs):
    first = await _history(1, upload, pairs)
    assert await _history(1, upload, pairs) == first
    assert await _history(2, upload, pairs) != first


async def test_two_services_share_nothing(upload, pairs):
    one, other = Service(), Service()
    job = await one.execute(
        CreateFineTuningJob(model="davinci-002", training_file=await upload(pairs, to=one))
    )
    done = await _after(one, job, 3600)
    assert other.clock.monotonic() == 0
    assert (await other.execute(ListFineTuningJobs())).data == []
    with pytest.raises(ServiceError, match="does not exist"):
        await other.models.open(done.fine_tuned_model)
