"""Provider batches whose answers are late, incomplete, damaged, doubled or gone."""

import json
from collections import Counter
from contextlib import asynccontextmanager
from itertools import count

import pytest

from tunesmith import AsyncClient
from tunesmith.batch import BatchJob, BatchLimits, Budget
from tunesmith.clock import VirtualClock
from tunesmith.errors import BackendError
from tunesmith.protocol.message import Response

pytestmark = pytest.mark.anyio

PROMPTS = [f"p{i}" for i in range(6)]


class Provider:
    """Batch API in virtual time: each batch is over when it is first retrieved.

    `edit(batch, looks)` changes a batch as it is retrieved, `results` writes its output file,
    `intercept(operation)` may raise instead of a response, after the request took effect.
    """

    def __init__(self, *, edit=None, results=None, intercept=None, call_s=0.0):
        self.clock = VirtualClock()
        self.edit = edit or (lambda batch, looks: batch)
        self.results = results or (lambda lines: [answer(line["custom_id"]) for line in lines])
        self.intercept = intercept or (lambda operation: None)
        self.call_s = call_s
        self.numbers = count(1)
        self.files = {}
        self.batches = {}
        self.looks = Counter()
        self.calls = Counter()
        self.in_progress = self.max_in_progress = 0
        self.listed_after = 0

    @asynccontextmanager
    async def send(self, request):
        self.calls[request.operation] += 1
        self.in_progress += 1
        self.max_in_progress = max(self.in_progress, self.max_in_progress)
        try:
            if self.call_s:
                await self.clock.sleep(self.call_s)
            body = b"".join([chunk async for chunk in request.chunks()])
            handle = getattr(self, request.operation.replace(".", "_"))
            answer = handle(request.path.split("/")[2:], body)
            self.intercept(request.operation)
        finally:
            self.in_progress -= 1
        content = json.dumps(answer).encode() if isinstance(answer, dict) else answer
        yield Response(404 if content is None else 200, {}, chunks(content or b"{}"))

    def files_create(self, _, body):
        file_id = f"file-{next(self.numbers)}"
        found = [line for line in body.split(b"\n") if line.startswith(b'{"custom_id"')]
        self.files[file_id] = b"\n".join(found)
        return {"id": file_id, "object": "file", "purpose": "batch", "filename": "x"}

    def files_list(self, _, __):
        return {"object": "list", "data": [], "has_more": False}

    def files_content(self, path, _):
        return self.files.get(path[0])

    def files_delete(self, path, _):
        return {"id": path[0], "deleted": self.files.pop(path[0], None) is not None}

    def batches_create(self, _, body):
        operation = json.loads(body)
        batch_id = f"batch_{next(self.numbers)}"
        lines = [json.loads(line) for line in self.files[operation["input_file_id"]].splitlines()]
        results = self.results(lines)
        self.files[f"out-{batch_id}"] = b"".join(line + b"\n" for line in results)
        self.batches[batch_id] = operation | {
            "id": batch_id,
            "created_at": int(self.clock.time()),
            "status": "completed",
            "output_file_id": f"out-{batch_id}",
            "request_counts": {"total": len(lines), "completed": len(results), "failed": 0},
        }
        return self.batches[batch_id] | {"status": "in_progress"}

    def batches_list(self, _, __):
        is_late = self.calls["batches.list"] <= self.listed_after
        data = [] if is_late else list(reversed(self.batches.values()))
        return {"object": "list", "data": data, "has_more": False}

    def batches_retrieve(self, path, _):
        self.looks[path[0]] += 1
        batch = self.batches.get(path[0])
        return batch and self.edit(dict(batch), self.looks[path[0]])

    def batches_cancel(self, path, _):
        self.batches[path[0]]["status"] = "cancelled"
        return self.batches[path[0]]

    async def aclose(self):
        pass


async def chunks(content):
    yield content


def answer(key):
    body = {"choices": [{"text": f"answer to {key}"}]}
    body["usage"] = {"prompt_tokens": 3, "completion_tokens": 4}
    response = {"status_code": 200, "request_id": "r", "body": body}
    return json.dumps({"custom_id": key, "response": response, "error": None}).encode()


@pytest.fixture
def output(tmp_path):
    return tmp_path / "answers.jsonl"


def job_on(provider, output, rows=PROMPTS, **options):
    options = {"model": "m", "mode": "batch", "params": {"max_tokens": 9}} | options
    return BatchJob(rows, output, client=AsyncClient(backend=provider), **options)


async def run(provider, output, rows=PROMPTS, **options):
    async with job_on(provider, output, rows, **options) as job:
        return await job.run()


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def errors_of(output):
    return [line["error"] for line in lines(output.with_name("answers.errors.jsonl"))]


# --- pace ---


async def test_calls_for_several_batches_overlap_within_a_bound(output):
    provider = Provider(call_s=1.0)
    rows = [f"p{i}" for i in range(24)]
    report = await run(provider, output, rows, limits=BatchLimits(requests=1))
    assert report.done == 24
    assert 4 <= provider.max_in_progress <= 8
    assert report.elapsed < sum(provider.calls.values()) / 3


# --- results that are late or incomplete ---


@pytest.mark.parametrize("file_id", [None, ""])
async def test_a_result_file_that_is_named_late_is_waited_for(output, file_id):
    def edit(batch, looks):
        return batch | ({"output_file_id": file_id} if looks < 3 else {})

    provider = Provider(edit=edit)
    report = await run(provider, output)
    assert (report.done, report.failed, len(provider.batches)) == (6, 0, 1)


@pytest.mark.parametrize("claimed", [6, 4])
async def test_rows_whose_results_never_come_fail_by_name_after_bounded_looks(output, claimed):
    def edit(batch, _):
        counts = {"total": 6, "completed": claimed, "failed": 0}
        return batch | {"request_counts": counts}

    provider = Provider(edit=edit, results=lambda rows: [answer(r["custom_id"]) for r in rows[:3]])
    report = await run(provider, output)
    assert (report.done, report.failed) == (3, 3)
    assert len(provider.batches) == 1
    assert provider.calls["batches.retrieve"] <= 10
    for error in errors_of(output):
        assert error["code"] == "result_missing"
        assert f"reports {claimed} results and its files hold 3" in error["message"]
        assert "(--retry-failed)" in error["message"]
    assert report.perhaps_paid.total > 0


async def test_rows_in_no_file_are_sent_again_up_to_max_retries(output):
    provider = Provider(results=lambda rows: [answer(r["custom_id"]) for r in rows[:1]])
    report = await run(provider, output, max_retries=2)
    assert (report.done, report.failed, len(provider.batches)) == (3, 3, 3)
    assert {error["code"] for error in errors_of(output)} == {"result_missing"}
    assert {error["attempts"] for error in errors_of(output)} == {3}


async def test_rows_that_are_sent_again_ask_the_budget(output):
    provider = Provider(results=lambda _: [])
    report = await run(provider, output, max_retries=50, budget=Budget(tokens=1000))
    assert report.stopped == "budget"
    assert report.usage.total + report.perhaps_paid.total <= 1000
    assert report.done == 0


# --- results that are damaged or gone ---


@pytest.mark.parametrize("keeps_key", [True, False])
async def test_a_line_that_cannot_be_read_costs_its_row_alone(output, keeps_key):
    def results(rows):
        written = [answer(row["custom_id"]) for row in rows]
        written[2] = written[2][:60] if keeps_key else b'{"id":'
        return written

    report = await run(Provider(results=results), output)
    assert (report.done, report.failed) == (5, 1)
    [error] = errors_of(output)
    assert error["code"] == "unreadable_result"
    assert "line 3 of batch_2 cannot be read" in error["message"]


@pytest.mark.parametrize(
    "change",
    [
        {"response": {"status_code": "200", "body": {"choices": [{"text": "a"}]}}},
        {"response": {"status_code": 200, "body": '{"choices": [{"text": "a"}]}'}},
        {"error": {}},
        {"custom_id": 0},
    ],
)
async def test_a_result_with_a_field_of_another_type_is_an_answer(output, change):
    provider = Provider(
        results=lambda found: [json.dumps(json.loads(answer("0")) | change).encode()]
    )
    report = await run(provider, output, [{"custom_id": "0", "prompt": "p"}])
    assert (report.done, report.failed, len(provider.batches)) == (1, 0, 1)


async def test_errors_of_a_rejected_batch_of_another_type_fail_its_rows_alone(output):
    odd = {"status": "failed", "output_file_id": None, "errors": [{"code": "x"}]}
    report = await run(Provider(edit=lambda batch, looks: batch | odd), output)
    assert (report.failed, report.stopped) == (6, None)


async def test_a_batch_that_is_gone_costs_its_rows_alone_until_they_are_retried(output):
    provider = Provider()

    def lose(batch, looks):
        return None if batch["metadata"]["tunesmith_shard"] == "1" else batch

    provider.edit = lose
    report = await run(provider, output, limits=BatchLimits(requests=3))
    assert (report.done, report.failed) == (3, 3)
    assert {error["code"] for error in errors_of(output)} == {"batch_gone"}
    assert all("(--retry-failed)" in error["message"] for error in errors_of(output))
    report = await run(provider, output, resume=True, retry_failed=True)
    assert (report.done, report.skipped, report.failed) == (3, 3, 0)


async def test_a_result_file_that_is_gone_costs_its_rows_alone(output):
    def edit(batch, _):
        provider.files.pop(batch["output_file_id"], None)
        return batch

    provider = Provider(edit=edit)
    report = await run(provider, output)
    assert report.failed == 6
    assert {error["code"] for error in errors_of(output)} == {"batch_gone"}


# --- batches of earlier runs, and duplicates ---


async def test_batches_of_earlier_runs_are_collected_like_own_ones(output):
    provider = Provider(edit=lambda batch, _: batch | {"status": "in_progress"})
    limits = BatchLimits(requests=3)
    first = await run(provider, output, deadline=60.0, limits=limits)
    assert (first.stopped, first.in_batches, first.done) == ("deadline", 6, 0)
    provider.edit = lambda batch, _: batch
    report = await run(provider, output, [*PROMPTS, "new"], resume=True)
    assert (report.done, report.failed, len(provider.batches)) == (7, 0, 3)


@pytest.mark.parametrize("late", [1, 5, 7, 8])
async def test_a_batch_whose_creation_was_not_answered_is_looked_up_over_time(output, late):
    """A list that is late longer than that makes a duplicate: it is cancelled and named."""
    lost = []

    def intercept(operation):
        if operation == "batches.create" and not lost:
            lost.append(operation)
            raise BackendError("connection lost", phase="read")

    def edit(batch, looks):
        is_over = looks > 1 or batch["status"] == "cancelled"
        return batch if is_over else batch | {"status": "in_progress"}

    provider = Provider(intercept=intercept, edit=edit)
    provider.listed_after = late
    report = await run(provider, output)
    assert (report.done, report.failed) == (6, 0)
    duplicates = [b["id"] for b in provider.batches.values() if b["status"] == "cancelled"]
    assert len(provider.batches) - len(duplicates) == 1
    assert list(report.duplicate_batches) == duplicates
    assert len(duplicates) == (late >= 7)
    assert all(batch_id in str(report) for batch_id in duplicates)


# --- files at the service ---


@pytest.mark.parametrize("keep_files", [False, True])
async def test_files_are_deleted_when_they_are_collected_unless_they_are_kept(output, keep_files):
    provider = Provider()
    await run(provider, output, limits=BatchLimits(requests=3), keep_files=keep_files)
    assert len(provider.files) == (4 if keep_files else 0)


async def test_files_that_cannot_be_deleted_are_no_failure(output):
    def intercept(operation):
        if operation == "files.delete":
            raise BackendError("connection lost", phase="read")

    report = await run(Provider(intercept=intercept), output)
    assert (report.done, report.stopped) == (6, None)
