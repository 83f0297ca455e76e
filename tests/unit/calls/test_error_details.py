"""Errors name the operation, the attempts, the request id, and the option that changes them."""

import pytest
from tests.unit.calls.conftest import HANG, Script, answer, refusal

from tunesmith import errors
from tunesmith.errors import BackendError

pytestmark = pytest.mark.anyio

EVENT = b'data: {"choices":[{"index":0,"text":"a","finish_reason":null}]}\n\n'


async def read(client):
    async with client.completions.stream(model="m", prompt="a") as stream:
        async for _ in stream:
            pass


async def stream_error(*chunks, **options):
    """Return the error of a stream that begins at the second attempt."""
    backend = Script(refusal(500), answer(list(chunks), x_request_id="req-1"))
    with pytest.raises(errors.TunesmithError) as caught:
        await read(backend.client(**options))
    return caught.value


async def test_of_a_stream_whose_connection_is_lost():
    error = await stream_error(EVENT, BackendError("reset", phase="read"))
    assert isinstance(error, errors.StreamInterruptedError)
    assert (error.operation, error.attempts, error.request_id) == ("completions.create", 2, "req-1")


async def test_of_a_stream_that_stops():
    error = await stream_error(EVENT, 100.0, timeout=5)
    assert isinstance(error, errors.APITimeoutError)
    assert (error.operation, error.attempts) == ("completions.create", 2)
    assert str(error) == (
        "completions.create: the response stopped within the timeout of 5 s; to wait longer, "
        "set timeout="
    )


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
    assert "max_response_bytes" in str(error)


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


async def test_of_an_attempt_without_a_response():
    backend = Script(HANG, HANG)
    with pytest.raises(errors.APITimeoutError) as caught:
        await backend.client(timeout=5, max_retries=1).models.retrieve("ada")
    assert (caught.value.operation, caught.value.attempts) == ("models.retrieve", 2)
    assert (
        "models.retrieve: no response within the timeout of 5 s; to wait longer, set timeout="
        in (str(caught.value))
    )


async def test_of_a_retry_that_would_outlast_the_deadline():
    backend = Script(refusal(429, retry_after="1"), refusal(429, retry_after="60"))
    with pytest.raises(errors.DeadlineExceededError) as caught:
        await backend.client(deadline=30).models.retrieve("ada")
    assert (caught.value.operation, caught.value.attempts) == ("models.retrieve", 2)
    assert "the deadline of 30 s passed while waiting to retry" in str(caught.value)
