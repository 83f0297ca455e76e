"""Batches and the lines of their files, as services answer them."""

import json
from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from tunesmith.types import Batch, BatchRequestLine, BatchResponseLine

TIMES = {
    "created_at": 1711471533,
    "in_progress_at": 1711471538,
    "expires_at": 1711557933,
    "finalizing_at": 1711493133,
    "completed_at": 1711493163,
    "failed_at": 1711493164,
    "expired_at": 1711493165,
    "cancelling_at": 1711493166,
    "cancelled_at": 1711493167,
}
BATCH = {
    "id": "batch_abc123",
    "object": "batch",
    "endpoint": "/v1/completions",
    "model": "davinci-002",
    "errors": None,
    "input_file_id": "file-abc123",
    "completion_window": "24h",
    "status": "completed",
    "output_file_id": "file-cvaTdG",
    "error_file_id": "file-HOWS94",
    **TIMES,
    "request_counts": {"total": 100, "completed": 95, "failed": 5},
    "usage": {
        "input_tokens": 1500,
        "input_tokens_details": {"cached_tokens": 1024},
        "output_tokens": 500,
        "output_tokens_details": {"reasoning_tokens": 300},
        "total_tokens": 2000,
    },
    "metadata": {"customer_id": "user_123456789"},
}


def batch(**changes):
    return Batch.model_validate({**BATCH, **changes})


def test_a_batch_loses_nothing_that_the_service_sent():
    assert batch().model_dump() == BATCH


@pytest.mark.parametrize(("name", "at"), TIMES.items())
def test_each_time_is_also_an_aware_datetime(name, at):
    assert getattr(batch(), name.removesuffix("_at") + "_datetime") == datetime.fromtimestamp(
        at, UTC
    )


def test_nulls_are_borne_everywhere_but_in_id_and_status():
    nulls = dict.fromkeys(BATCH) | {"id": "batch_1", "object": "batch", "status": "validating"}
    answered = Batch.model_validate(nulls)
    assert (answered.request_counts, answered.created_datetime) == (None, None)


@pytest.mark.parametrize("name", ["id", "status"])
def test_a_batch_needs_an_id_and_a_status(name):
    with pytest.raises(ValidationError, match=name):
        Batch.model_validate({k: v for k, v in BATCH.items() if k != name})


def test_an_output_file_may_be_an_empty_string():
    assert batch(output_file_id="").output_file_id == ""


@pytest.mark.parametrize(
    ("status", "over"),
    [
        ("validating", False),
        ("in_progress", False),
        ("finalizing", False),
        ("cancelling", False),
        ("a state of tomorrow", False),
        ("completed", True),
        ("failed", True),
        ("expired", True),
        ("cancelled", True),
    ],
)
def test_every_status_is_borne_and_known_to_be_over_or_not(status, over):
    assert batch(status=status).is_over is over


def test_a_failed_batch_says_which_lines_are_wrong():
    errors = {
        "object": "list",
        "data": [{"code": "invalid_json_line", "line": 3, "message": "no JSON", "param": None}],
    }
    answered = batch(status="failed", errors=errors).errors
    assert answered is not None
    assert (answered.data[0].code, answered.data[0].line) == ("invalid_json_line", 3)


@pytest.mark.parametrize("errors", [{}, {"object": "list", "data": None}])
def test_errors_may_be_empty(errors):
    answered = batch(errors=errors).errors
    assert answered is not None
    assert answered.data == []


def test_a_request_line_is_written_as_the_service_reads_it():
    line = BatchRequestLine(custom_id="a", url="/v1/completions", body={"prompt": "Space is"})
    assert json.loads(line.model_dump_json()) == {
        "custom_id": "a",
        "method": "POST",
        "url": "/v1/completions",
        "body": {"prompt": "Space is"},
    }


@pytest.mark.parametrize(
    ("name", "value"), [("method", "GET"), ("custom_id", None), ("body", "text"), ("url", 3)]
)
def test_a_wrong_request_line_is_refused_by_the_fields_name(name, value):
    line = {"custom_id": "a", "url": "/v1/completions", "body": {}, name: value}
    with pytest.raises(ValidationError) as refused:
        BatchRequestLine.model_validate(line)
    assert refused.value.errors()[0]["loc"] == (name,)


@pytest.mark.parametrize(
    ("response", "error", "success"),
    [
        ({"status_code": 200, "request_id": "req_1", "body": {"id": "cmpl-1"}}, None, True),
        ({"status_code": 400, "request_id": "", "body": {"error": {}}}, None, False),
        ({"status_code": 502, "body": "<html>"}, None, False),
        (None, {"code": "batch_expired", "message": "…"}, False),
        (None, None, False),
    ],
)
def test_a_response_line_is_a_success_only_if_it_was_answered(response, error, success):
    line = BatchResponseLine.model_validate(
        {"id": "batch_req_1", "custom_id": "a", "response": response, "error": error}
    )
    assert line.is_success is success
