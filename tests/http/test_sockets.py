"""What only sockets show: cut streams, slow servers, pools, what is left open after a cancel."""

import traceback
from functools import partial

import anyio
import pytest
from tests.http.servers import CHUNKED, GOOD, HEAD, good, serving_over

from tunesmith import AsyncClient, errors

pytestmark = pytest.mark.anyio


@pytest.fixture
def serving(transport):
    """Starts a server, and a client of it over either transport."""
    return partial(serving_over, transport)


async def test_a_connection_serves_one_call_after_the_other(serving):
    async with serving(good) as (server, client):
        for _ in range(5):
            assert (await client.models.retrieve("ada")).id == "ada"
        assert server.opened == 1


@pytest.mark.slow
async def test_as_many_connections_are_kept_as_were_needed(serving):
    """A pool that keeps only twenty opens the other thirty anew in each round."""

    async def together(connection, number):
        await anyio.sleep(0.02)  # so that all fifty are under way at once
        await connection.send(GOOD)

    async with serving(together) as (server, client):
        for _ in range(3):
            async with anyio.create_task_group() as group:
                for _ in range(50):
                    group.start_soon(client.models.retrieve, "ada")
        assert server.requests == 150
        assert server.opened <= 60


async def test_a_truncated_stream_is_an_error(serving):
    async def cut(connection, number):
        await connection.send(
            CHUNKED
            + b"3f\r\ndata: "
            + b'{"id":"c","choices":[{"index":0,"text":"Kant","logprobs"'
            + b"\r\n"
        )
        return "close"

    async with serving(cut) as (_, client):
        with pytest.raises(errors.StreamInterruptedError):
            async with client.completions.stream(model="m", prompt="p") as stream:
                await stream.final_response()


@pytest.mark.slow
async def test_a_truncated_body_is_retried(serving):
    async def cut_once(connection, number):
        if number == 1:
            await connection.send(GOOD[:-5])
            return "close"
        await connection.send(GOOD)
        return None

    async with serving(cut_once) as (server, client):
        assert (await client.models.retrieve("ada")).id == "ada"
        assert server.requests == 2


async def test_a_refused_connection_is_an_error_that_names_the_host(transport):
    client = AsyncClient("sk-1", "http://127.0.0.1:1/v1", max_retries=0, transport=transport)
    with pytest.raises(errors.APIConnectionError, match=r"models\.retrieve: 127\.0\.0\.1:1: "):
        await client.models.retrieve("ada")
    await client.aclose()


async def test_a_key_with_a_line_break_is_an_error_that_does_not_show_it(serving, transport):
    """Files and shells append one to a key, and HTTP libraries quote the header."""

    async def fetch_key():
        return "sk-verysecret\n"

    async with serving(good) as (server, other):
        url = other.backend.base_url
        async with AsyncClient(fetch_key, url, transport=transport) as client:
            with pytest.raises(errors.APIConnectionError, match="a line break") as caught:
                await client.models.retrieve("ada")
    report = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    assert "verysecret" not in "".join(report.format())
    assert caught.value.attempts == 1
    assert server.requests == 0


async def test_a_silent_server_times_out(serving):
    async def silent(connection, number):
        await connection.receive()  # ends when the client goes away

    async with serving(silent, timeout=0.05, max_retries=1) as (server, client):
        with pytest.raises(errors.APITimeoutError) as caught:
            await client.models.retrieve("ada")
        assert caught.value.attempts == 2
        assert server.opened == 2


async def test_cancelling_a_call_closes_its_connection(serving):
    arrived = anyio.Event()

    async def silent(connection, number):
        arrived.set()
        await connection.receive()  # ends when the client goes away

    async with serving(silent) as (server, client):
        async with anyio.create_task_group() as group:
            group.start_soon(client.models.retrieve, "ada")
            await arrived.wait()
            group.cancel_scope.cancel()
        with anyio.fail_after(5):
            await server.idle.wait()
        assert server.open == 0


async def test_leaving_a_stream_early_closes_its_connection(serving):
    async def endless(connection, number):
        head = HEAD + b"\r\n"
        event = b'data: {"id":"c","choices":[{"index":0,"text":"a","finish_reason":null}]}\n\n'
        await connection.send(head)
        for _ in range(10_000):
            await connection.send(event * 100)

    async with serving(endless) as (server, client):
        async with client.completions.stream(model="m", prompt="p") as stream:
            assert (await anext(stream)).choices[0].text == "a"
        with anyio.fail_after(5):
            await server.idle.wait()


async def test_a_finished_stream_releases_its_connection(serving):
    async def stream(connection, number):
        event = b'data: {"id":"c","choices":[{"index":0,"text":"a","finish_reason":"stop"}]}\n\n'
        body = event + b"data: [DONE]\n\n"
        await connection.send(CHUNKED + f"{len(body):x}\r\n".encode() + body + b"\r\n")
        await connection.send(b"0\r\n\r\n")

    async with serving(stream) as (server, client):
        for _ in range(3):
            async with client.completions.stream(model="m", prompt="p") as events:
                assert (await events.final_response()).choices[0].text == "a"
        assert server.opened == 1


async def test_a_server_that_stays_silent_after_done_does_not_delay_the_response(serving):
    async def stays(connection, number):
        event = b'data: {"id":"c","choices":[{"index":0,"text":"a","finish_reason":"stop"}]}\n\n'
        await connection.send(HEAD + b"\r\n" + event + b"data: [DONE]\n\n")
        await connection.receive()

    async with serving(stays) as (_, client):
        with anyio.fail_after(2):
            async with client.completions.stream(model="m", prompt="p") as events:
                assert (await events.final_response()).choices[0].text == "a"


async def test_a_deadline_holds_while_a_stream_is_read(serving):
    async def drips(connection, number):
        await connection.send(HEAD + b"\r\n")
        event = b'data: {"id":"c","choices":[{"index":0,"text":"a","finish_reason":null}]}\n\n'
        while True:
            await connection.send(event)
            await anyio.sleep(0.01)

    async with (
        serving(drips, deadline=0.3) as (_, client),
        client.completions.stream(model="m", prompt="p") as stream,
    ):
        with anyio.fail_after(5), pytest.raises(errors.DeadlineExceededError):
            await stream.final_response()


async def test_cancelling_at_any_moment_leaves_no_connection_open(serving):
    """Cancelled after each of the first steps of a call, whatever it is doing then."""

    async def slowly(connection, number):
        for i in range(0, len(GOOD), 20):
            await connection.send(GOOD[i : i + 20])
            await anyio.lowlevel.checkpoint()

    async with serving(slowly) as (_, client):
        for steps in range(0, 60, 3):
            with anyio.CancelScope() as scope:
                async with anyio.create_task_group() as group:
                    group.start_soon(client.models.retrieve, "ada")
                    for _ in range(steps):
                        await anyio.lowlevel.checkpoint()
                    scope.cancel()
        # The pool is whole: it still serves.
        assert (await client.models.retrieve("ada")).id == "ada"
