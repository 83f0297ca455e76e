"""Timeouts of attempts, and errors of the key function."""

import socket
from contextlib import contextmanager

import anyio
import httpx
import pytest
from tests.http.servers import good, serving_over

from tunesmith import AsyncClient, BackendError, Request, errors

pytestmark = pytest.mark.anyio

JOB = {"model": "davinci-002", "training_file": "file-1"}


@contextmanager
def host_that_accepts_no_connection():
    """A listener whose queue is full, so that further connection attempts are dropped."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        queue = [socket.socket() for _ in range(3)]
        for client in queue:
            client.setblocking(False)
            client.connect_ex(listener.getsockname())
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        for client in queue:
            client.close()


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [0.02, 0.3])
async def test_a_create_that_cannot_connect_was_never_sent(transport, seconds):
    """Its outcome is known, so it is neither looked up nor reported as unknown."""
    with host_that_accepts_no_connection() as url:
        async with AsyncClient(
            "sk-1", url, transport=transport, timeout=seconds, max_retries=1
        ) as client:
            with pytest.raises(errors.APITimeoutError) as caught:
                await client.fine_tuning.jobs.create(**JOB)
    assert caught.value.attempts == 2
    assert caught.value.__cause__.phase == "connect_timeout"


@pytest.mark.slow
async def test_a_client_of_the_user_that_cannot_connect_never_sent_either():
    with host_that_accepts_no_connection() as url:
        async with httpx.AsyncClient(trust_env=False) as own:
            client = AsyncClient("sk-1", url, http_client=own, timeout=1, max_retries=0)
            with pytest.raises(errors.APITimeoutError) as caught:
                await client.fine_tuning.jobs.create(**JOB)
    assert caught.value.__cause__.phase == "connect_timeout"


async def test_a_handshake_that_is_never_answered_was_never_sent(transport):
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener:
        port = listener.extra(anyio.abc.SocketAttribute.local_port)
        url = f"https://127.0.0.1:{port}/v1"
        async with AsyncClient(
            "sk-1", url, transport=transport, timeout=0.2, max_retries=0
        ) as client:
            with pytest.raises(errors.APITimeoutError) as caught:
                await client.fine_tuning.jobs.create(**JOB)
    assert caught.value.__cause__.phase == "connect_timeout"


async def test_a_key_function_that_takes_too_long_means_never_sent(transport):
    async with AsyncClient(
        anyio.sleep_forever, "http://127.0.0.1:1/v1", transport=transport, timeout=0.05
    ) as client:
        with pytest.raises(errors.APITimeoutError) as caught:
            await client.with_options(max_retries=0).fine_tuning.jobs.create(**JOB)
    assert caught.value.__cause__.phase == "connect_timeout"


async def test_waiting_for_a_free_connection_means_never_sent(transport):
    arrived = anyio.Event()

    async def silent(connection, number):
        arrived.set()
        await connection.receive()

    async with serving_over(transport, silent, max_retries=0) as (server, client):
        client.backend.max_connections = 1
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(client.models.retrieve, "ada")
            await arrived.wait()
            with pytest.raises(errors.APITimeoutError) as caught:
                await client.with_options(timeout=0.05).models.retrieve("ada")
            tasks.cancel_scope.cancel()
        assert caught.value.__cause__.phase == "connect_timeout"
        assert server.requests == 1


async def test_a_request_that_was_sent_may_have_been_processed(transport):
    async def answer_once(connection, number):
        await (good(connection, number) if number == 1 else connection.receive())

    async with serving_over(transport, answer_once, max_retries=0) as (server, client):
        await client.models.retrieve("ada")  # so that connecting takes no time
        with pytest.raises(errors.APITimeoutError) as caught:
            await client.with_options(timeout=0.3).models.retrieve("ada")
        assert caught.value.__cause__.phase == "timeout"
        assert server.requests == 2


@pytest.mark.parametrize("seconds", [None, 5])
@pytest.mark.parametrize(
    "error", [TimeoutError("vault"), httpx.ConnectError("vault"), RuntimeError("vault")]
)
async def test_errors_of_the_key_function_are_raised_unchanged(transport, error, seconds):
    async def fail():
        raise error

    async with AsyncClient(
        fail, "http://127.0.0.1:1/v1", transport=transport, timeout=seconds
    ) as client:
        with pytest.raises(type(error), match="vault") as caught:
            await client.models.retrieve("ada")
    assert caught.value is error


@pytest.mark.parametrize(
    ("key", "message"),
    [
        (None, "api_key must return a key as text"),
        (b"sk-1", "api_key must return a key as text"),
        ("sk-verysecret\n", "the API key, the path or a header contains a line break"),
    ],
)
async def test_a_key_function_must_return_one_line_of_text(transport, key, message):
    async def return_key():
        return key

    async with AsyncClient(return_key, "http://127.0.0.1:1/v1", transport=transport) as client:
        with pytest.raises(errors.APIConnectionError, match=message) as caught:
            await client.models.retrieve("ada")
    assert "verysecret" not in str(caught.value)
    assert caught.value.attempts == 1


@pytest.mark.parametrize("error", [TimeoutError("disk"), httpx.ReadError("source")])
async def test_errors_of_the_request_body_are_raised_unchanged(transport, error):
    async def body():
        yield b"a"
        raise error

    request = Request("files.create", "POST", "/files", body=body, timeout=5)
    async with serving_over(transport, good) as (_, client):
        with pytest.raises(type(error)) as caught:
            async with client.backend.send(request):
                pass
    assert caught.value is error


async def test_the_key_is_fetched_before_an_idle_connection_is_chosen(transport):
    """The server may close the connection while the function waits for the key."""
    closed = anyio.Event()
    is_first = True

    async def fetch_key():
        nonlocal is_first
        if not is_first:
            await closed.wait()
            await anyio.wait_all_tasks_blocked()
        is_first = False
        return "sk-1"

    async def answer_once(connection, number):
        await good(connection, number)
        closed.set()
        return "close"

    async with (
        serving_over(transport, answer_once) as (server, other),
        AsyncClient(
            fetch_key, other.backend.base_url, transport=transport, max_retries=0, timeout=5
        ) as client,
    ):
        for _ in range(2):
            await client.models.retrieve("ada")
        assert server.opened == 2


async def test_the_backend_keeps_the_timeout_of_a_response_itself(transport):
    request = Request("models.retrieve", "GET", "/models/ada")
    async with (
        serving_over(transport, good) as (_, client),
        client.backend.send(request) as response,
    ):
        assert response.keeps_timeout is True


async def test_without_a_timeout_a_call_waits(transport):
    async with serving_over(transport, good, timeout=None) as (_, client):
        assert (await client.models.retrieve("ada")).id == "ada"


async def test_a_request_on_a_closed_client_fails(transport):
    async with serving_over(transport, good) as (_, client):
        await client.models.retrieve("ada")
        await client.aclose()
        with pytest.raises(BackendError, match="the client is closed") as caught:
            async with client.backend.send(Request("models.list", "GET", "/models")):
                pass
        assert caught.value.phase == "closed"
