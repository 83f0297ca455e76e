"""What a dashboard gets to know of a job, and when."""

import pytest

from tunesmith import JobFailedError
from tunesmith.integrations.tracking import track

pytestmark = pytest.mark.anyio


class Notes:
    """A dashboard that is a list."""

    def __init__(self):
        self.finished = {}
        self.steps = []
        self.files = []
        self.closed = 0

    def is_logged(self, job):
        return job.id in self.finished

    def start(self, job):
        self.started = job
        return self

    def log(self, step, metrics):
        self.steps.append((step, dict(metrics)))

    def finish(self, job, files):
        self.finished[job.id] = job
        self.files = [(file.role, file.name, file.path.read_text()) for file in files]

    def close(self):
        self.closed += 1


async def test_a_finished_job_is_logged_with_its_steps_its_outcome_and_its_files(client, job, data):
    job = await client.fine_tuning.jobs.wait(job)
    notes = Notes()
    assert await track(client, job, notes) == "logged"
    results = await client.fine_tuning.jobs.results(job)
    assert [step for step, _ in notes.steps] == [row.step for row in results]
    assert [metrics["train_loss"] for _, metrics in notes.steps] == [
        row.train_loss for row in results
    ]
    assert notes.finished[job.id].model == job.fine_tuned_model
    assert notes.started.config["created_at"] == job.created_datetime
    assert notes.started.config["hyperparameters"]["n_epochs"] == job.hyperparameters.n_epochs
    assert notes.files == [
        ("train", "train.jsonl", (data / "train.jsonl").read_text()),
        ("valid", "valid.jsonl", (data / "valid.jsonl").read_text()),
    ]
    assert notes.closed == 1


@pytest.mark.slow
async def test_a_running_job_is_followed(client, job):
    notes = Notes()
    seen = []
    log = notes.log

    def log_and_look(step, metrics):
        seen.append(client.backend.clock.time())
        log(step, metrics)

    notes.log = log_and_look
    assert await track(client, job, notes, follow=True) == "logged"
    results = await client.fine_tuning.jobs.results(job)
    assert [step for step, _ in notes.steps] == [row.step for row in results]
    assert seen[0] < seen[-1]
    assert notes.finished[job.id].status == "succeeded"


@pytest.mark.slow
async def test_metrics_have_the_same_names_live_and_afterwards(client, job):
    live, afterwards = Notes(), Notes()
    await track(client, job, live, follow=True)
    await track(client, job, afterwards)
    named = {name for _, metrics in live.steps for name in metrics} - {
        "full_valid_loss",
        "full_valid_mean_token_accuracy",
    }
    assert named == {name for _, metrics in afterwards.steps for name in metrics}


async def test_a_logged_job_is_logged_again_only_by_force(client, job):
    await client.fine_tuning.jobs.wait(job)
    notes = Notes()
    await track(client, job, notes)
    logged = len(notes.steps)
    assert await track(client, job, notes) == "already logged"
    assert len(notes.steps) == logged
    assert await track(client, job, notes, force=True) == "logged"
    assert len(notes.steps) == 2 * logged


async def test_a_job_that_did_not_succeed_is_skipped(client, job):
    notes = Notes()
    assert await track(client, job, notes) == "not succeeded"
    await client.fine_tuning.jobs.cancel(job.id)
    assert await track(client, job, notes, follow=True) == "not succeeded"
    assert not notes.steps
    assert not notes.closed


async def test_a_followed_job_that_fails_is_closed_unfinished(client, data):
    (data / "few.jsonl").write_text('{"prompt": "a", "completion": "b"}\n')
    file = await client.files.upload(data / "few.jsonl")
    job = await client.fine_tuning.jobs.create(model="babbage-002", training_file=file.id)
    notes = Notes()
    with pytest.raises(JobFailedError):
        await track(client, job, notes, follow=True)
    assert not notes.finished
    assert notes.closed == 1


async def test_a_deleted_file_is_skipped(client, job):
    job = await client.fine_tuning.jobs.wait(job)
    await client.files.delete(job.validation_file)
    notes = Notes()
    await track(client, job, notes)
    assert [role for role, *_ in notes.files] == ["train"]


async def test_a_file_has_a_name_and_no_folders(client, data):
    content = (data / "train.jsonl").read_bytes()
    file = await client.files.create(file=("../../train.jsonl", content), purpose="fine-tune")
    job = await client.fine_tuning.jobs.create(model="babbage-002", training_file=file.id)
    notes = Notes()
    await track(client, await client.fine_tuning.jobs.wait(job), notes)
    assert [name for _, name, _ in notes.files] == ["train.jsonl"]


@pytest.mark.slow
async def test_fine_tunes_of_the_legacy_api_are_logged_too(client, data):
    file = await client.files.upload(data / "train.jsonl")
    fine_tune = await client.fine_tunes.create(model="ada", training_file=file.id)
    async with client.fine_tunes.stream_events(fine_tune.id) as events:
        async for _ in events:
            pass
    notes = Notes()
    assert await track(client, fine_tune.id, notes) == "logged"
    assert notes.steps[-1][1]["training_loss"] < notes.steps[0][1]["training_loss"]
    assert notes.finished[fine_tune.id].model.startswith("ada:ft-")
    assert [name for _, name, _ in notes.files] == ["train.jsonl"]
