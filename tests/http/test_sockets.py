"""What only sockets show: cut streams, slow servers, pools, what is left open after a cancel."""

import subprocess
import sys
import traceback
from contextlib import asynccontextmanager
from functools import partial

import anyio
import pytest

from tunesmith import AsyncClient, errors

pytestmark = pytest.mark.anyio

BODY = b'{"id":"ada","object":"model"}'
GOOD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 29\r\n\r\n" + BODY


HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
CHUNKED = HEAD + b"transfer-encoding: chunked\r\n\r\n"


class Server:
    """Serves raw bytes; counts connections that were opened and that are still open."""

    def __init__(self, serve):
        self.serve = serve
        self.opened = 0
        self.open = 0
        self.requests = 0
        self.idle = anyio.Event()

    async def handle(self, connection):
        self.opened += 1
        self.open += 1
        try:
            async with connection:
                while await self.read_request(connection):
                    self.requests += 1
                    if await self.serve(connection, self.requests) == "close":
                        return
        except (anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.EndOfStream):
            pass
        finally:
            self.open -= 1
            if not self.open:
                self.idle.set()

    async def read_request(self, connection):
        data = b""
        while b"\r\n\r\n" not in data:
            try:
                data += await connection.receive()
            except anyio.EndOfStream:
                return None
        return data


@pytest.fixture(params=["httpx", "fast"])
def transport(request):
    return request.param


@pytest.fixture
def serving(transport):
    """Starts a server, and a client of it over either transport."""
    return partial(serving_over, transport)


@asynccontextmanager
async def serving_over(transport, serve, **options):
    server = Server(serve)
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(anyio.abc.SocketAttribute.local_port)
    async with anyio.create_task_group() as group:
        group.start_soon(listener.serve, server.handle)
        address = f"http://127.0.0.1:{port}/v1"
        async with AsyncClient("sk-1", address, transport=transport, **options) as client:
            yield server, client
        with anyio.fail_after(5):
            # Closing the client closes every connection.
            if server.open:
                await server.idle.wait()
        group.cancel_scope.cancel()
    await listener.aclose()


async def good(connection, number):
    await connection.send(GOOD)


async def test_a_connection_serves_one_call_after_the_other(serving):
    async with serving(good) as (server, client):
        for _ in range(5):
            assert (await client.models.retrieve("ada")).id == "ada"
        assert server.opened == 1


@pytest.mark.slow
async def test_connections_are_kept_at_the_concurrency_that_was_needed(serving):
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


async def test_a_stream_that_is_cut_is_an_error_not_an_end(serving):
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
async def test_a_body_that_is_cut_is_tried_again(serving):
    async def cut_once(connection, number):
        if number == 1:
            await connection.send(GOOD[:-5])
            return "close"
        await connection.send(GOOD)
        return None

    async with serving(cut_once) as (server, client):
        assert (await client.models.retrieve("ada")).id == "ada"
        assert server.requests == 2


async def test_nobody_there_is_a_connection_error_that_says_where(transport):
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


async def test_a_server_that_never_answers_runs_into_the_timeout(serving):
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


async def test_a_finished_stream_gives_its_connection_back(serving):
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


async def test_a_server_that_stays_silent_after_done_does_not_hold_the_answer_up(serving):
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


TWO_LOOPS = """
import anyio
from tests.http.test_sockets import Server, good
from tunesmith import AsyncClient

client = AsyncClient("sk-1", "http://127.0.0.1:1/v1", max_retries=0, transport=TRANSPORT)

async def call():
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(anyio.abc.SocketAttribute.local_port)
    client.backend.base_url = f"http://127.0.0.1:{port}/v1"
    async with anyio.create_task_group() as group:
        group.start_soon(listener.serve, Server(good).handle)
        print((await client.models.retrieve("ada")).id)
        group.cancel_scope.cancel()
    await listener.aclose()

anyio.run(call, backend=BACKEND)
anyio.run(call, backend=BACKEND)
"""


@pytest.mark.slow
def test_a_client_outlives_its_event_loop(anyio_backend, transport):
    """A second `anyio.run` opens connections of its own instead of using dead ones.

    In a process of its own: nobody can close those of the first loop, so Python warns of them.
    """
    script = TWO_LOOPS.replace("BACKEND", repr(anyio_backend))
    script = script.replace("TRANSPORT", repr(transport))
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.stdout.split() == ["ada", "ada"], done.stderr
