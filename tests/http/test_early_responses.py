"""A response that arrives while the request is still being sent, such as 413 from a proxy."""

import anyio
import pytest
from tests.http.servers import good, serving_over

from tunesmith import Request, errors

pytestmark = pytest.mark.anyio

BODY = b'{"error":{"message":"too large for this proxy"}}'
REFUSAL = b"HTTP/1.1 413 Too Large\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % len(BODY)


async def read_on(connection, finished):
    while True:
        await connection.receive()


async def read_on_slowly(connection, finished):
    while True:
        await connection.receive()
        await anyio.sleep(0.001)


async def close_both_directions(connection, finished):
    for _ in range(20):
        await connection.receive()
    await connection.send_eof()
    await read_on(connection, finished)


async def stop_reading(connection, finished):
    await finished.wait()


@pytest.mark.parametrize(
    "continue_after", [read_on, read_on_slowly, close_both_directions, stop_reading]
)
@pytest.mark.parametrize("length", [None, 100_000 * 1000])
async def test_the_refusal_of_an_upload_is_read_at_once(transport, continue_after, length):
    sent = 0
    finished = anyio.Event()

    async def refuse(connection, number):
        await connection.send(REFUSAL + BODY)
        await continue_after(connection, finished)
        return "close"

    async def body():
        nonlocal sent
        for _ in range(1000):
            sent += 1
            yield bytes(100_000)

    headers = {} if length is None else {"content-length": str(length)}
    request = Request("files.create", "POST", "/files", headers=headers, body=body, timeout=20)
    async with serving_over(transport, refuse) as (server, client):
        with anyio.fail_after(15):
            async with client.backend.send(request) as response:
                assert response.status == 413
                assert await response.read() == BODY
        finished.set()
        assert sent < 1000
        server.serve = good
        assert (await client.models.retrieve("ada")).id == "ada"
        assert server.opened == 2


@pytest.mark.parametrize("n_interim", [1, 3])
async def test_an_upload_continues_after_an_interim_response(transport, n_interim):
    async def serve(connection, number):
        await connection.send(b"HTTP/1.1 100 Continue\r\n\r\n" * n_interim)
        while not (await connection.receive()).endswith(b"end"):
            pass
        await good(connection, number)

    async def body():
        yield bytes(1_000_000)
        yield bytes(1_000_000)
        yield b"end"

    headers = {"content-length": "2000003"}
    request = Request("files.create", "POST", "/files", headers=headers, body=body, timeout=20)
    async with (
        serving_over(transport, serve) as (_, client),
        client.backend.send(request) as response,
    ):
        assert response.status == 200


@pytest.mark.slow
async def test_a_large_json_body_is_refused_with_the_message_of_the_server(transport):
    finished = anyio.Event()

    async def refuse(connection, number):
        await connection.send(REFUSAL + BODY)
        await finished.wait()
        return "close"

    async with serving_over(transport, refuse, timeout=20, max_retries=0) as (_, client):
        with pytest.raises(errors.RequestTooLargeError, match="too large for this proxy"):
            await client.completions.create(model="m", prompt="a" * 50_000_000)
        finished.set()


async def test_a_server_that_closes_during_an_upload_is_a_connection_error(transport):
    async def close(connection, number):
        return "close"

    async def body():
        for _ in range(1000):
            yield bytes(100_000)

    request = Request("files.create", "POST", "/files", body=body, timeout=4)
    async with serving_over(transport, close) as (_, client):
        with pytest.raises(errors.BackendError) as caught:
            async with client.backend.send(request):
                pass
    assert caught.value.phase in {"read", "write"}
