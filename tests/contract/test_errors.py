"""Errors: complete, and the same over every backend."""

import pickle

import anyio
import pytest
from tests.contract.data import begin_job, pairs, send
from tests.contract.wrappers import Wrapper

from tunesmith import AsyncClient, errors
from tunesmith.testing import CallRecorder, Faults

pytestmark = pytest.mark.anyio


async def test_an_error_has_all_fields_of_the_error_response(client):
    with pytest.raises(errors.NotFoundError) as caught:
        await client.files.retrieve("file-none")
    error = caught.value
    assert (error.status, error.type) == (404, "invalid_request_error")
    assert (error.param, error.code) == ("id", None)
    assert (error.operation, error.attempts) == ("files.retrieve", 1)
    assert error.request_id.startswith("req_")
    assert error.headers["x-request-id"] == error.request_id
    assert error.message == "No such File object: file-none"
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.__dict__) == (str(error), error.__dict__)


async def test_a_mistake_that_only_the_service_finds_is_a_bad_request(client):
    file_id = await send(client, pairs())
    for options in ({"training_file": "file-none"}, {"model": "kant-1"}):
        with pytest.raises(errors.BadRequestError, match="does not exist"):
            await client.fine_tuning.jobs.create(
                **{"model": "davinci-002", "training_file": file_id} | options
            )


async def test_an_unknown_parameter_is_rejected_by_the_service(client):
    with pytest.raises(errors.BadRequestError, match="Unrecognized request argument"):
        await client.completions.create(
            model="davinci-002", prompt="Kant", extra_body={"wisdom": 1}
        )


@pytest.mark.parametrize(
    ("wrong", "param"),
    [
        ({"temperature": 3}, "temperature"),
        ({"max_tokens": "many"}, "max_tokens"),
        ({"wisdom": 1}, "wisdom"),
        ({"model": None}, "model"),
    ],
)
async def test_an_invalid_parameter_is_an_error_before_anything_is_sent(backend, wrong, param):
    looking_on = Wrapper(backend)
    client = AsyncClient(backend=looking_on)
    with pytest.raises(errors.InvalidRequestError, match=param) as caught:
        await client.completions.create(**{"model": "davinci-002", "prompt": "Kant"} | wrong)
    assert caught.value.operation == "completions.create"
    assert looking_on.asked == []


async def test_transient_failures_are_retried(backend, service):
    faults = Faults(backend)
    faults.on("models.list").refuse_connection()
    faults.on("models.list", nth=2).drop_response()
    began = service.clock.monotonic()
    page = await AsyncClient(backend=faults).models.list()
    assert page.response.attempts == 3
    assert service.clock.monotonic() > began


async def test_lasting_failures_are_an_error_with_the_number_of_attempts(backend):
    faults = Faults(backend)
    faults.on("models.list", nth=None).refuse_connection()
    record = CallRecorder(faults)
    with pytest.raises(errors.APIConnectionError) as caught:
        await AsyncClient(backend=record, max_retries=3).models.list()
    assert caught.value.attempts == 4
    record.assert_called("models.list", times=4)


async def test_a_job_whose_response_was_lost_is_found_and_not_created_twice(backend):
    faults = Faults(backend)
    faults.on("fine_tuning.jobs.create").drop_response()
    client = AsyncClient(backend=faults)
    job = await begin_job(client, seed=7)
    assert [listed.id async for listed in client.fine_tuning.jobs.list()] == [job.id]


async def test_a_file_whose_response_was_lost_is_found_and_not_sent_twice(backend):
    faults = Faults(backend)
    faults.on("files.create").drop_response()
    record = CallRecorder(faults)
    client = AsyncClient(backend=record)
    file_id = await send(client, pairs())
    assert [file.id async for file in client.files.list()] == [file_id]
    record.assert_called("files.create", times=1)
    record.assert_no_violations()


async def test_a_deadline_spans_attempts_and_pauses(backend, service):
    faults = Faults(backend)
    faults.on("models.list", nth=None).refuse_connection()
    began = service.clock.monotonic()
    with pytest.raises(errors.DeadlineExceededError):
        await AsyncClient(backend=faults, max_retries=100, deadline=30).models.list()
    assert service.clock.monotonic() - began <= 30


async def test_a_missing_response_is_a_timeout_error(backend, service):
    """By the time of the service, which passes as soon as somebody waits for it."""
    faults = Faults(backend)
    faults.on("models.list").stall(after_bytes=1)
    client = AsyncClient(backend=faults, timeout=3600, max_retries=0)
    began = service.clock.monotonic()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(service.clock.sleep, 4000)
        with pytest.raises(errors.APITimeoutError):
            await client.models.list()
        assert service.clock.monotonic() - began == pytest.approx(3600)
        tasks.cancel_scope.cancel()


async def test_a_closed_client_refuses_calls(backend):
    client = AsyncClient(backend=backend)
    await client.aclose()
    with pytest.raises(errors.APIConnectionError, match="closed"):
        await client.models.list()
