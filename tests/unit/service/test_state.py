"""A service over a store on disk continues its state when it is opened again."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import threading

import anyio
import pytest
from hypothesis import example, given, settings, strategies as st

from tunesmith import AsyncClient, BackendError, ConfigurationError, MemoryBackend, NotFoundError
from tunesmith.clock import VirtualClock
from tunesmith.errors import BadRequestError, InternalServerError, RateLimitError
from tunesmith.protocol.message import Request
from tunesmith.service.core import sqlite_store
from tunesmith.service.core.errors import StoreError
from tunesmith.service.core.http_api import HttpApi
from tunesmith.service.core.rate_limits import ServiceLimits
from tunesmith.service.core.state_folder import StateFolder
from tunesmith.service.service import Service

pytestmark = pytest.mark.anyio

ROWS = "".join(
    json.dumps({"prompt": f"What is {n}? ->", "completion": f" The number {n}.\n"}) + "\n"
    for n in range(12)
)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state"


@pytest.fixture
def wall_clock(monkeypatch):
    """Real time of the stores, in Unix seconds, which a test can set."""

    class WallClock:
        now = 1_800_000_000.0

    monkeypatch.setattr(sqlite_store, "_wall_time", lambda: WallClock.now)
    return WallClock


@pytest.fixture
def data(tmp_path):
    (tmp_path / "rows.jsonl").write_text(ROWS)
    return tmp_path / "rows.jsonl"


def using(path, **options):
    return AsyncClient(backend=MemoryBackend(state=path, **options))


async def tuned(client, data):
    file = await client.files.upload(data)
    job = await client.fine_tuning.jobs.create(model="babbage-002", training_file=file.id)
    return await client.fine_tuning.jobs.wait(job)


async def test_everything_is_there_after_reopening(path, data):
    async with using(path) as client:
        job = await tuned(client, data)
        events = [event.id async for event in client.fine_tuning.jobs.follow(job)]
        answer = await client.completions.create(
            model=job.fine_tuned_model, prompt="What is 7? ->", temperature=0, stop="\n"
        )
    async with using(path) as client:
        assert await client.fine_tuning.jobs.retrieve(job.id) == job
        assert [event.id async for event in client.fine_tuning.jobs.follow(job)] == events
        assert await client.files.content(job.training_file).text() == ROWS
        again = await client.completions.create(
            model=job.fine_tuned_model, prompt="What is 7? ->", temperature=0, stop="\n"
        )
    assert again.choices == answer.choices
    assert again.choices[0].text == " The number 7."
    assert again.id != answer.id


async def test_a_job_continues_while_the_state_is_closed(path, data, wall_clock):
    async with using(path) as client:
        assert client.backend.clock.time() == wall_clock.now
        file = await client.files.upload(data)
        job = await client.fine_tuning.jobs.create(model="babbage-002", training_file=file.id)
    wall_clock.now += 3600
    async with using(path) as client:
        assert (await client.fine_tuning.jobs.retrieve(job.id)).status == "succeeded"


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [0, 20, 40, 91, 100, 120, 130])
async def test_a_job_reopened_at_any_time_has_the_same_history(path, data, wall_clock, seconds):
    async def history(reopen):
        state = path.with_name(f"{path.name}-{reopen}")
        start = wall_clock.now
        async with using(state) as client:
            file = await client.files.upload(data)
            job = await client.fine_tuning.jobs.create(
                model="babbage-002", training_file=file.id, suffix="sums"
            )
            client.backend.clock.jump(seconds)
            await client.fine_tuning.jobs.retrieve(job.id)
            if not reopen:
                return await finished(client, job)
        async with using(state) as client:
            result = await finished(client, job)
        wall_clock.now = start
        return result

    assert await history(reopen=True) == await history(reopen=False)


async def finished(client, job):
    job = await client.fine_tuning.jobs.wait(job)
    events = [event async for event in client.fine_tuning.jobs.follow(job)]
    results = await client.fine_tuning.jobs.results(job)
    checkpoints = [point async for point in client.fine_tuning.jobs.checkpoints.list(job.id)]
    completion = await client.completions.create(
        model=checkpoints[-1].fine_tuned_model_checkpoint, prompt="What is 7? ->", temperature=0
    )
    steps = [event.data["step"] for event in events if event.type == "metrics"]
    assert steps == list(range(1, len(steps) + 1))
    return job, events, results, checkpoints, completion.choices


async def test_a_paused_and_a_held_job_stay_as_they_were(path, data):
    async with using(path) as client:
        file = await client.files.upload(data)
        client.backend.service.jobs.hold_in_queue()
        create = client.fine_tuning.jobs.create
        held, paused = [await create(model="babbage-002", training_file=file.id) for _ in "ab"]
        client.backend.clock.jump(100)
        await client.fine_tuning.jobs.pause(paused.id)
    async with using(path) as client:
        client.backend.clock.jump(3600)
        retrieve = client.fine_tuning.jobs.retrieve
        statuses = [(await retrieve(job.id)).status for job in (held, paused)]
        assert statuses == ["queued", "paused"]
        client.backend.service.jobs.release(held.id)
        await client.fine_tuning.jobs.resume(paused.id)
        for job in (held, paused):
            assert (await client.fine_tuning.jobs.wait(job)).status == "succeeded"


async def test_uploads_and_expiries_continue(path, wall_clock):
    async with using(path) as client:
        upload = await client.uploads.create(
            bytes=6, filename="a.txt", mime_type="text/plain", purpose="assistants"
        )
        parts = [await client.uploads.parts.create(upload.id, data=d) for d in (b"abc", b"def")]
        late = await client.uploads.create(
            bytes=6, filename="a.txt", mime_type="text/plain", purpose="assistants"
        )
        brief = await client.files.create(
            file=("b.txt", b"b"),
            purpose="assistants",
            expires_after={"anchor": "created_at", "seconds": 3600},
        )
    async with using(path) as client:
        done = await client.uploads.complete(upload.id, part_ids=[part.id for part in parts])
        assert await client.files.content(done.file.id).read() == b"abcdef"
        assert (await client.files.retrieve(brief.id)).filename == "b.txt"
    wall_clock.now += 3601
    async with using(path) as client:
        with pytest.raises(NotFoundError):
            await client.files.retrieve(brief.id)
        with pytest.raises(BadRequestError, match="is expired"):
            await client.uploads.cancel(late.id)


@pytest.mark.parametrize("seconds", [0, 6, 12, 30])
async def test_a_batch_continues_and_each_line_is_answered_once(path, seconds):
    lines = [
        {"custom_id": str(n), "method": "POST", "url": "/v1/completions",
         "body": {"model": "babbage-002", "prompt": str(n), "max_tokens": 2}}
        for n in range(20)
    ]  # fmt: skip
    content = "\n".join(map(json.dumps, lines)).encode()
    async with using(path) as client:
        file = await client.files.create(file=("lines.jsonl", content), purpose="batch")
        batch = await client.batches.create(
            input_file_id=file.id, endpoint="/v1/completions", completion_window="24h"
        )
        client.backend.clock.jump(seconds)
        await client.batches.retrieve(batch.id)
        await client.files.delete(file.id) if seconds > 6 else None
    async with using(path) as client:
        client.backend.clock.jump(100)
        batch = await client.batches.retrieve(batch.id)
        assert batch.status == "completed"
        output = await client.files.content(batch.output_file_id).text()
    assert batch.request_counts.completed == 20
    ids = [json.loads(line)["custom_id"] for line in output.splitlines()]
    assert sorted(ids, key=int) == [line["custom_id"] for line in lines]


async def test_a_legacy_fine_tune_continues(path, data):
    async with using(path) as client:
        file = await client.files.upload(data)
        fine_tune = await client.fine_tunes.create(
            training_file=file.id, model="ada", suffix="my sums"
        )
        client.backend.clock.jump(90)
        before = await client.fine_tunes.retrieve(fine_tune.id)
        assert before.status == "running"
    async with using(path) as client:
        client.backend.clock.jump(3600)
        done = await client.fine_tunes.retrieve(fine_tune.id)
        assert done.status == "succeeded"
        assert ":ft-personal:my-sums-" in done.fine_tuned_model
        epochs = [event.message for event in done.events if "epoch" in event.message]
        assert epochs == [f"Completed epoch {n}/4" for n in range(1, 5)]
        assert (await client.models.retrieve(done.fine_tuned_model)).id


async def test_responses_continue_and_interrupted_ones_fail(path):
    create = {"model": "gpt-4o-mini", "input": "Hello", "max_output_tokens": 16}
    async with using(path) as client:
        first = await client.responses.create(**create)
        pending = await client.responses.create(**create, background=True)
    async with using(path) as client:
        assert await client.responses.retrieve(first.id) == first
        failed = await client.responses.retrieve(pending.id)
        assert (failed.status, failed.error.code) == ("failed", "server_error")
        second = await client.responses.create(**create, previous_response_id=first.id)
        assert second.previous_response_id == first.id


async def test_a_create_repeated_with_its_key_creates_nothing_twice(path, data):
    async def create(client):
        keyed = {"extra_headers": {"Idempotency-Key": "k1"}}
        file = await client.files.create(file=data, purpose="fine-tune", **keyed)
        job = await client.fine_tuning.jobs.create(
            model="babbage-002", training_file=file.id, **keyed
        )
        return file, job, await client.chat.completions.create(**KANT, store=True, **keyed)

    async with using(path) as client:
        first = await create(client)
    async with using(path) as client:
        assert await create(client) == first
        assert [file.id async for file in client.files.list()] == [first[0].id]
        assert [job.id async for job in client.fine_tuning.jobs.list()] == [first[1].id]
        assert [chat.id async for chat in client.chat.completions.list()] == [first[2].id]


async def test_a_response_is_stored_with_its_object_or_not_at_all(path, monkeypatch):
    keyed = {"file": ("a.jsonl", ROWS.encode()), "extra_headers": {"Idempotency-Key": "k1"}}
    async with using(path) as client:
        store, committed = client.backend.service.store, []

        def commit():
            committed.append(stored_kinds(store._database.connection))
            sqlite_store.SqliteStore.commit(store)

        monkeypatch.setattr(store, "commit", commit)
        await client.files.create(**keyed, purpose="fine-tune")
    with_object = [kinds for kinds in committed if "files" in kinds]
    assert with_object
    assert all("idempotent_responses" in kinds for kinds in with_object)


def stored_kinds(database):
    return {kind for (kind,) in database.execute("SELECT DISTINCT kind FROM records")}


@pytest.mark.slow
async def test_deletions_and_cancellations_are_stored(path, data):
    async with using(path) as client:
        job = await tuned(client, data)
        other = await client.fine_tuning.jobs.create(
            model="babbage-002", training_file=job.training_file
        )
        await client.fine_tuning.jobs.cancel(other.id)
        await client.models.delete(job.fine_tuned_model)
    async with using(path) as client:
        assert (await client.fine_tuning.jobs.retrieve(other.id)).status == "cancelled"
        with pytest.raises(NotFoundError):
            await client.models.retrieve(job.fine_tuned_model)


async def test_stored_chats_are_there_and_others_are_not(path):
    ask = {"model": "gpt-4.1", "messages": [{"role": "user", "content": "Hello"}]}
    async with using(path) as client:
        stored = await client.chat.completions.create(**ask, store=True)
        async with client.chat.completions.stream(**ask, store=True) as stream:
            streamed = await stream.final_response()
        await client.chat.completions.create(**ask)
    async with using(path) as client:
        ids = [chat.id async for chat in client.chat.completions.list()]
    assert ids == [stored.id, streamed.id]


async def test_a_refused_request_stores_nothing(path):
    async with using(path) as client:
        with pytest.raises(BadRequestError):
            await client.files.create(file=("a.jsonl", b"no json"), purpose="fine-tune")
    async with using(path) as client:
        assert [file async for file in client.files.list()] == []


async def test_a_state_keeps_its_seed(path, data):
    async with using(path, seed=5) as client:
        first = await client.files.upload(data)
    async with using(path, seed=6) as client:
        second = await client.files.create(file=("b.jsonl", ROWS.encode()), purpose="fine-tune")
    async with AsyncClient(backend=MemoryBackend(seed=5)) as client:
        ids = [
            (await client.files.create(file=ROWS.encode(), purpose="fine-tune")).id for _ in "12"
        ]
    assert [first.id, second.id] == ids


async def test_a_state_in_use_is_an_error_with_a_solution(path, monkeypatch):
    monkeypatch.setattr(sqlite_store, "_BUSY_TIMEOUT_S", 0.0)
    async with using(path):
        holder = rf"in use by process {os.getpid()} on .+ since \d{{4}}-.*tunesmith serve --state"
        with pytest.raises(ConfigurationError, match=holder):
            MemoryBackend(state=path)
    assert not (path / "holder.json").exists()
    await MemoryBackend(state=path).aclose()


async def test_opening_waits_briefly_for_another_process(path):
    await MemoryBackend(state=path).aclose()
    holder = sqlite3.connect(path / DATABASE, isolation_level=None, check_same_thread=False)
    holder.execute("BEGIN EXCLUSIVE")
    released = threading.Timer(0.2, holder.close)
    released.start()
    await MemoryBackend(state=path).aclose()
    released.join()


DATABASE = "service.sqlite"


def test_a_file_is_not_a_state(path):
    path.write_bytes(b"prompt,completion\n")
    with pytest.raises(ConfigurationError, match="is not a folder"):
        MemoryBackend(state=path)
    assert path.read_bytes() == b"prompt,completion\n"


def test_a_folder_of_another_program_is_not_changed(path):
    path.mkdir()
    (path / "notes.txt").write_text("mine")
    with pytest.raises(ConfigurationError, match="not a state folder of tunesmith"):
        MemoryBackend(state=path)
    assert [item.name for item in path.iterdir()] == ["notes.txt"]


def test_a_database_of_another_program_is_not_changed(path):
    path.mkdir()
    change(path, "CREATE TABLE world (seed)")
    before = (path / DATABASE).read_bytes()
    with pytest.raises(ConfigurationError, match="not a state folder of tunesmith"):
        MemoryBackend(state=path)
    assert (path / DATABASE).read_bytes() == before


def test_a_missing_parent_folder_is_an_error(tmp_path):
    with pytest.raises(ConfigurationError, match=r"no/world.* cannot be used"):
        MemoryBackend(state=tmp_path / "no" / "world")


def change(path, statement):
    database = sqlite3.connect(path / DATABASE)
    database.execute(statement)
    database.commit()
    database.close()


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("PRAGMA user_version=99", "newer tunesmith"),
        ("PRAGMA user_version=1", "damaged"),
        ("DROP TABLE records", "damaged"),
        ("UPDATE records SET data = x'00'", "damaged"),
    ],
)
async def test_a_state_that_cannot_be_read_is_an_error(path, data, statement, message):
    async with using(path) as client:
        await client.files.upload(data)
    change(path, statement)
    with pytest.raises(ConfigurationError, match=message):
        MemoryBackend(state=path)
    change(path, "PRAGMA user_version=1")  # it is not locked


def test_a_damaged_database_is_an_error(path):
    path.mkdir()
    (path / DATABASE).write_bytes(b"SQLite format 3\0")
    with pytest.raises(ConfigurationError, match="damaged"):
        MemoryBackend(state=path)


async def test_after_a_failed_write_the_state_can_be_read_but_not_changed(path):
    """As on a full disk: what was confirmed stays, what was not does not appear later."""
    async with using(path) as client:
        file = await client.files.create(file=ROWS.encode(), purpose="fine-tune")
        database = client.backend.service.store._database.connection
        database.execute("PRAGMA max_page_count = 1")
        failing = client.with_options(max_retries=0)
        long = {**KANT, "messages": [{"role": "user", "content": "Kant " * 2000}]}
        for _ in range(2):
            with pytest.raises(InternalServerError, match="can no longer be written") as caught:
                await failing.chat.completions.create(**long, store=True)
            assert (caught.value.status, caught.value.code) == (503, "storage_unavailable")
        assert [each.id async for each in failing.files.list()] == [file.id]
        assert [chat async for chat in failing.chat.completions.list()] == []
        await failing.completions.create(model="davinci-002", prompt="Kant", max_tokens=1)
        failing.backend.service.store._database._failure = None  # aclose would report it again
    async with using(path) as client:
        assert [each.id async for each in client.files.list()] == [file.id]
        await client.chat.completions.create(**KANT, store=True)


async def test_a_file_that_does_not_fit_leaves_nothing_behind(path, monkeypatch):
    async with using(path) as client:

        def write(store, blob_id, chunks):
            raise StoreError("no space")

        with monkeypatch.context() as patch:
            patch.setattr(sqlite_store.SqliteStore, "write", write)
            with pytest.raises(InternalServerError, match="no space"):
                await client.with_options(max_retries=0).files.create(
                    file=ROWS.encode(), purpose="fine-tune"
                )
        assert [file async for file in client.files.list()] == []
        await client.files.create(file=ROWS.encode(), purpose="fine-tune")


async def test_files_without_records_are_deleted_when_a_state_is_opened(path, data):
    async with using(path) as client:
        job = await tuned(client, data)
    known = sorted(path.rglob("*"))
    orphans = ["blobs/abc", "blobs/abc.partial", "weights/a/b", "models/a/b", "trainings/a/b"]
    for orphan in orphans:
        (path / orphan).parent.mkdir(exist_ok=True, parents=True)
        (path / orphan).write_bytes(b"x")
    async with using(path) as client:
        await client.completions.create(model=job.fine_tuned_model, prompt="a", max_tokens=1)
    assert sorted(path.rglob("*")) == known


async def test_a_damaged_blob_is_an_error_with_words(path, data):
    async with using(path) as client:
        file = await client.files.upload(data)
        shutil.rmtree(path / "blobs")
        with pytest.raises(InternalServerError, match="is damaged: restore a copy"):
            await client.with_options(max_retries=0).files.content(file.id).text()


async def test_a_state_of_the_previous_layout_is_migrated(path, data):
    """Layout 2 had weights as blobs, and requests of batches as records."""
    lines = [
        {"custom_id": str(n), "method": "POST", "url": "/v1/completions",
         "body": {"model": "babbage-002", "prompt": str(n), "max_tokens": 2}}
        for n in range(40)
    ]  # fmt: skip
    content = "\n".join(map(json.dumps, lines)).encode()
    async with using(path) as client:
        job = await tuned(client, data)
        other = await client.fine_tuning.jobs.create(
            model="babbage-002", training_file=job.training_file
        )
        client.backend.clock.jump(75)
        file = await client.files.create(file=("lines.jsonl", content), purpose="batch")
        batch = await client.batches.create(
            input_file_id=file.id, endpoint="/v1/completions", completion_window="24h"
        )
        client.backend.clock.jump(25)
        await client.fine_tuning.jobs.retrieve(other.id)
        batch = await client.batches.retrieve(batch.id)
        assert 0 < batch.request_counts.completed < 40
    to_layout_2(path, batch.id, lines)
    async with using(path) as client:
        completion = await client.completions.create(
            model=job.fine_tuned_model, prompt="What is 7? ->", temperature=0, stop="\n"
        )
        assert completion.choices[0].text == " The number 7."
        assert (await client.fine_tuning.jobs.wait(other)).status == "succeeded"
        checkpoints = [each async for each in client.fine_tuning.jobs.checkpoints.list(other.id)]
        assert len(checkpoints) == 3
        batch = await client.batches.retrieve(batch.id)
        output = await client.files.content(batch.output_file_id).text()
    ids = [json.loads(line)["custom_id"] for line in output.splitlines()]
    assert sorted(ids, key=int) == [line["custom_id"] for line in lines]


def to_layout_2(path, batch_id, lines):
    folder, database = StateFolder(path), sqlite3.connect(path / DATABASE)

    def change(kind, record_id, update):
        where = (kind, record_id)
        (data,) = database.execute(
            "SELECT data FROM records WHERE kind = ? AND id = ?", where
        ).fetchone()
        record = json.loads(data)
        update(record)
        data = json.dumps(record).encode()
        database.execute("UPDATE records SET data = ? WHERE kind = ? AND id = ?", (data, *where))

    for (name,) in database.execute("SELECT id FROM records WHERE kind = 'model_bases'"):
        weights = folder.folders.path("models", name)
        (weights / "ngram.json").rename(folder.blob(f"weights:{name}"))
        weights.rmdir()
    for (job_id,) in database.execute("SELECT id FROM records WHERE kind = 'lifecycles'"):
        change(
            "lifecycles",
            job_id,
            lambda state: state.update(epoch_ended_at=state.pop("checkpoint_at")),
        )
    change("batch_runs", batch_id, lambda run: run.pop("offset"))
    for number, line in enumerate(lines):
        database.execute(
            "INSERT INTO records (kind, parent, id, data) VALUES ('batch_lines', ?, ?, ?)",
            (batch_id, str(number), json.dumps(line).encode()),
        )
    folder.blob(batch_id).unlink()
    database.execute("PRAGMA user_version = 2")
    database.commit()
    database.close()


@pytest.mark.slow
def test_responses_survive_a_crash(path):
    """The process ends as soon as it has the response."""
    script = (
        "import anyio, os, sys, tunesmith\n"
        "async def main():\n"
        "    client = tunesmith.AsyncClient(backend=tunesmith.MemoryBackend(state=sys.argv[1]))\n"
        "    file = await client.files.create(file=('a.jsonl', b'{}'), purpose='batch')\n"
        "    print(file.id, flush=True)\n"
        "    os._exit(9)\n"
        "anyio.run(main)\n"
    )
    ids = []
    for _ in range(3):
        died = subprocess.run(
            [sys.executable, "-c", script, path], capture_output=True, text=True, check=False
        )
        assert died.returncode == 9, died.stderr
        ids += died.stdout.split()

    async def listed():
        async with using(path) as client:
            return [file.id async for file in client.files.list()]

    assert anyio.run(listed) == ids[::-1]
    assert len(set(ids)) == 3


async def test_a_closed_backend_refuses_requests(path):
    backend = MemoryBackend(state=path)
    await backend.aclose()
    await backend.aclose()
    with pytest.raises(BackendError, match="closed"):
        await (
            AsyncClient(backend=backend, max_retries=0)
            .backend.send(Request("models.list", "GET", "/models"))
            .__aenter__()
        )


@pytest.mark.parametrize(
    "option", [{"seed": 3}, {"limits": ServiceLimits()}, {"clock": VirtualClock()}]
)
def test_options_are_refused_beside_a_service(option):
    with pytest.raises(ConfigurationError, match="cannot be combined with service="):
        MemoryBackend(Service(), **option)


async def test_limits_apply_to_each_opening(path):
    file = {"file": ("a.jsonl", ROWS.encode()), "purpose": "fine-tune"}
    for _ in range(2):
        async with using(path, limits=ServiceLimits(requests_per_minute=1)) as client:
            await client.files.create(**file)
            answer = await client.chat.completions.create(**KANT, store=True)
            assert answer.response.rate_limits.remaining_requests == 0
            hasty = client.with_options(max_retries=0)
            with pytest.raises(RateLimitError):
                await hasty.chat.completions.create(**KANT, store=True)


async def test_a_state_is_refused_beside_a_service(path):
    with pytest.raises(ConfigurationError, match="state= cannot be combined"):
        MemoryBackend(Service(), state=path)
    assert not path.exists()


KANT = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Kant"}], "max_tokens": 3}


_BODY = ROWS.encode()
_STEPS = {
    "file": ("POST", "/files", None),
    "job": ("POST", "/fine_tuning/jobs", {"model": "babbage-002"}),
    "complete": ("POST", "/completions", {"model": "babbage-002", "prompt": "a", "max_tokens": 2}),
    "moderate": ("POST", "/moderations", {"input": "a"}),
    "look": ("GET", "/fine_tuning/jobs", None),
    "misspell": ("POST", "/fine_tuning/jobs", {"mdoel": "babbage-002"}),
    "cancel": ("POST", "/fine_tuning/jobs/{job}/cancel", {}),
    "batch": ("POST", "/batches", {"endpoint": "/v1/completions", "completion_window": "24h"}),
    "wait": None,
    "reopen": None,
}


@pytest.mark.slow
@settings(max_examples=40)
@given(steps=st.lists(st.sampled_from(sorted(_STEPS)), max_size=12))
@example(steps=["batch", *["wait"] * 10, "misspell", "reopen"])
def test_reopening_does_not_change_later_responses(tmp_path_factory, steps):
    """A service that is reopened again and again has the same responses as one that is not."""
    path = tmp_path_factory.mktemp("worlds") / "world"
    now = 1_800_000_000.0

    async def compare():
        saved = MemoryBackend(state=path)
        service = Service(clock=VirtualClock(now))
        steady = HttpApi(service)
        known = {"job": "ftjob-no", "file": "file-no", "lines": "file-no"}
        for step in ["file", *steps, "look", "file"]:
            if step == "reopen":
                await saved.aclose()
                saved = MemoryBackend(state=path)
            elif step == "wait":
                service.clock.jump(45)
                saved.service.clock.jump(45)
            else:
                answers = [await asked(wire, step, known) for wire in (steady, saved)]
                assert answers[0] == answers[1]
                answer = json.loads(answers[0])
                known[step] = answer.get("id", known.get(step))
        await saved.aclose()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sqlite_store, "_wall_time", lambda: now)
        anyio.run(compare)


async def asked(wire, step, known):
    method, route, body = _STEPS[step]
    if step == "file":
        lines = [
            {"custom_id": str(n), "method": "POST", "url": "/v1/completions",
             "body": {"model": "babbage-002", "prompt": f"{n}", "max_tokens": 2}}
            for n in range(3)
        ]  # fmt: skip
        content = "".join(
            json.dumps({**line, "prompt": "a", "completion": "b"}) + "\n" for line in lines
        )
        text = (
            '--x\r\ncontent-disposition: form-data; name="purpose"\r\n\r\nbatch\r\n'
            '--x\r\ncontent-disposition: form-data; name="file"; filename="a"\r\n\r\n'
            f"{content}\r\n--x--\r\n"
        )
        headers = {"content-type": "multipart/form-data; boundary=x"}
        request = Request("", method, route, headers=headers, body=text.encode())
    else:
        more = {"training_file": known["file"]} if step == "job" else {}
        more |= {"input_file_id": known["file"]} if step == "batch" else {}
        encoded = None if body is None else json.dumps({**body, **more}).encode()
        headers = {"content-type": "application/json"} if encoded else {}
        request = Request("", method, route.format(**known), headers=headers, body=encoded)
    async with wire.send(request) as response:
        return await response.read()


async def test_folders_of_a_relative_state_stay_where_they_were_opened(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    backend = MemoryBackend(state="state")
    async with AsyncClient(backend=backend):
        (tmp_path / "other").mkdir()
        monkeypatch.chdir(tmp_path / "other")
        folder = backend.service.store.folder("trainings", "ftjob-1")
    assert folder == tmp_path / "state" / "trainings" / "ftjob-1"
