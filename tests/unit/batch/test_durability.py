"""Files survive a power loss before something else relies on them."""

import asyncio
import json
import os
import signal
from functools import partial
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest
from pydantic import BaseModel
from tests.unit.batch.services import Service, too_many
from tests.unit.batch.test_journal import Hanging
from tests.unit.batch.test_provider import Eavesdropper
from tests.unit.batch.test_provider_faults import Provider

from tunesmith import AsyncClient
from tunesmith.batch import BatchJob, Budget, read_runs
from tunesmith.batch.append_log import AppendOnlyJsonl
from tunesmith.batch.budget import BudgetTracker
from tunesmith.batch.commit import GroupCommit
from tunesmith.batch.core.ledger import Usage
from tunesmith.batch.core.states import RowRecord, RowState
from tunesmith.batch.index import KeyIndex
from tunesmith.batch.journal import read_header
from tunesmith.batch.lock import try_lock_file
from tunesmith.batch.output import JobPaths
from tunesmith.batch.result_stream import ResultStream
from tunesmith.errors import ConfigurationError, DatasetError

pytestmark = pytest.mark.anyio

ROWS = [{"custom_id": f"r{n}", "prompt": f"p{n}"} for n in range(8)]


@pytest.fixture
def output(tmp_path):
    return tmp_path / "answers.jsonl"


@pytest.fixture
def synced(tmp_path, monkeypatch):
    """Names and contents of synced files, in the order of their first sync."""
    contents = {}
    fsync = os.fsync

    def record(descriptor):
        fsync(descriptor)
        inode = os.fstat(descriptor).st_ino
        found = {path.name: path for path in tmp_path.iterdir() if path.stat().st_ino == inode}
        contents.update({name: path.read_bytes() for name, path in found.items()})

    monkeypatch.setattr(os, "fsync", record)
    return contents


async def run(service, output, rows=ROWS, **options):
    options = {"model": "m", "concurrency": 3, "fsync_interval": 3600} | options
    async with BatchJob(rows, output, client=AsyncClient(backend=service), **options) as job:
        return await job.run()


async def test_a_sync_that_failed_is_made_again(output, monkeypatch):
    log = AppendOnlyJsonl(output)
    log.add(b"{}\n")
    failures = [OSError("the disk is broken")]

    def fsync(descriptor):
        if failures:
            raise failures.pop()
        calls.append(descriptor)

    calls = []
    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(DatasetError, match="broken"):
        log.sync()
    log.sync()
    log.sync()
    log.close()
    assert len(calls) == 1


async def test_what_is_written_during_a_sync_is_safe_after_the_next_one():
    syncs = [anyio.Event(), anyio.Event()]
    begun = []

    async def sync():
        begun.append(True)
        await syncs[len(begun) - 1].wait()

    commit = GroupCommit(sync, interval_s=3600, rows=1)
    safe = []

    async def wait():
        await commit.wait_until_safe()
        safe.append(True)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(commit.run)
        commit.mark_dirty()
        await anyio.wait_all_tasks_blocked()
        tasks.start_soon(wait)
        await anyio.wait_all_tasks_blocked()
        syncs[0].set()
        await anyio.wait_all_tasks_blocked()
        assert (len(begun), safe) == (2, [])
        syncs[1].set()
        await anyio.wait_all_tasks_blocked()
        assert safe
        tasks.cancel_scope.cancel()


async def test_outcomes_are_safe_before_the_entries_that_rely_on_them(output, monkeypatch):
    order = []
    sync = AppendOnlyJsonl.sync

    def record(log):
        order.append(Path(log.path).suffix)
        sync(log)

    monkeypatch.setattr(AppendOnlyJsonl, "sync", record)
    await run(Service(), output, fsync_interval=0)
    syncs = [at for at, suffix in enumerate(order) if suffix == ".journal"]
    assert len(syncs) > len(ROWS) / 3
    assert all(order[at - 2 : at] == [".jsonl", ".jsonl"] for at in syncs)


async def test_with_an_interval_of_zero_a_row_is_sent_once_its_entry_is_safe(output, synced):
    unsafe = []

    class Watching(Service):
        def send(self, request):
            prompt = request.body.split(b'"')[3]
            if b'"sent":"r%b"' % prompt[1:] not in synced.get("answers.journal", b""):
                unsafe.append(prompt)
            return super().send(request)

    await run(Watching(), output, fsync_interval=0)
    assert not unsafe


async def test_returned_tokens_are_free_once_their_entries_are_safe(output, monkeypatch):
    client = AsyncClient(backend=Service())
    budget = Budget(tokens=1000)
    async with BatchJob(ROWS, output, client=client, model="m", budget=budget) as job:
        ledger = job._run.core.ledger
        ledger.reserve(Usage(9, 9))
        ledger.refund(Usage(2, 2))
        # An entry that is written while files are synced.
        monkeypatch.setattr(job._run, "_sync_files", lambda: ledger.refund(Usage(3, 3)))
        await job._run._sync()
        assert (ledger.returned, ledger.returning) == (Usage(2, 2), Usage(3, 3))


async def test_an_ordered_output_is_safe_before_it_replaces_the_old_one(output, synced):
    await run(Service(), output, order="input")
    suffixes = ("journal", "jsonl", "errors.jsonl", "unordered.jsonl")
    new = synced.keys() - {f"answers.{suffix}" for suffix in suffixes}
    assert [synced[name] for name in new] == [output.read_bytes()]


async def test_the_rows_of_a_batch_are_safe_before_it_is_created(output, synced):
    service = Eavesdropper(lambda number, request: requests.append(dict(synced)))
    requests = []
    await run(service, output, mode="batch", model="davinci-002")
    shards = [value for name, value in requests[0].items() if ".shard-1." in name]
    assert [shard.count(b"\n") for shard in shards] == [len(ROWS)]


async def test_a_budget_can_be_used_up_to_the_last_token():
    tracker = BudgetTracker(Budget(tokens=10))
    assert tracker.allows(Usage(4, 6))
    assert not tracker.allows(Usage(5, 6))


async def test_results_wait_for_a_slow_consumer(output):
    service = Service()
    prompts = (f"p{n}" for n in range(4000))
    client = AsyncClient(backend=service)
    async with BatchJob(prompts, output, client=client, model="m", concurrency=50) as job:
        async for _ in job:
            await service.clock.sleep(1000)
            assert service.requests < 1200
            break


async def test_reading_waits_while_too_many_results_wait_for_an_early_row(output, monkeypatch):
    monkeypatch.setattr("tunesmith.batch.row_queue._MAX_BUFFERED", 100)
    service = Service(refuse=lambda number, now: too_many(600) if number == 1 else None)
    prompts = (f"p{n}" for n in range(3000))
    client = AsyncClient(backend=service)
    async with BatchJob(prompts, output, client=client, model="m", order="input") as job:
        async for result in job:
            assert result.line > 1 or service.requests < 1000
    assert service.requests == 3001


class Term(BaseModel):
    """An answer that the service never gives."""

    meaning: str


async def test_a_correction_reserves_as_much_as_its_longer_request_can_cost(output):
    service = Service()
    options = {"response_format": Term, "params": {"max_tokens": 9}, "max_retries": 1}
    rows = [{"custom_id": "r0", "messages": [{"role": "user", "content": "p0"}]}]
    budget = Budget(tokens=10**6)
    await run(service, output, rows=rows, budget=budget, **options)
    entries = [
        json.loads(line) for line in output.with_suffix(".journal").read_bytes().splitlines()
    ]
    reserved = [entry["reserved"] for entry in entries if entry.get("sent") == "r0"]
    second = service.bodies[1]
    assert len(second["messages"]) == 3
    assert reserved[1][0] - reserved[0][0] > len(str(second["messages"][1:])) / 2


async def test_records_of_many_keys_are_kept_on_disk():
    index = KeyIndex()
    for number in range(10_000):
        index.put(str(number), RowRecord(RowState.FAILED))
    assert len(index._unsaved) < 5000
    assert index.get("0") == RowRecord(RowState.FAILED)
    index.close()


async def test_results_of_a_batch_wait_for_a_slow_consumer(output):
    service = Provider()
    prompts = [f"p{n}" for n in range(3000)]
    client = AsyncClient(backend=service)
    async with BatchJob(prompts, output, client=client, model="m", mode="batch") as job:
        async for _ in job:
            await service.clock.sleep(1000)
            assert len(job._stream._results) < 1500
            break


async def test_nothing_but_the_output_and_the_journal_is_left(output, tmp_path):
    await run(Provider(), output, mode="batch")
    assert {path.name for path in tmp_path.iterdir()} == {"answers.jsonl", "answers.journal"}


def test_handlers_of_signals_are_those_of_before(output):
    async def main():
        before = signal.getsignal(signal.SIGINT)
        await run(Service(), output)
        assert signal.getsignal(signal.SIGINT) == before

    asyncio.run(main())


async def test_a_resumed_run_removes_files_of_shards_that_no_journal_entry_names(output):
    await run(Provider(), output, mode="batch")
    header = read_header(JobPaths(output).journal)
    stray = JobPaths(output).shard(header.job, 9)
    stray.write_bytes(b"{}\n")  # of a run that died before its entry
    await run(Provider(), output, mode="batch", resume=True)
    assert not stray.exists()


async def test_retries_are_in_the_journal_before_failures_are_removed(output, synced, monkeypatch):
    refuse = (400, {}, {"error": {"message": "no"}})
    await run(Service(refuse=lambda number, now: refuse if number == 2 else None), output)
    clear = AppendOnlyJsonl.clear
    seen = []

    def record(log):
        seen.append(synced["answers.journal"].count(b'{"requeued":'))
        clear(log)

    monkeypatch.setattr(AppendOnlyJsonl, "clear", record)
    await run(Service(), output, resume=True, retry_failed=True)
    assert seen == [2]  # the refusal, and the retry


async def test_results_that_nobody_wants_take_no_memory(output):
    stream = ResultStream()
    stream.is_wanted = True
    stream.put("result")
    stream.discard()
    stream.put("result")
    assert not stream._results


async def test_a_deadline_bounds_a_call_for_a_batch(output):
    report = await run(Provider(call_s=10_000), output, mode="batch", deadline=50)
    assert (report.stopped, report.elapsed) == ("deadline", pytest.approx(50, abs=1))


async def test_a_refused_run_leaves_no_empty_files(output, tmp_path):
    output.touch()
    descriptor = os.open(output, os.O_RDWR)
    assert try_lock_file(descriptor)
    with pytest.raises(ConfigurationError, match="another run"):
        await run(Service(), output, resume=True)
    os.close(descriptor)
    assert list(tmp_path.iterdir()) == [output]


async def test_an_answer_that_cannot_be_written_is_named(output, monkeypatch):
    add = AppendOnlyJsonl.add

    def fail(log, line):
        if b"answer to p3" in line:
            raise DatasetError("The disk is full.")
        return add(log, line)

    monkeypatch.setattr(AppendOnlyJsonl, "add", fail)
    with pytest.raises(DatasetError, match="disk is full"):
        await run(Service(), output, concurrency=1)
    report = read_runs(output)[-1]
    assert (report.done, report.outcome_unknown) == (3, ("r3",))


async def test_a_cancelled_caller_waits_no_longer_than_the_shutdown_timeout(output):
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(partial(run, Hanging(), output, shutdown_timeout=0.01))
        while not read_runs(output):
            await anyio.lowlevel.checkpoint()
        tasks.cancel_scope.cancel()
    assert read_runs(output)[-1].stopped == "interrupted"
