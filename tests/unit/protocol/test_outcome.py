"""One function decides whether an answer is a success."""

import pytest

from tunesmith.protocol.outcome import AnswerError, find_answer_error

CHAT = "chat.completions.create"
GOOD = {"choices": [{"index": 0, "message": {"content": "hi"}, "finish_reason": "stop"}]}


@pytest.mark.parametrize(
    ("operation", "body"),
    [
        (CHAT, GOOD),
        (CHAT, GOOD | {"error": None}),
        (CHAT, GOOD | {"error": {}}),
        ("completions.create", {"choices": [{"text": ""}]}),
        ("embeddings.create", {"data": []}),
        ("responses.create", {"output": [], "status": "incomplete", "error": None}),
        ("moderations.create", {"results": []}),
    ],
)
@pytest.mark.parametrize("status", [200, 201])
def test_good_answers_are_left_alone(operation, body, status):
    assert find_answer_error(operation, status, body) is None


NO_REASON = "the service gives no reason"


@pytest.mark.parametrize(
    ("body", "code", "message", "status"),
    [
        ({"error": {"code": 429, "message": "slow down"}}, "429", "slow down", 429),
        ({"error": {"code": "502", "message": "gone"}, "choices": []}, "502", "gone", 502),
        (
            {"error": {"type": "invalid_request_error", "message": "no"}},
            "invalid_request_error",
            "no",
            400,
        ),
        (
            {"error": {"type": "invalid_request_error", "code": "no_model", "message": "no"}},
            "no_model",
            "no",
            400,
        ),
        ({"error": {"code": "rate_limit_exceeded"}}, "rate_limit_exceeded", NO_REASON, 429),
        ({"error": {"code": "bad"}}, "bad", NO_REASON, 500),
        ({"error": {"code": 600}}, "600", NO_REASON, 500),
        ({"error": "overloaded"}, "error", "overloaded", 500),
        ({"object": "error", "message": "no", "code": 400}, "400", "no", 400),
        ({"choices": None, "error": {"message": "Internal"}}, "status_500", "Internal", 500),
        ({"id": "chatcmpl-1", "error": {"message": "Internal"}}, "status_500", "Internal", 500),
        ({"choices": [{"error": {"code": 502, "message": "gone"}}]}, "502", "gone", 502),
        ({"choices": [{"finish_reason": "error"}]}, "error", "the model ended with an error", 500),
        ({"choices": []}, "invalid_answer", "the answer has no choices", 500),
        ({"choices": "none"}, "invalid_answer", "the answer has no choices", 500),
        ({"detail": "Not Found"}, "invalid_answer", "Not Found", 500),
        ({"message": "no route"}, "invalid_answer", "no route", 500),
        ({}, "invalid_answer", "the answer has no choices", 500),
        ("overloaded", "invalid_answer", "the answer is not a JSON object", 500),
        ([GOOD], "invalid_answer", "the answer is not a JSON object", 500),
        (None, "invalid_answer", "the answer is not JSON", 500),
        ({"error": "x" * 3000}, "error", "x" * 2000, 500),
    ],
)
def test_an_error_beside_200_is_an_error_with_the_words_of_the_service(body, code, message, status):
    assert find_answer_error(CHAT, 200, body) == AnswerError(code, message, status)


@pytest.mark.parametrize("operation", ["models.retrieve", "moderations.create"])
def test_an_answer_of_any_operation_must_have_fields(operation):
    empty = AnswerError("invalid_answer", "the answer is empty", 500)
    assert find_answer_error(operation, 200, {}) == empty


def test_a_failed_job_is_a_good_answer():
    """Its status and its error are fields of the job, unlike an error without an ID."""
    job = {"id": "ftjob-1", "status": "failed", "error": {"message": "too few rows"}}
    assert find_answer_error("fine_tuning.jobs.retrieve", 200, job) is None
    del job["id"]
    error = find_answer_error("fine_tuning.jobs.retrieve", 200, job)
    assert error == AnswerError("status_500", "too few rows", 500)


@pytest.mark.parametrize(("status", "meant"), [(0, 500), (300, 300), (404, 404), (503, 503)])
@pytest.mark.parametrize("body", [GOOD, {}, None])
def test_no_other_status_than_2xx_is_a_success(status, meant, body):
    assert find_answer_error(CHAT, status, body) == AnswerError(
        f"status_{status}", NO_REASON, meant
    )


@pytest.mark.parametrize(("status", "meant"), [(0, 429), (200, 429), (503, 503)])
def test_an_error_status_counts_more_than_the_one_within_the_error(status, meant):
    error = find_answer_error(CHAT, status, {"error": {"message": "slow down", "code": 429}})
    assert error == AnswerError("429", "slow down", meant)


def test_a_response_that_failed_is_no_success():
    error = find_answer_error("responses.create", 200, {"status": "failed", "output": []})
    assert error == AnswerError("failed", NO_REASON, 500)


@pytest.mark.parametrize("body", [{"detail": "model is missing"}, {"message": "model is missing"}])
def test_the_words_beside_an_error_status_are_kept(body):
    error = find_answer_error(CHAT, 422, body)
    assert error is not None
    assert error.message == "model is missing"


@pytest.mark.parametrize("field", ["code", "status"])
def test_a_status_within_the_error_counts(field):
    error = find_answer_error(CHAT, 200, {"error": {"message": "slow down", field: 429}})
    assert error is not None
    assert error.status == 429
