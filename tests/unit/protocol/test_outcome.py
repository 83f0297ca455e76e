"""One function decides whether an answer is a success."""

import pytest

from tunesmith.protocol.outcome import find_answer_error

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


@pytest.mark.parametrize(
    ("body", "code", "message", "status"),
    [
        ({"error": {"code": 429, "message": "slow down"}}, "429", "slow down", 429),
        ({"error": {"code": "502", "message": "gone"}, "choices": []}, "502", "gone", 502),
        ({"error": {"type": "invalid_request_error", "message": "no"}}, None, "no", 400),
        ({"error": {"code": "rate_limit_exceeded"}}, "rate_limit_exceeded", "no reason", 429),
        ({"error": "overloaded"}, "error", "overloaded", 500),
        ({"object": "error", "message": "no", "code": 400}, "400", "no", 400),
        ({"choices": None, "error": {"message": "Internal"}}, None, "Internal", 500),
        ({"choices": [{"error": {"code": 502, "message": "gone"}}]}, "502", "gone", 502),
        ({"choices": [{"finish_reason": "error"}]}, "error", "ended with an error", 500),
        ({"choices": []}, "invalid_answer", "no choices", 500),
        ({"choices": "none"}, "invalid_answer", "no choices", 500),
        ({"detail": "Not Found"}, "invalid_answer", "Not Found", 500),
        ({}, "invalid_answer", "no choices", 500),
        ("overloaded", "invalid_answer", "not a JSON object", 500),
        ([GOOD], "invalid_answer", "not a JSON object", 500),
        (None, "invalid_answer", "not JSON", 500),
    ],
)
def test_an_error_beside_200_is_an_error_with_the_words_of_the_service(body, code, message, status):
    error = find_answer_error(CHAT, 200, body)
    assert error is not None
    assert code is None or error.code == code
    assert message in error.message
    assert error.status == status


@pytest.mark.parametrize(("status", "meant"), [(0, 500), (302, 302), (404, 404), (503, 503)])
@pytest.mark.parametrize("body", [GOOD, {}, None])
def test_no_other_status_than_2xx_is_a_success(status, meant, body):
    error = find_answer_error(CHAT, status, body)
    assert error is not None
    assert error.status == meant


def test_a_response_that_failed_is_no_success():
    error = find_answer_error("responses.create", 200, {"status": "failed", "output": []})
    assert error is not None
    assert error.status == 500


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
