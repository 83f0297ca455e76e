"""What is in the run that Weights & Biases gets, read back from its own file."""

import json
import struct

import anyio
import pytest
from anyio import to_thread

from tunesmith import ConfigurationError
from tunesmith.integrations.tracking import TrackedJob, track
from tunesmith.integrations.wandb import WandbTracker

pytestmark = pytest.mark.anyio

wandb = pytest.importorskip("wandb")


@pytest.fixture
def anyio_backend():
    """One loop is enough: wandb knows none, and what calls it is tested on both."""
    return "asyncio"


@pytest.fixture(autouse=True)
def _no_settings_of_the_user(monkeypatch, tmp_path):
    monkeypatch.setenv("WANDB_MODE", "offline")
    for name in ("WANDB_DATA_DIR", "WANDB_CACHE_DIR", "WANDB_CONFIG_DIR", "WANDB_ARTIFACT_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))


@pytest.fixture
def tracker(tmp_path):
    return WandbTracker("kant", mode="offline", folder=tmp_path)


def records(folder):
    """The records in the one run below a folder: LevelDB's log format, after a header of seven."""
    from wandb.proto.wandb_internal_pb2 import Record

    wandb.teardown()  # its own process has written all when it is gone
    (path,) = folder.glob("wandb/*run-*/run-*.wandb")
    data, at, whole = path.read_bytes(), 7, b""
    while at + 7 <= len(data):
        left = 32768 - at % 32768
        if left < 7:
            at += left
            continue
        _, length, kind = struct.unpack_from("<IHB", data, at)
        whole += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in {1, 4}:  # whole, or the last part
            record = Record()
            record.ParseFromString(whole)
            whole = b""
            yield record


def plain(items):
    return {item.key or ".".join(item.nested_key): json.loads(item.value_json) for item in items}


async def test_a_run_holds_the_job_as_the_old_command_wrote_it(client, job, tracker, tmp_path):
    job = await client.fine_tuning.jobs.wait(job)
    assert await track(client, job, tracker) == "logged"
    written = list(records(tmp_path))

    (run,) = [r.run for r in written if r.HasField("run")]
    assert (run.run_id, run.display_name, run.job_type) == (job.id, job.id, "fine-tune")
    assert run.project == "kant"
    config = plain(run.config.update)
    for record in written:
        if record.HasField("config"):
            config |= plain(record.config.update)
    assert config["model"] == "babbage-002"
    assert config["created_at"].startswith(job.created_datetime.strftime("%Y-%m-%d"))
    assert (config["n_train"], config["n_valid"]) == (20, 10)

    rows = [plain(r.history.item) for r in written if r.HasField("history")]
    results = await client.fine_tuning.jobs.results(job)
    assert [row["_step"] for row in rows] == [row.step for row in results]
    assert [row["train_loss"] for row in rows] == [row.train_loss for row in results]
    summary = {}
    for record in written:
        if record.HasField("summary"):
            summary |= plain(record.summary.update)
    assert summary["fine_tuned_model"] == job.fine_tuned_model
    assert summary["status"] == "succeeded"

    artifacts = {r.artifact.name: r.artifact for r in written if r.HasField("artifact")}
    assert set(artifacts) == {"train-train.jsonl", "valid-valid.jsonl", "fine_tune_details"}
    train = {entry.path for entry in artifacts["train-train.jsonl"].manifest.contents}
    assert train == {"train.jsonl", "train-train.jsonl.table.json"}


async def test_a_job_logged_to_a_folder_is_not_logged_again(client, job, tracker, tmp_path):
    await track(client, job, tracker, follow=True)
    again = WandbTracker("kant", mode="offline", folder=tmp_path)
    assert await track(client, job, again) == "already logged"
    rows = [plain(r.history.item) for r in records(tmp_path) if r.HasField("history")]
    results = await client.fine_tuning.jobs.results(job)
    assert [row["_step"] for row in rows] == [row.step for row in results]
    assert [row["train_loss"] for row in rows] == pytest.approx([row.train_loss for row in results])


async def test_a_job_that_was_interrupted_is_logged_again(client, job, tracker, tmp_path):
    job = await client.fine_tuning.jobs.wait(job)

    class InterruptedRunError(Exception):
        pass

    def start(state):
        run = WandbTracker.start(tracker, state)

        def interrupt(job, files):
            raise InterruptedRunError

        run.finish = interrupt
        return run

    tracker.start = start
    with pytest.raises(InterruptedRunError):
        await track(client, job, tracker)
    fresh = WandbTracker("kant", mode="offline", folder=tmp_path)
    assert await track(client, job, fresh) == "logged"


@pytest.mark.parametrize(("status", "known"), [("succeeded", True), ("running", False)])
async def test_the_service_is_checked_for_the_job(
    status, known, client, job, monkeypatch, tmp_path
):
    asked = []

    class Api:
        def run(self, where):
            asked.append(where)
            return type("Run", (), {"summary": {"status": status}})

    monkeypatch.setattr(wandb, "Api", Api)
    tracker = WandbTracker("kant", entity="us", mode="online", folder=tmp_path)
    state = type("State", (), {"id": job.id})
    assert await to_thread.run_sync(tracker.is_logged, state) is known
    assert asked == [f"us/kant/{job.id}"]


async def test_local_runs_are_not_runs_of_the_service(client, job, monkeypatch, tmp_path):
    job = await client.fine_tuning.jobs.wait(job)
    await track(client, job, WandbTracker("kant", mode="offline", folder=tmp_path))

    class Api:
        def run(self, where):
            raise ValueError("Could not find run")

    monkeypatch.setattr(wandb, "Api", Api)
    online = WandbTracker("kant", mode="online", folder=tmp_path)
    assert online.is_logged(TrackedJob.from_job(job)) is False


@pytest.mark.parametrize("method", ["is_logged", "start"])
async def test_a_missing_key_has_a_hint(method, client, job, monkeypatch, tmp_path):
    def refuse(*_, **__):
        raise wandb.errors.UsageError("No API key configured. Use `wandb login` to log in.")

    monkeypatch.setattr(wandb, "Api", refuse)
    monkeypatch.setattr(wandb, "init", refuse)
    tracker = WandbTracker("kant", mode="online", folder=tmp_path)
    with pytest.raises(ConfigurationError, match=r"Use `wandb login` to log in\. .*mode='offline'"):
        getattr(tracker, method)(TrackedJob.from_job(job))


async def test_conversations_are_logged_as_json_and_blank_lines_skipped(
    client, data, tracker, tmp_path
):
    turn = {"messages": [{"role": "user", "content": "?"}, {"role": "assistant", "content": "!"}]}
    (data / "chat.jsonl").write_text((json.dumps(turn) + "\n") * 12)
    file = await client.files.upload(data / "chat.jsonl")
    job = await client.fine_tuning.jobs.create(model="gpt-4o-mini", training_file=file.id)
    await track(client, await client.fine_tuning.jobs.wait(job), tracker)
    written = list(records(tmp_path))
    names = {name for r in written if r.HasField("history") for name in plain(r.history.item)}
    assert {name for name in names if name[0] != "_"} == {"train_loss", "train_accuracy"}
    (entry,) = [
        entry
        for r in written
        if r.HasField("artifact")
        for entry in r.artifact.manifest.contents
        if entry.path == "train-chat.jsonl.table.json"
    ]
    shown = json.loads(await anyio.Path(entry.local_path).read_text())
    assert shown["columns"] == ["messages"]
    assert json.loads(shown["data"][0][0]) == turn["messages"]
