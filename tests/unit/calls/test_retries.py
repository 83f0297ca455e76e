"""What is tried again, how often, and after what pause."""

import contextlib
import json
import logging
import re
from dataclasses import dataclass

import pytest
from tests.unit.calls.conftest import CALLS, HANG, Script, answer, refusal, retrieve_model

from tunesmith import errors
from tunesmith.errors import BackendError

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 599])
async def test_passing_failures_are_tried_again(status):
    backend = Script(refusal(status), answer())
    model = await backend.client().models.retrieve("ada")
    assert model.id == "ada"
    assert model.response.attempts == 2


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 422])
async def test_what_will_not_pass_is_not_tried_again(status):
    backend = Script(refusal(status))
    with pytest.raises(errors.APIStatusError) as caught:
        await backend.client().models.retrieve("ada")
    assert caught.value.status == status
    assert caught.value.attempts == 1
    assert caught.value.operation == "models.retrieve"


@pytest.mark.parametrize("status", [200, 299])
async def test_a_status_of_2xx_is_a_success(status):
    assert (await Script(answer(status=status)).client().models.retrieve("ada")).id == "ada"


async def test_any_other_status_is_an_error_whatever_the_body():
    with pytest.raises(errors.APIStatusError) as caught:
        await Script(answer(status=300)).client().models.retrieve("ada")
    assert caught.value.status == 300


@pytest.mark.parametrize("phase", ["connect", "connect_timeout", "write", "read", "timeout"])
async def test_a_connection_that_fails_is_tried_again(phase):
    backend = Script(BackendError("broken", phase=phase), answer())
    assert (await backend.client().models.retrieve("ada")).id == "ada"


async def test_a_closed_client_is_not_tried_again():
    backend = Script(BackendError("closed", phase="closed"))
    with pytest.raises(errors.APIConnectionError):
        await backend.client().models.retrieve("ada")


async def test_an_exhausted_quota_is_never_tried_again():
    """Waiting does not fill an account."""
    backend = Script(refusal(429, "insufficient_quota", retry_after="1"))
    with pytest.raises(errors.InsufficientQuotaError) as caught:
        await backend.client().models.retrieve("ada")
    assert not isinstance(caught.value, errors.RateLimitError)
    assert caught.value.code == "insufficient_quota"


async def test_pauses_double_and_chance_shortens_them_by_a_quarter_at_most():
    backend = Script(*[refusal(500)] * 6)
    with pytest.raises(errors.InternalServerError) as caught:
        await backend.client(max_retries=5).models.retrieve("ada")
    pauses = [b - a for a, b in zip(backend.times, backend.times[1:], strict=False)]
    for pause, longest in zip(pauses, [0.5, 1, 2, 4, 8], strict=True):
        assert 0.75 * longest <= pause <= longest
    assert caught.value.attempts == 6


@pytest.mark.parametrize(
    ("headers", "pause"),
    [
        ({"retry_after": "3"}, 3),
        ({"retry_after": "0.25"}, 0.25),
        ({"retry_after_ms": "1500", "retry_after": "60"}, 1.5),
        ({"retry_after": "Tue, 14 Nov 2023 22:14:20 GMT"}, 60),
    ],
)
async def test_the_pause_is_the_one_that_the_service_asks_for(headers, pause):
    backend = Script(refusal(429, **headers), answer())
    await backend.client().models.retrieve("ada")
    assert backend.times[1] - backend.times[0] == pytest.approx(pause)


@pytest.mark.parametrize("retry_after", ["121", "Tue, 14 Nov 2023 22:15:21 GMT"])
async def test_a_service_that_asks_for_more_than_two_minutes_is_not_waited_for(retry_after):
    backend = Script(refusal(429, retry_after=retry_after))
    with pytest.raises(errors.RateLimitError) as caught:
        await backend.client().models.retrieve("ada")
    assert caught.value.retry_after == 121


async def test_the_service_can_overrule_the_status():
    with pytest.raises(errors.InternalServerError):
        await Script(refusal(500, x_should_retry="false")).client().models.retrieve("ada")
    backend = Script(refusal(400, x_should_retry="true"), answer())
    assert (await backend.client().models.retrieve("ada")).id == "ada"


async def test_no_retries_if_none_are_wanted():
    backend = Script(refusal(503))
    with pytest.raises(errors.InternalServerError):
        await backend.client(max_retries=0).models.retrieve("ada")


async def test_a_timeout_counts_for_each_attempt():
    backend = Script(HANG, answer())
    await backend.client(timeout=10).models.retrieve("ada")
    assert 10.3 < backend.times[1] < 10.6


async def test_a_body_that_comes_too_slowly_is_a_timeout():
    backend = Script(answer([b'{"id":', 30.0, b'"ada"}']))
    with pytest.raises(errors.APITimeoutError, match="timeout of 10 s"):
        await backend.client(timeout=10, max_retries=0).models.retrieve("ada")
    assert backend.open == 0


async def test_a_body_that_breaks_off_is_tried_again():
    """Nothing of it was handed over yet."""
    broken = answer([b'{"id":', BackendError("reset", phase="read")])
    backend = Script(broken, answer())
    assert (await backend.client().models.retrieve("ada")).id == "ada"


async def test_each_attempt_is_logged_without_body_or_key(caplog):
    caplog.set_level(logging.INFO, "tunesmith")
    backend = Script(refusal(500, x_request_id="req_1"), answer(x_request_id="req_2"))
    client = backend.client(default_headers={"authorization": "Bearer sk-secret"})
    await client.models.retrieve("ada")
    assert "sk-secret" not in caplog.text
    assert '"id"' not in caplog.text


@pytest.mark.parametrize(
    ("failure", "outcome", "error"),
    [
        (refusal(500, x_request_id="req_1"), "500", "InternalServerError"),
        (BackendError("reset", phase="read"), "read", "APIConnectionError"),
        (HANG, "timeout", "APITimeoutError"),
    ],
)
@CALLS
async def test_each_attempt_and_pause_is_logged(caplog, call, operation, failure, outcome, error):
    caplog.set_level(logging.INFO, "tunesmith")
    backend = Script(failure, answer([0.5, b'{"id":"ada"}'], x_request_id="req_2"))
    with contextlib.suppress(errors.TunesmithError):  # the body is not a stream of events
        await call(backend.client(timeout=10))
    failed, paused, answered = (record.getMessage() for record in caplog.records)
    route = "GET /models/ada" if call is retrieve_model else "POST /completions"
    failed_s = "10.000" if outcome == "timeout" else "0.000"
    failed_id = "req_1" if outcome == "500" else None
    assert failed == f"{route} {outcome} attempt=1 {failed_s}s request_id={failed_id}"
    assert re.fullmatch(rf"{operation}: {error}, retrying in 0\.[345]\d* s", paused)
    answered_s = "0.500" if call is retrieve_model else "0.000"  # until its end, or until its head
    assert answered == f"{route} 200 attempt=2 {answered_s}s request_id=req_2"


async def test_a_response_knows_how_long_its_attempt_took():
    backend = Script(refusal(500), answer([2.5, b'{"id":"ada"}']))
    model = await backend.client().models.retrieve("ada")
    assert model.response.elapsed == pytest.approx(2.5)


async def test_a_body_that_cannot_be_opened_again_is_sent_once():
    async def once():
        yield b'{"prompt":"a","completion":"b"}\n'

    no_files = answer(b'{"object":"list","data":[]}')
    backend = Script(refusal(503), *[no_files] * 4)
    with pytest.raises(errors.InternalServerError):
        await backend.client().files.create(file=("train.jsonl", once()), purpose="fine-tune")
    assert [request.operation for request in backend.requests].count("files.create") == 1


async def test_an_answer_that_cannot_be_understood_is_an_error_with_an_excerpt():
    backend = Script(answer(b"<html>Welcome to the proxy</html>", x_request_id="req_9"))
    with pytest.raises(errors.InvalidResponseError) as caught:
        await backend.client().models.retrieve("ada")
    assert "Welcome" in caught.value.excerpt
    assert caught.value.request_id == "req_9"
    assert caught.value.status == 200


async def test_501_is_not_retried():
    backend = Script(refusal(501))
    with pytest.raises(errors.InternalServerError):
        await backend.client().models.retrieve("ada")


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize(
    ("body", "param"),
    [({"x": 1}, "x"), ({"options": {"weights": [0.5, 1]}}, "options.weights.1")],
)
async def test_a_number_that_json_lacks_is_refused_before_anything_is_sent(number, body, param):
    encoded = json.loads(json.dumps(body).replace("1", "NaN"), parse_constant=lambda _: number)
    backend = Script()
    with pytest.raises(errors.InvalidRequestError, match="finite") as caught:
        await backend.client().completions.create(model="m", prompt="NaN", extra_body=encoded)
    assert caught.value.param == param


@dataclass
class Weighted:
    weight: float


@pytest.mark.parametrize("wrap", [Weighted, lambda number: {number}, lambda number: iter([number])])
async def test_a_number_that_json_lacks_is_found_in_objects_of_any_class(wrap):
    value = wrap(float("nan"))
    with pytest.raises(errors.InvalidRequestError, match=r"x.* must be a finite number"):
        await Script().client().completions.create(model="m", prompt="", extra_body={"x": value})


async def test_a_text_may_say_nan():
    backend = Script(answer(b'{"choices": []}'))
    await backend.client().completions.create(model="m", prompt="NaN and Infinity")


@pytest.mark.parametrize(
    ("error", "kind", "attempts"),
    [
        ({"code": 429, "message": "slow down"}, errors.RateLimitError, 3),
        ({"code": "insufficient_quota", "message": "used up"}, errors.InsufficientQuotaError, 1),
        ({"type": "invalid_request_error", "message": "no"}, errors.BadRequestError, 1),
        ({"message": "provider failed"}, errors.InternalServerError, 3),
    ],
)
async def test_an_error_with_the_status_200_is_raised_and_retried_like_others(
    error, kind, attempts
):
    body = json.dumps({"id": "cmpl-1", "error": error, "choices": []}).encode()
    backend = Script(*[answer(body)] * attempts)
    with pytest.raises(kind, match=error["message"]) as caught:
        await backend.client().completions.create(model="m", prompt="a")
    assert (caught.value.operation, caught.value.attempts) == ("completions.create", attempts)


async def test_a_job_that_failed_is_no_error():
    job = {"id": "ftjob-1", "status": "failed", "error": {"code": "x", "message": "wrong file"}}
    backend = Script(answer(json.dumps(job).encode()))
    assert (await backend.client().fine_tuning.jobs.retrieve("ftjob-1")).failure.code == "x"


async def test_a_list_that_a_server_streams_is_a_page():
    events = [b'{"id": "e1", "message": "a"}', b'{"id": "e2", "message": "b"}', b"[DONE]"]
    body = b"".join(b"data: " + event + b"\n\n" for event in events)
    backend = Script(answer(body, content_type="text/event-stream; charset=utf-8"))
    page = await backend.client().fine_tuning.jobs.list_events("ftjob-1")
    assert [event.id for event in page.data] == ["e1", "e2"]
