"""A job by way of the Batch API: every row once, whatever happens to its batches."""

import json
import shutil
from collections import Counter
from contextlib import asynccontextmanager, suppress

import anyio
import pytest
from pydantic import BaseModel

from tunesmith import AsyncClient, MemoryBackend, errors
from tunesmith.batch import BatchJob, BatchLimits, Budget, cancel_batches
from tunesmith.batch.status import read_status
from tunesmith.service.batches.sending import BatchTiming
from tunesmith.service.core.behavior import ServiceBehavior
from tunesmith.service.service import Service

pytestmark = pytest.mark.anyio

PROMPTS = [f"p{i}" for i in range(30)]
SMALL = BatchLimits(requests=10)


class Eavesdropper:
    """The service in memory; counts what was asked, and can lose answers or end the world.

    `before(number, request)` and `after(number, request)` may raise.
    """

    def __init__(self, before=None, after=None, **options):
        self.inner = MemoryBackend(Service(**options))
        self.before = before
        self.after = after
        self.calls = Counter()
        self.number = 0
        self.looked_at = anyio.Event()

    @property
    def clock(self):
        return self.inner.clock

    @asynccontextmanager
    async def send(self, request):
        self.number += 1
        number = self.number
        self.calls[request.operation] += 1
        if request.operation == "batches.retrieve":
            self.looked_at.set()
        if self.before:
            self.before(number, request)
        async with self.inner.send(request) as response:
            if self.after:
                self.after(number, request)
            yield response

    async def aclose(self):
        await self.inner.aclose()


def job_on(service, output, rows=PROMPTS, **options):
    options = {"model": "davinci-002", "mode": "batch", "limits": SMALL} | options
    return BatchJob(rows, output, client=AsyncClient(backend=service), **options)


async def run(service, output, rows=PROMPTS, **options):
    async with job_on(service, output, rows, **options) as job:
        return await job.run()


async def batches(service):
    client = AsyncClient(backend=service)
    return [batch async for batch in client.batches.list()]


async def rows_done(service):
    """How many rows all batches have answered, so that they are paid."""
    return sum(b.request_counts.completed for b in await batches(service) if b.request_counts)


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def keys(path):
    return [line["custom_id"] for line in lines(path)]


def error_path(output):
    return output.with_name("answers.errors.jsonl")


@pytest.fixture
def output(tmp_path):
    return tmp_path / "answers.jsonl"


# --- shards ---


@pytest.mark.slow
async def test_rows_go_in_batches_and_come_back_as_if_they_were_sent_one_by_one(output, tmp_path):
    service = Eavesdropper()
    report = await run(service, output)
    assert report.complete
    assert (report.done, report.failed, report.requests) == (30, 0, 30)
    assert len(await batches(service)) == 3
    assert report.usage.total > 0
    live = tmp_path / "live.jsonl"
    await run(service, live, mode="live")
    assert sorted(keys(output)) == sorted(keys(live))
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "answers.journal",
        "answers.jsonl",
        "live.journal",
        "live.jsonl",
    ]


async def test_answers_can_have_the_order_of_the_input_and_results_are_handed_over(output):
    rows = [{"custom_id": f"r{i}", "prompt": f"p{i}"} for i in range(30)]
    async with job_on(Eavesdropper(), output, rows, order="input") as job:
        results = [result async for result in job]
    assert [r.key for r in results] == keys(output) == [f"r{i}" for i in range(30)]
    assert [r.line for r in results] == list(range(1, 31))
    assert all(isinstance(r.text, str) for r in results)


async def test_a_batch_has_one_endpoint_and_one_model(output):
    rows = [
        {"url": "/v1/completions", "body": {"model": "davinci-002", "prompt": "a"}},
        {"url": "/v1/completions", "body": {"model": "babbage-002", "prompt": "a"}},
        {
            "url": "/v1/chat/completions",
            "body": {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "a"}]},
        },
    ]
    service = Eavesdropper()
    report = await run(service, output, rows * 2)
    assert report.done == 6
    assert sorted((b.endpoint, b.model) for b in await batches(service)) == [
        ("/v1/chat/completions", "gpt-4o-mini"),
        ("/v1/completions", "babbage-002"),
        ("/v1/completions", "davinci-002"),
    ]


@pytest.mark.parametrize(
    ("limits", "count"),
    [
        (BatchLimits(), 1),
        (BatchLimits(requests=7), 5),
        (BatchLimits(bytes=1500), 3),
        (BatchLimits(enqueued_tokens=100), 3),
    ],
)
async def test_batches_are_as_large_as_the_service_takes_them(output, limits, count):
    service = Eavesdropper()
    assert (await run(service, output, limits=limits)).done == 30
    assert len(await batches(service)) == count


async def test_inputs_of_embeddings_are_counted_one_by_one(output):
    rows = [{"input": ["a", "b", "c"]}, {"input": [1, 2, 3]}, {"input": "d"}] * 2
    service = Eavesdropper()
    report = await run(
        service,
        output,
        rows,
        model="text-embedding-3-small",
        endpoint="/v1/embeddings",
        limits=BatchLimits(inputs=5),
    )
    assert report.done == 6
    assert sorted(b.request_counts.total for b in await batches(service)) == [3, 3]


# --- what comes of a batch ---


@pytest.mark.slow
async def test_rows_that_expire_are_done_by_a_further_batch(output):
    service = Eavesdropper(batch_timing=BatchTiming(request_s=3600.0))
    report = await run(service, output, limits=BatchLimits())
    assert report.complete
    assert (report.done, report.failed) == (30, 0)
    assert Counter(keys(output)).most_common(1)[0][1] == 1
    assert Counter(b.status for b in await batches(service)) == {"expired": 1, "completed": 1}
    assert await rows_done(service) == 30


@pytest.mark.slow
async def test_rows_that_expire_again_and_again_fail_in_the_end(output):
    service = Eavesdropper(batch_timing=BatchTiming(request_s=48 * 3600.0))
    report = await run(service, output, max_retries=1)
    assert (report.done, report.failed) == (0, 30)
    assert {line["error"]["code"] for line in lines(error_path(output))} == {"batch_expired"}
    assert {line["error"]["attempts"] for line in lines(error_path(output))} == {2}


@pytest.mark.parametrize("empty", [True, False])
async def test_files_that_are_not_there_are_null_or_an_empty_text(output, empty):
    service = Eavesdropper(behavior=ServiceBehavior(empty_file_ids=empty))
    rows = [{"prompt": "a"}, {"prompt": "b", "max_tokens": -1}]
    report = await run(service, output, rows, limits=BatchLimits(requests=1))
    ids = {
        (b.output_file_id or b.error_file_id) and b.error_file_id for b in await batches(service)
    }
    assert ("" if empty else None) in ids
    assert (report.done, report.failed) == (1, 1)
    assert lines(error_path(output))[0]["response"]["status_code"] == 400


async def test_answers_that_do_not_fit_are_asked_for_again_in_a_further_batch(output):
    class Term(BaseModel):
        word: str

    service = Eavesdropper()
    replies = iter(["no JSON", '{"word": "Ding"}'])
    service.inner.service.stub_reply(lambda _: next(replies))
    row = {"messages": [{"role": "user", "content": "A word"}]}
    async with job_on(service, output, [row], model="gpt-4o-mini", response_format=Term) as job:
        results = [result async for result in job]
    assert [r.parsed for r in results] == [Term(word="Ding")]
    assert job.report.retried == 1
    assert len(await batches(service)) == 2
    notes = [line for line in lines(job.paths.journal) if "paid" in line]
    (paid,) = notes  # for the budget of later runs: the answer is in no file
    assert sum(paid["usage"]) > 0


# --- batches that fail as a whole ---


async def test_batches_wait_until_the_service_takes_more_tokens(output):
    service = Eavesdropper(behavior=ServiceBehavior(enqueued_tokens=330))
    report = await run(service, output)
    assert (report.done, report.failed) == (30, 0)
    assert await rows_done(service) == 30


async def test_a_batch_of_too_many_tokens_is_split(output):
    service = Eavesdropper(behavior=ServiceBehavior(enqueued_tokens=90))
    report = await run(service, output, limits=BatchLimits())
    assert (report.done, report.failed) == (30, 0)
    statuses = Counter(b.status for b in await batches(service))
    assert statuses["failed"] >= 1
    assert statuses["completed"] >= 4


async def test_a_row_of_too_many_tokens_fails_and_says_why(output):
    service = Eavesdropper(behavior=ServiceBehavior(enqueued_tokens=5))
    report = await run(service, output, PROMPTS[:2], max_retries=1)
    assert (report.done, report.failed) == (0, 2)
    error = lines(error_path(output))[0]["error"]
    assert error["code"] == "token_limit_exceeded"
    assert "Limit: 5" in error["message"]


async def test_an_unknown_model_fails_its_rows_once_and_says_why(output, caplog):
    service = Eavesdropper()
    report = await run(service, output, model="nobody")
    assert (report.done, report.failed) == (0, 30)
    assert len(await batches(service)) == 3
    assert {message.count("'nobody'") for message in caplog.messages} == {1}
    error = lines(error_path(output))[0]["error"]
    assert error["code"] == "model_not_found"
    assert "'nobody'" in error["message"]


async def test_a_line_that_the_service_refuses_fails_alone(output):
    """The rest of its batch is done by a further one."""
    service = Eavesdropper()
    key = {}

    def refuse_third(number, request):
        if request.operation == "batches.create" and not key:
            operation = json.loads(request.body)
            shard = operation["metadata"]["tunesmith_shard"]
            path = next(output.parent.glob(f"*.shard-{shard}.jsonl"))
            key["refused"] = lines(path)[2]["custom_id"]
            spoil(service.inner.service, operation["input_file_id"])

    service.before = refuse_third
    report = await run(service, output)
    assert (report.done, report.failed) == (29, 1)
    [failed] = lines(error_path(output))
    assert failed["custom_id"] == key["refused"]
    assert failed["error"]["code"] == "missing_required_parameter"


def spoil(service, file_id):
    """Make the third line of a file one that the service does not take."""
    content = b"".join(service.files.read(file_id)).splitlines(keepends=True)
    content[2] = b'{"method":"POST"}\n'
    service.store.write(file_id, content)


# --- lost, killed, cancelled ---


class Death(errors.TunesmithError):
    """The process ends."""


async def test_a_batch_lost_between_upload_and_create_is_found_by_its_metadata(output):
    died = []

    def lose(number, request):
        if request.operation == "batches.create" and not died:
            died.append(number)
            raise errors.BackendError("the connection broke", phase="read")

    service = Eavesdropper(after=lose)
    report = await run(service, output)
    assert (report.done, report.failed) == (30, 0)
    assert len(await batches(service)) == 3
    assert await rows_done(service) == 30


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["before", "after"])
async def test_a_run_killed_at_any_call_is_resumed_without_sending_a_row_twice(tmp_path, moment):
    whole = Eavesdropper()
    (tmp_path / "whole").mkdir()
    await run(whole, tmp_path / "whole" / "answers.jsonl")
    for death in range(1, whole.number + 1):
        alive, dead = tmp_path / f"{death}", tmp_path / f"{death}-dead"
        alive.mkdir()

        def die(number, request, death=death, alive=alive, dead=dead):
            if number == death:
                shutil.copytree(alive, dead)  # what a killed process leaves
                raise Death

        service = Eavesdropper(**{moment: die})
        with suppress(Death):  # calls overlap, so their number varies by a few polls
            await run(service, alive / "answers.jsonl")
        if not dead.exists():
            assert death > 12
            break
        setattr(service, moment, None)
        report = await run(service, dead / "answers.jsonl", resume=True)
        assert report.complete
        found = Counter(keys(dead / "answers.jsonl"))
        assert len(found) == 30
        assert set(found.values()) == {1}
        assert await rows_done(service) == 30, f"paid twice after a death at call {death}"


@pytest.mark.slow
async def test_a_job_that_is_stopped_leaves_its_batches_and_collects_them_later(output):
    service = Eavesdropper()

    async with job_on(service, output) as job, anyio.create_task_group() as tasks:
        tasks.start_soon(job.run)
        await service.looked_at.wait()
        job.stop()
    assert job.report.stopped == "interrupted"
    assert job.report.in_batches
    assert "Its batches continue at the service" in job.report.resume_hint
    report = await run(service, output, resume=True)
    assert report.complete
    assert report.done + report.skipped == 30
    assert await rows_done(service) == 30


@pytest.mark.slow
async def test_cancel_keeps_what_was_answered_and_the_rest_is_done_by_another_run(output):
    service = Eavesdropper(batch_timing=BatchTiming(request_s=600.0))
    async with job_on(service, output, limits=BatchLimits()) as job:

        def look(number, request):
            if service.calls["batches.retrieve"] == 25:
                job.cancel()

        service.after = look
        report = await job.run()
    assert report.stopped == "cancelled"
    assert 0 < report.done < 30
    assert report.remaining == 30 - report.done
    assert read_status(output).in_batches == 0
    assert [b.status for b in await batches(service)] == ["cancelled"]
    service.after = None
    again = await run(service, output, resume=True)
    assert again.complete
    assert (again.done, again.skipped) == (report.remaining, report.done)
    assert await rows_done(service) == 30


async def test_a_job_can_be_cancelled_from_outside_by_its_output_alone(output):
    service = Eavesdropper(batch_timing=BatchTiming(request_s=600.0))
    client = AsyncClient(backend=service)
    async with job_on(service, output) as job, anyio.create_task_group() as tasks:
        tasks.start_soon(job.run)
        await service.looked_at.wait()
        cancelled = await cancel_batches(output, client)
    assert {b.status for b in cancelled} == {"cancelling"}
    assert job.report.stopped == "cancelled"


async def test_cancelling_a_job_that_does_not_exist_is_an_error(output):
    with pytest.raises(errors.DatasetError, match="This job does not exist"):
        await cancel_batches(output, AsyncClient(backend=MemoryBackend()))


async def test_batches_under_way_are_not_forgotten_by_a_live_run(output):
    service = Eavesdropper()
    async with job_on(service, output) as job, anyio.create_task_group() as tasks:
        tasks.start_soon(job.run)
        await service.looked_at.wait()
        job.stop()
    with pytest.raises(errors.ConfigurationError, match="mode='batch'"):
        await run(service, output, mode="live", resume=True)


# --- in time, and within the budget ---


async def test_a_webhook_saves_the_wait_for_the_next_look(output):
    service = Eavesdropper()
    job = job_on(service, output, PROMPTS[:1], poll_interval=86400.0)
    async with job, anyio.create_task_group() as tasks:

        async def webhook():
            await service.clock.sleep(3600.0)
            job.poll_now()

        def once(number, request):
            if request.operation == "batches.create":
                tasks.start_soon(webhook)

        service.after = once
        tasks.start_soon(job.run)
    assert job.report.done == 1
    assert job.report.elapsed < 4000


async def test_auto_takes_back_what_the_deadline_cannot_wait_for(output):
    service = Eavesdropper(batch_timing=BatchTiming(request_s=600.0))
    report = await run(service, output, mode="auto", deadline=4 * 3600.0, limits=BatchLimits())
    assert report.complete
    assert (report.done, report.failed) == (30, 0)
    by_batch = await rows_done(service)
    assert 0 < by_batch < 30
    assert service.calls["completions.create"] == 30 - by_batch
    assert report.elapsed < 4 * 3600


async def test_auto_sends_all_live_where_the_deadline_is_short(output):
    service = Eavesdropper()
    report = await run(service, output, mode="auto", deadline=600.0)
    assert (report.done, service.calls["completions.create"]) == (30, 30)
    assert not await batches(service)


async def test_auto_waits_for_batches_where_there_is_no_deadline(output):
    service = Eavesdropper()
    report = await run(service, output, mode="auto")
    assert (report.done, service.calls["completions.create"]) == (30, 0)


@pytest.mark.slow
async def test_a_deadline_leaves_the_batches_for_another_run(output):
    service = Eavesdropper(batch_timing=BatchTiming(request_s=600.0))
    report = await run(service, output, deadline=600.0)
    assert report.stopped == "deadline"
    assert (await run(service, output, resume=True)).complete
    assert await rows_done(service) == 30


@pytest.mark.slow
async def test_nothing_is_sent_that_could_break_the_budget(output):
    service = Eavesdropper()
    budget = Budget(tokens=400)
    report = await run(service, output, budget=budget, limits=BatchLimits(requests=2))
    assert report.stopped == "budget"
    assert 0 < report.usage.total <= 400
    assert await rows_done(service) == report.done
