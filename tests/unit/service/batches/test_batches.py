"""Batches process their requests over virtual time."""

import json

import anyio
import anyio.lowlevel
import pytest

from tunesmith.service.batches.sending import BatchTiming
from tunesmith.service.service import Service

pytestmark = pytest.mark.anyio

TIMING = BatchTiming()
DAY_S = 24 * 3600


def line(number, **body):
    """A request for a completion."""
    return {
        "custom_id": f"row-{number}",
        "method": "POST",
        "url": "/v1/completions",
        "body": {"model": "davinci-002", "prompt": f"Row {number}", "max_tokens": 2, **body},
    }


class Batches:
    """Client that creates batches and reads their files."""

    def __init__(self, api):
        self.api = api

    async def create(self, *lines, endpoint="/v1/completions", **parameters):
        content = b"\n".join(x if isinstance(x, bytes) else json.dumps(x).encode() for x in lines)
        return await self.create_from(self.api.file(content), endpoint=endpoint, **parameters)

    async def create_from(self, file_id, *, endpoint="/v1/completions", **parameters):
        request = {"input_file_id": file_id, "endpoint": endpoint, "completion_window": "24h"}
        return await self.api.post("/batches", **request, **parameters)

    async def after(self, seconds, batch):
        self.api.service.clock.jump(seconds)
        return await self.api.get(f"/batches/{batch['id']}")

    async def rows(self, file_id):
        _, _, content = await self.api.send("GET", f"/files/{file_id}/content")
        rows = [json.loads(row) for row in content.splitlines()]
        return {row["custom_id"]: row for row in rows}


@pytest.fixture
def batches(api):
    return Batches(api)


async def test_a_batch_begins_by_validating(batches, service):
    batch = await batches.create(line(1), metadata={"topic": "duty"})
    now = int(service.clock.time())
    assert batch["id"].startswith("batch_")
    assert batch["object"] == "batch"
    assert batch["status"] == "validating"
    assert batch["created_at"] == now
    assert batch["expires_at"] == now + DAY_S
    assert batch["request_counts"] == {"total": 0, "completed": 0, "failed": 0}
    assert batch["metadata"] == {"topic": "duty"}
    nulls = {name for name, value in batch.items() if value is None}
    assert {"errors", "output_file_id", "error_file_id", "in_progress_at", "completed_at"} <= nulls


async def test_a_batch_passes_through_its_states_over_time(batches):
    batch = await batches.create(*map(line, range(10)))
    began = batch["created_at"]
    states = []
    for _ in range(40):
        batch = await batches.after(1, batch)
        counts = batch["request_counts"]
        states.append((batch["status"], counts["total"], counts["completed"]))
    assert states == [
        *[("validating", 0, 0)] * 4,
        *[("in_progress", 10, done) for done in range(10)],
        *[("finalizing", 10, 10)] * 5,
        *[("completed", 10, 10)] * 21,
    ]
    assert batch["in_progress_at"] == began + TIMING.validating_s
    assert batch["finalizing_at"] == began + TIMING.validating_s + 10 * TIMING.request_s
    assert batch["completed_at"] == batch["finalizing_at"] + TIMING.finalizing_s
    assert batch["model"] == "davinci-002"


async def test_the_state_depends_on_the_time_not_on_polling(api_of):
    """A batch that nobody looked at has the same times and files as one watched all along."""
    results = []
    for steps in (1, 60):
        batches = Batches(api_of(Service(seed=1)))
        batch = await batches.create(*map(line, range(7)))
        for _ in range(steps):
            batch = await batches.after(60 / steps, batch)
        rows = await batches.rows(batch["output_file_id"])
        results.append((batch, list(rows), [row["response"]["body"] for row in rows.values()]))
    assert results[0] == results[1]
    assert results[0][0]["status"] == "completed"


async def test_the_output_has_a_row_for_each_line_in_any_order(batches):
    batch = await batches.create(*map(line, range(20)))
    batch = await batches.after(60, batch)
    rows = await batches.rows(batch["output_file_id"])
    assert set(rows) == {f"row-{number}" for number in range(20)}
    assert list(rows) != [f"row-{number}" for number in range(20)]
    row = rows["row-3"]
    assert row["id"].startswith("batch_req_")
    assert row["error"] is None
    assert row["response"]["status_code"] == 200
    assert row["response"]["request_id"].startswith("req_")
    assert row["response"]["body"]["object"] == "text_completion"
    assert batch["error_file_id"] is None


async def test_a_line_is_processed_like_a_single_request(batches, api):
    asked = line(1, seed=4, logprobs=1)
    batch = await batches.after(60, await batches.create(asked))
    row = (await batches.rows(batch["output_file_id"]))["row-1"]
    alone = await api.post("/completions", **asked["body"])
    assert row["response"]["body"]["choices"] == alone["choices"]
    assert row["response"]["body"]["usage"] == alone["usage"]


async def test_output_files_are_ordinary_files(batches, api):
    batch = await batches.after(60, await batches.create(line(1)))
    file = await api.get(f"/files/{batch['output_file_id']}")
    assert file["purpose"] == "batch_output"
    assert file["filename"] == f"{batch['id']}_output.jsonl"
    assert file["created_at"] == batch["completed_at"]
    assert "expires_at" not in file


async def test_output_files_expire_if_requested(batches, api):
    expiry = {"anchor": "created_at", "seconds": 3600}
    batch = await batches.create(line(1), output_expires_after=expiry)
    batch = await batches.after(60, batch)
    file = await api.get(f"/files/{batch['output_file_id']}")
    assert file["expires_at"] == batch["completed_at"] + 3600
    await batches.after(3600, batch)
    assert (await api.send("GET", f"/files/{file['id']}"))[0] == 404


async def test_failures_are_in_the_error_file(batches):
    batch = await batches.create(line(1), line(2, temperature=9), line(3, stream=True))
    batch = await batches.after(60, batch)
    assert batch["status"] == "completed"
    assert batch["request_counts"] == {"total": 3, "completed": 2, "failed": 1}
    assert set(await batches.rows(batch["output_file_id"])) == {"row-1", "row-3"}
    (row,) = (await batches.rows(batch["error_file_id"])).values()
    assert row["custom_id"] == "row-2"
    assert row["response"]["status_code"] == 400
    assert row["response"]["body"]["error"]["param"] == "temperature"
    assert row["error"] is None


async def test_a_batch_of_failures_has_no_output_file(batches):
    batch = await batches.after(60, await batches.create(line(1, temperature=9)))
    assert batch["status"] == "completed"
    assert batch["output_file_id"] is None
    assert batch["error_file_id"] is not None


async def test_usage_is_the_sum_of_the_rows(batches):
    batch = await batches.after(60, await batches.create(*map(line, range(3))))
    rows = (await batches.rows(batch["output_file_id"])).values()
    used = [row["response"]["body"]["usage"] for row in rows]
    assert batch["usage"]["input_tokens"] == sum(each["prompt_tokens"] for each in used)
    assert batch["usage"]["output_tokens"] == sum(each["completion_tokens"] for each in used)
    assert batch["usage"]["total_tokens"] == sum(each["total_tokens"] for each in used)


@pytest.mark.parametrize(
    ("endpoint", "body", "kind"),
    [
        (
            "/v1/chat/completions",
            {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hi"}]},
            "chat.completion",
        ),
        ("/v1/embeddings", {"model": "text-embedding-3-small", "input": "Hi"}, "list"),
        ("/v1/responses", {"model": "gpt-4o-mini", "input": "Hi"}, "response"),
    ],
)
async def test_batches_support_other_endpoints(batches, endpoint, body, kind):
    row = {"custom_id": "a", "method": "POST", "url": endpoint, "body": body}
    batch = await batches.after(60, await batches.create(row, endpoint=endpoint))
    answered = (await batches.rows(batch["output_file_id"]))["a"]
    assert answered["response"]["body"]["object"] == kind
    assert batch["usage"]["total_tokens"] > 0


async def test_a_cancelled_request_does_not_affect_the_batch(api_of):
    """Reading takes a batch forward; cancelled half-way, the next reader goes on."""
    batches = Batches(api_of(Service(seed=1)))
    batch = await batches.create(*map(line, range(5)))
    batches.api.service.clock.jump(60)
    done = False

    async def read():
        nonlocal done
        await batches.api.get(f"/batches/{batch['id']}")
        done = True

    for checkpoints in range(500):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(read)
            for _ in range(checkpoints):
                await anyio.lowlevel.checkpoint()
            tasks.cancel_scope.cancel()
        if done:
            break
    batch = await batches.after(0, batch)
    assert batch["status"] == "completed"
    assert batch["completed_at"] == batch["finalizing_at"] + TIMING.finalizing_s
    assert batch["request_counts"] == {"total": 5, "completed": 5, "failed": 0}
    assert len(await batches.rows(batch["output_file_id"])) == 5


# What is wrong with a file shows when it is read.


@pytest.mark.parametrize(
    ("lines", "code", "number", "param"),
    [
        ([b""], "empty_file", None, None),
        ([line(1), b"{oh"], "invalid_json_line", 2, None),
        ([b"", b"[1]"], "invalid_json_line", 2, None),
        ([line(1), line(1)], "duplicate_custom_id", 2, "custom_id"),
        ([{**line(1), "url": "/v1/embeddings"}], "url_mismatch", 1, "url"),
        ([{**line(1), "url": "completions"}], "invalid_url", 1, "url"),
        ([{**line(1), "method": "GET"}], "invalid_method", 1, "method"),
        ([line(1), line(2, model="babbage-002")], "model_mismatch", 2, "body.model"),
        ([line(1, model="nobody")], "model_not_found", 1, "body.model"),
        ([line(1, model=None)], "missing_required_parameter", 1, "body.model"),
        ([{**line(1), "custom_id": None}], "missing_required_parameter", 1, "custom_id"),
        ([{**line(1), "body": "x"}], "invalid_type", 1, "body"),
    ],
)
async def test_an_invalid_line_fails_the_batch(batches, lines, code, number, param):
    batch = await batches.create(*lines)
    assert batch["status"] == "validating"
    batch = await batches.after(TIMING.validating_s, batch)
    assert batch["status"] == "failed"
    assert batch["failed_at"] == batch["created_at"] + TIMING.validating_s
    assert batch["errors"]["object"] == "list"
    (error,) = batch["errors"]["data"]
    assert error["message"]
    assert (error["code"], error["line"], error["param"]) == (code, number, param)
    assert batch["output_file_id"] is batch["error_file_id"] is batch["in_progress_at"] is None


async def test_all_invalid_lines_are_listed(batches):
    batch = await batches.create(line(1), b"{", line(1), {**line(2), "url": "/v1/embeddings"})
    batch = await batches.after(60, batch)
    assert [error["line"] for error in batch["errors"]["data"]] == [2, 3, 4]


@pytest.mark.slow
async def test_more_than_fifty_thousand_lines_are_too_many(batches):
    batch = await batches.create(*[json.dumps(line(n)).encode() for n in range(50_001)])
    batch = await batches.after(60, batch)
    assert [error["code"] for error in batch["errors"]["data"]] == ["too_many_tasks"]


async def test_a_deleted_input_file_fails_the_batch(batches, api):
    batch = await batches.create(line(1))
    await api.delete(f"/files/{batch['input_file_id']}")
    batch = await batches.after(60, batch)
    assert batch["status"] == "failed"
    assert batch["errors"]["data"][0]["param"] == "input_file_id"


@pytest.mark.parametrize("purpose", ["fine-tune", None])
async def test_a_file_of_another_purpose_is_refused(api, purpose):
    file_id = "file-nobody" if purpose is None else api.file(b"{}", purpose=purpose)
    status, error = await api.fail(
        "/batches", input_file_id=file_id, endpoint="/v1/completions", completion_window="24h"
    )
    assert status in {400, 404}
    assert file_id in error["message"]


async def test_completion_windows_other_than_a_day_are_refused(api):
    status, error = await api.fail(
        "/batches",
        input_file_id=api.file(b"{}"),
        endpoint="/v1/completions",
        completion_window="1h",
    )
    assert (status, error["param"]) == (400, "completion_window")


# Ending early.


async def test_a_cancelled_batch_keeps_its_responses(batches, api):
    batch = await batches.create(*map(line, range(10)))
    await batches.after(TIMING.validating_s + 4 * TIMING.request_s, batch)
    batch = await api.post(f"/batches/{batch['id']}/cancel")
    assert batch["status"] == "cancelling"
    assert batch["cancelling_at"] == batch["in_progress_at"] + 4
    batch = await batches.after(TIMING.cancelling_s, batch)
    assert batch["status"] == "cancelled"
    assert batch["cancelled_at"] == batch["cancelling_at"] + TIMING.cancelling_s
    assert batch["request_counts"] == {"total": 10, "completed": 4, "failed": 0}
    assert len(await batches.rows(batch["output_file_id"])) == 4
    undone = await batches.rows(batch["error_file_id"])
    assert {row["error"]["code"] for row in undone.values()} == {"batch_cancelled"}
    assert len(undone) == 6
    assert await batches.after(2 * DAY_S, batch) == batch


async def test_a_batch_cancelled_while_validating_has_no_files(batches, api):
    batch = await batches.create(line(1))
    await api.post(f"/batches/{batch['id']}/cancel")
    batch = await batches.after(TIMING.cancelling_s, batch)
    assert batch["status"] == "cancelled"
    assert batch["output_file_id"] is batch["error_file_id"] is batch["usage"] is None


async def test_an_ended_batch_cannot_be_cancelled(batches, api):
    batch = await batches.after(60, await batches.create(line(1)))
    status, error = await api.fail(f"/batches/{batch['id']}/cancel")
    assert status == 409
    assert error["message"] == "Cannot cancel a batch with status 'completed'."


async def test_a_batch_expires_after_a_day_and_keeps_its_responses(api_of):
    service = Service(batch_timing=BatchTiming(request_s=6 * 3600.0))
    batches = Batches(api_of(service))
    batch = await batches.create(*map(line, range(10)))
    batch = await batches.after(DAY_S - 1, batch)
    assert batch["status"] == "in_progress"
    batch = await batches.after(1, batch)
    assert batch["status"] == "expired"
    assert batch["expired_at"] == batch["expires_at"]
    assert batch["request_counts"] == {"total": 10, "completed": 3, "failed": 0}
    assert len(await batches.rows(batch["output_file_id"])) == 3
    undone = await batches.rows(batch["error_file_id"])
    assert {row["error"]["code"] for row in undone.values()} == {"batch_expired"}
    assert all(row["response"] is None for row in undone.values())
    assert await batches.after(DAY_S, batch) == batch


# Looking up.


async def test_the_list_is_newest_first_and_by_pages(batches, api):
    ids = [(await batches.create(line(n)))["id"] for n in range(3)]
    first = await api.get("/batches", limit="2")
    assert [batch["id"] for batch in first["data"]] == ids[:0:-1]
    assert (first["has_more"], first["first_id"], first["last_id"]) == (True, ids[2], ids[1])
    rest = await api.get("/batches", after=first["last_id"])
    assert [batch["id"] for batch in rest["data"]] == [ids[0]]
    assert rest["has_more"] is False


async def test_an_unknown_batch_is_404(api):
    status, _, content = await api.send("GET", "/batches/batch_nobody")
    assert status == 404
    assert json.loads(content)["error"]["message"] == "No batch found with id 'batch_nobody'."
