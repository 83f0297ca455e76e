"""Whatever tears the files, every row comes out once, and hardly any is paid twice."""

import errno
import json
import os
import shutil
from contextlib import asynccontextmanager
from functools import partial

import anyio
import pytest
from hypothesis import given, settings, strategies as st
from pydantic_core import from_json
from tests.unit.batch.services import Service

from tunesmith import AsyncClient
from tunesmith.batch import BatchJob
from tunesmith.batch.append_log import AppendOnlyJsonl
from tunesmith.batch.commit import GroupCommit
from tunesmith.batch.core.ledger import Usage
from tunesmith.batch.core.states import RowRecord, RowState
from tunesmith.batch.index import KeyIndex
from tunesmith.batch.journal import Journal
from tunesmith.batch.output import JobPaths
from tunesmith.batch.status import read_status
from tunesmith.errors import ConfigurationError, DatasetError

PROMPTS = [f"p{i}" for i in range(30)]


async def run(service, output, **options):
    options = {"model": "m", "concurrency": 5} | options
    async with BatchJob(PROMPTS, output, client=AsyncClient(backend=service), **options) as job:
        return await job.run()


def answered(output):
    lines = [from_json(line) for line in output.read_bytes().splitlines()]
    return sorted(line["response"]["body"]["choices"][0]["text"] for line in lines)


EVERYTHING = sorted(f"answer to {p}" for p in PROMPTS)


# --- lines ---


@pytest.mark.slow
@given(data=st.data())
@settings(max_examples=60)
def test_a_torn_tail_is_cut_off_and_the_file_goes_on(data, tmp_path_factory):
    path = tmp_path_factory.mktemp("lines") / "f.jsonl"
    lines = [b'{"n":%d,"text":"\xc3\xa4"}\n' % n for n in range(5)]
    whole = b"".join(lines)
    cut = data.draw(st.integers(0, len(whole)))
    rubbish = data.draw(st.sampled_from([b"", b"\0" * 9, b"\0\n"]))
    path.write_bytes(whole[:cut] + rubbish)
    file = AppendOnlyJsonl(path)
    kept = [found.data["n"] for found in file.recover()]
    assert kept == list(range(whole[:cut].count(b"\n")))
    offset = file.add(b'{"n":9}\n')
    assert file.read(offset, 8) == b'{"n":9}\n'
    file.close()
    assert path.read_bytes() == b"".join(lines[: len(kept)]) + b'{"n":9}\n'


def test_a_damaged_line_in_the_middle_is_named_and_not_passed_over(tmp_path):
    (tmp_path / "f.jsonl").write_bytes(b'{"a":1}\n{"a\n{"a":3}\n')
    file = AppendOnlyJsonl(tmp_path / "f.jsonl")
    with pytest.raises(DatasetError, match=r"f\.jsonl:2: This line is damaged.*Remove it"):
        list(file.recover())
    file.close()


def test_a_line_that_does_not_fit_on_the_disk_leaves_nothing_behind(tmp_path, monkeypatch):
    file = AppendOnlyJsonl(tmp_path / "f.jsonl")
    file.add(b'{"a":1}\n')
    write = os.write

    def full(descriptor, data):
        if len(data) > 3:
            return write(descriptor, data[:3])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(DatasetError, match=r"No space left on device\. No finished row is lost"):
        file.add(b'{"a":2}\n')
    monkeypatch.undo()
    file.add(b'{"a":3}\n')
    file.close()
    assert (tmp_path / "f.jsonl").read_bytes() == b'{"a":1}\n{"a":3}\n'


# --- the index ---


def test_equal_rows_are_numbered_and_repeated_custom_ids_are_told():
    index = KeyIndex()
    assert index.assign_key("a", is_custom_id=False) == ("a", False)
    assert index.assign_key("a", is_custom_id=False) == ("a~2", False)
    assert index.assign_key("b", is_custom_id=True) == ("b", False)
    assert index.assign_key("b", is_custom_id=True) == ("b~duplicate~2", True)
    index.close()


@pytest.mark.slow
@given(
    st.dictionaries(
        st.text(max_size=3),
        st.builds(
            RowRecord,
            st.sampled_from(list(RowState)),
            st.booleans(),
            st.booleans(),
            st.booleans(),
            st.builds(Usage, st.integers(0, 10**12), st.integers(0, 10**12)),
            st.integers(0, 99),
            st.booleans(),
            st.booleans(),
        ),
    )
)
@settings(max_examples=50)
def test_the_index_returns_what_it_stored_from_memory_and_from_disk(records):
    index = KeyIndex()
    for key, record in records.items():
        index.put(key, record)
    for _ in range(2):
        assert {key: index.get(key) for key in records} == records
        index._save()
    assert index.get("none") is None
    index.close()


# --- the journal ---


@pytest.mark.parametrize(
    ("version", "remedy"),
    [(99, "upgrade tunesmith"), (1, "resume with the tunesmith that wrote it")],
)
def test_a_journal_of_another_version_is_left_alone(tmp_path, version, remedy):
    content = f'{{"journal":{version}}}\n{{"back":"key"}}\n'
    (tmp_path / "a.journal").write_text(content)
    with pytest.raises(
        ConfigurationError,
        match=rf"a.journal is a .* in format version {version}, but .* version 2: {remedy}",
    ):
        anyio.run(partial(run, Service(), tmp_path / "a.jsonl", resume=True))
    assert [path.name for path in tmp_path.iterdir()] == ["a.journal"]
    assert (tmp_path / "a.journal").read_text() == content


def test_a_journal_belongs_to_one_run_at_a_time(tmp_path):
    first = Journal(tmp_path / "j")
    with pytest.raises(ConfigurationError, match="another run is using"):
        Journal(tmp_path / "j")
    first.log.close()
    Journal(tmp_path / "j").log.close()


# --- jobs ---


@pytest.fixture(scope="module", params=["completed", "input"])
def finished(request, tmp_path_factory):
    """The files of a job that died just before its end, and their order."""
    folder = tmp_path_factory.mktemp("finished")
    output = folder / "answers.jsonl"

    async def interrupted():
        service = Service()
        options = {"model": "m", "concurrency": 5, "order": request.param}
        async with BatchJob(PROMPTS, output, client=AsyncClient(backend=service), **options) as job:
            async for result in job:
                if result.line == 28:
                    break

    anyio.run(interrupted)
    return folder, request.param


@pytest.mark.slow
@given(data=st.data())
@settings(max_examples=40)
def test_after_a_power_loss_every_row_comes_out_once(finished, data, tmp_path_factory):
    """Each file may have lost any part of its end, whatever the others have lost."""
    folder, order = finished
    paths = JobPaths(tmp_path_factory.mktemp("lost") / "answers.jsonl")
    shutil.copytree(folder, paths.output.parent, dirs_exist_ok=True)
    for path in paths.output.parent.iterdir():
        os.truncate(path, data.draw(st.integers(0, path.stat().st_size), label=path.name))
    outcomes = paths.unordered if paths.unordered.exists() else paths.output
    kept = outcomes.read_bytes().count(b"\n")
    service = Service()
    report = anyio.run(partial(run, service, paths.output, order=order, resume=True))
    assert report.complete
    assert answered(paths.output) == EVERYTHING
    assert report.skipped == kept
    assert service.requests == len(PROMPTS) - kept
    if order == "input":
        assert [line.split(b"answer to ")[1].split(b'"')[0] for line in _lines(paths.output)] == [
            prompt.encode() for prompt in PROMPTS
        ]


def _lines(path):
    return path.read_bytes().splitlines()


@pytest.mark.parametrize("order", ["completed", "input"])
@pytest.mark.parametrize("after", [0, 1, 2, 7, 20, 50])
def test_a_full_disk_ends_the_job_and_loses_at_most_what_was_under_way(
    tmp_path, monkeypatch, after, order
):
    output = tmp_path / "answers.jsonl"
    write = os.write
    writes = 0

    def full(descriptor, data):
        nonlocal writes
        writes += 1
        if writes > after:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(descriptor, data)

    service = Service()
    monkeypatch.setattr("tunesmith.batch.append_log.os.write", full)
    with pytest.raises(DatasetError, match="No space left on device"):
        anyio.run(partial(run, service, output, order=order))
    monkeypatch.undo()
    paid = sum(service.paid.values())
    report = anyio.run(partial(run, service, output, order=order, resume=True))
    assert report.complete
    assert answered(output) == EVERYTHING
    assert sum(service.paid.values()) - len(PROMPTS) <= min(5, paid)
    twice = [prompt for prompt, times in service.paid.items() if times > 1]
    assert len(report.outcome_unknown) >= len(twice)


@pytest.mark.anyio
@pytest.mark.parametrize(("interval_s", "rows"), [(3600, 10), (0, 1000)])
async def test_outcomes_are_synced_after_a_while_or_sooner_if_they_are_many(interval_s, rows):
    synced = anyio.Event()

    async def sync():
        synced.set()

    commit = GroupCommit(sync, interval_s=interval_s, rows=rows)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(commit.run)
        await anyio.wait_all_tasks_blocked()
        for _ in range(10):
            commit.mark_dirty()
        with anyio.fail_after(5):
            await synced.wait()
        tasks.cancel_scope.cancel()


@pytest.mark.anyio
async def test_intents_are_safe_before_the_first_answer_comes(tmp_path, monkeypatch):
    """A power loss must not hide what was sent and may be paid."""
    fsync, safe = os.fsync, anyio.Event()
    journal = JobPaths(tmp_path / "answers.jsonl").journal

    def noted(descriptor):
        fsync(descriptor)
        if not safe.is_set() and journal.read_bytes().count(b'{"sent":') == 5:
            anyio.from_thread.run_sync(safe.set)

    monkeypatch.setattr(os, "fsync", noted)
    options = {"model": "m", "concurrency": 5, "fsync_interval": 0, "shutdown_timeout": 0}
    client = AsyncClient(backend=Hanging())
    job = BatchJob(PROMPTS, tmp_path / "answers.jsonl", client=client, **options)
    async with job, anyio.create_task_group() as tasks:
        tasks.start_soon(job.run)
        with anyio.move_on_after(20):
            await safe.wait()
        job.abort()
    assert safe.is_set()


class Hanging(Service):
    """Takes requests, and never answers."""

    def __init__(self):
        super().__init__(refuse=None)

    @asynccontextmanager
    async def send(self, request):
        await anyio.sleep_forever()
        yield


def test_all_that_was_written_is_synced_at_the_end(tmp_path, monkeypatch):
    synced = {}
    fsync = os.fsync

    def noted(descriptor):
        found = os.fstat(descriptor)
        synced[found.st_ino] = found.st_size
        fsync(descriptor)

    monkeypatch.setattr("tunesmith.batch.append_log.os.fsync", noted)
    anyio.run(partial(run, Service(), tmp_path / "answers.jsonl"))
    for name in ("answers.jsonl", "answers.journal"):
        found = (tmp_path / name).stat()
        assert synced[found.st_ino] == found.st_size


def test_the_state_of_a_job_is_seen_from_outside(tmp_path):
    output = tmp_path / "answers.jsonl"
    with pytest.raises(DatasetError, match=r"This job does not exist"):
        read_status(output)

    async def look():
        client = AsyncClient(backend=Service())
        async with BatchJob(PROMPTS, output, client=client, model="m") as job:
            at_work = read_status(output)
            await job.run()
        return at_work, read_status(output)

    at_work, over = anyio.run(look)
    assert (at_work.is_running, at_work.succeeded) == (True, 0)
    assert (over.is_running, over.succeeded, over.failed) == (False, 30, 0)
    assert str(over).endswith("30 of 30 answered, 0 failed; complete")
    assert over.complete


@pytest.mark.parametrize(
    ("is_reported", "text"),
    [
        (False, "process died; resume with resume=True"),
        (True, "stopped: budget; resume with resume=True"),
    ],
)
def test_the_state_of_a_job_that_is_not_complete_says_how_to_go_on(tmp_path, is_reported, text):
    output = tmp_path / "answers.jsonl"
    report = anyio.run(partial(run, Service(), output))
    journal = JobPaths(output).journal
    journal.write_bytes(b'{"journal":1,"settings":{}}\n{"begun":90}\n')
    if is_reported:
        entry = {"report": report.to_dict() | {"stopped": "budget", "remaining": 60}}
        journal.write_text(journal.read_text() + json.dumps(entry) + "\n")
    status = read_status(output)
    assert (status.complete, status.rows) == (False, 90)
    assert f"30 of 90 answered, 0 failed; {text}" in str(status)
