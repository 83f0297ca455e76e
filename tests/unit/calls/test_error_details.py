"""Errors name the operation, the attempts, the request id, and the option that changes them."""

import pytest
from tests.unit.calls.conftest import CALLS, HANG, Script, answer, read_stream, refusal

from tunesmith import errors
from tunesmith.calls.caller import AttemptError, Caller
from tunesmith.calls.policy import CallPolicy
from tunesmith.errors import BackendError
from tunesmith.protocol.message import Request

pytestmark = pytest.mark.anyio

EVENT = b'data: {"choices":[{"index":0,"text":"a","finish_reason":null}]}\n\n'


async def stream_error(*chunks, **options):
    """Return the error of a stream that begins at the second attempt."""
    backend = Script(refusal(500), answer(list(chunks), x_request_id="req-1"))
    with pytest.raises(errors.TunesmithError) as caught:
        await read_stream(backend.client(**options))
    return caught.value


async def test_of_a_stream_whose_connection_is_lost():
    error = await stream_error(EVENT, BackendError("reset", phase="read"))
    assert isinstance(error, errors.StreamInterruptedError)
    assert str(error) == "completions.create: the response was interrupted: reset"
    assert (error.operation, error.attempts, error.request_id) == ("completions.create", 2, "req-1")


async def test_of_a_stream_that_stops():
    error = await stream_error(EVENT, 100.0, timeout=5)
    assert isinstance(error, errors.APITimeoutError)
    assert (error.operation, error.attempts) == ("completions.create", 2)
    assert str(error) == (
        "completions.create: the response stopped within the timeout of 5 s; to wait longer, "
        "set timeout="
    )


async def test_a_backend_that_keeps_the_timeout_itself_decides_when_a_stream_stops():
    late = answer([EVENT, 100.0, b"data: [DONE]\n\n"])
    stopped = answer([EVENT, BackendError("no data", phase="timeout")])
    backend = Script(late, stopped)
    backend.keeps_timeout = True
    assert len(await read_stream(backend.client(timeout=5))) == 1
    with pytest.raises(errors.APITimeoutError, match="the response stopped"):
        await read_stream(backend.client(timeout=5))


async def test_of_a_stream_that_outlasts_the_deadline():
    error = await stream_error(EVENT, 100.0, deadline=20, timeout=None)
    assert isinstance(error, errors.DeadlineExceededError)
    assert (error.operation, error.attempts) == ("completions.create", 2)
    assert str(error) == (
        "completions.create: the deadline of 20 s passed while waiting for the service"
    )


async def test_of_an_event_that_is_too_large():
    error = await stream_error(EVENT, b"data: " + b"x" * 1000, max_response_bytes=500)
    assert isinstance(error, errors.InvalidResponseError)
    assert (error.operation, error.attempts, error.request_id) == ("completions.create", 2, "req-1")
    assert str(error) == (
        "completions.create: the response is larger than 500 bytes; to allow larger ones, set "
        "max_response_bytes"
    )


async def test_of_a_response_that_is_too_large():
    backend = Script(refusal(500), answer(b" " * 501, x_request_id="req-1"))
    with pytest.raises(errors.InvalidResponseError, match="max_response_bytes") as caught:
        await backend.client(max_response_bytes=500).models.retrieve("ada")
    assert (caught.value.operation, caught.value.attempts) == ("models.retrieve", 2)
    assert caught.value.request_id == "req-1"


async def test_a_response_of_just_the_largest_size_is_read():
    body = b'{"id":"ada","object":"model"}'
    backend = Script(answer(body))
    model = await backend.client(max_response_bytes=len(body)).models.retrieve("ada")
    assert model.id == "ada"


async def test_an_event_of_just_the_largest_size_is_read():
    backend = Script(answer([EVENT[:-1], EVENT[-1:], b"data: [DONE]\n\n"]))
    events = await read_stream(backend.client(max_response_bytes=len(EVENT) - 1))
    assert len(events) == 1


@CALLS
async def test_of_an_attempt_without_a_response(call, operation):
    backend = Script(HANG, HANG)
    with pytest.raises(errors.APITimeoutError) as caught:
        await call(backend.client(timeout=5, max_retries=1))
    assert (caught.value.operation, caught.value.attempts) == (operation, 2)
    assert (
        f"{operation}: no response within the timeout of 5 s; to wait longer, set timeout="
        in str(caught.value)
    )


@CALLS
async def test_of_an_attempt_that_outlasts_the_deadline(call, operation):
    backend = Script(refusal(500), HANG)
    with pytest.raises(errors.DeadlineExceededError) as caught:
        await call(backend.client(deadline=20))
    assert (caught.value.operation, caught.value.attempts) == (operation, 2)


@CALLS
async def test_of_a_refusal(call, operation):
    backend = Script(refusal(500), refusal(403, x_request_id="req-1"))
    with pytest.raises(errors.PermissionDeniedError) as caught:
        await call(backend.client())
    assert str(caught.value) == f"{operation}: No. (status 403, request req-1, after 2 attempts)"


@CALLS
@pytest.mark.parametrize(
    ("phase", "kind"),
    [
        ("connect", errors.APIConnectionError),
        ("connect_timeout", errors.APITimeoutError),
        ("read", errors.APIConnectionError),
        ("timeout", errors.APITimeoutError),
    ],
)
async def test_of_a_connection_that_fails(call, operation, phase, kind):
    backend = Script(*[BackendError("no service", phase=phase)] * 2)
    with pytest.raises(errors.APIConnectionError, match=f"^{operation}: no service$") as caught:
        await call(backend.client(max_retries=1))
    assert type(caught.value) is kind
    assert (caught.value.operation, caught.value.attempts) == (operation, 2)


async def test_of_an_attempt_that_a_batch_job_makes():
    """Jobs count the attempts of their rows themselves."""
    caller = Caller(Script(refusal(500), answer()), CallPolicy())
    request = Request("models.retrieve", "GET", "/models/ada")
    with pytest.raises(AttemptError) as caught:
        await caller.attempt(request, caller.deadline("models.retrieve"), 3)
    assert caught.value.error.attempts == 3
    info, _ = await caller.attempt(request, caller.deadline("models.retrieve"), 4)
    assert info.attempts == 4


async def test_of_an_upload_that_may_be_complete():
    lost = BackendError("reset", phase="read")
    backend = Script(refusal(429), lost, refusal(400, x_request_id="req-1"))
    with pytest.raises(errors.UnknownOutcomeError) as caught:
        await backend.client().uploads.complete("upload_1", part_ids=["part_1"])
    assert str(caught.value) == (
        "uploads.complete: the response was lost (uploads.complete: reset), and repeating the "
        "request was rejected (No.). Check files.list for the file before uploading again."
    )
    assert (caught.value.operation, caught.value.attempts) == ("uploads.complete", 3)
    assert caught.value.request_id == "req-1"


async def test_of_a_retry_that_would_outlast_the_deadline():
    backend = Script(refusal(429, retry_after="1"), refusal(429, retry_after="60"))
    with pytest.raises(errors.DeadlineExceededError) as caught:
        await backend.client(deadline=30).models.retrieve("ada")
    assert (caught.value.operation, caught.value.attempts) == ("models.retrieve", 2)
    assert "the deadline of 30 s passed while waiting to retry" in str(caught.value)
