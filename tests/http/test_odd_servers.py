"""Servers that answer oddly, break off or go away: both transports take it alike."""

import gc
import gzip
import socket
import ssl
import threading
import time
from contextlib import suppress

import anyio
import anyio.abc
import anyio.streams.tls
import pytest
from tests.http.servers import (
    BODY,
    CHUNKED,
    GOOD,
    LOOPS,
    always_send,
    good,
    issue_trusted_certificate,
    serving_over,
)

from tunesmith import AsyncClient, BackendError, Request, errors
from tunesmith.backends.fast import backend as fast_module
from tunesmith.backends.settings import tls_context

pytestmark = pytest.mark.anyio

REQUEST = Request("models.retrieve", "GET", "/models/ada", timeout=5)
HEAD = b"HTTP/1.1 200 OK\r\ncontent-length: 29\r\n"
CHUNKS = b"1d\r\n" + BODY + b"\r\n0\r\n"


@pytest.fixture(params=LOOPS.values(), ids=LOOPS)
def anyio_backend(request):
    return request.param


def request_with(method):
    return Request("models.retrieve", method, "/models/ada", timeout=5)


VALID_RESPONSES = {
    "no body by its status": ("GET", b"HTTP/1.1 204 No Content\r\n\r\n", 204, b""),
    "a length without a body": (
        "GET",
        b"HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n",
        304,
        b"",
    ),
    "the head alone": ("HEAD", HEAD + b"\r\n", 200, b""),
    "the head alone, of chunks": ("HEAD", CHUNKED, 200, b""),
    "early news": ("GET", b"HTTP/1.1 102 Processing\r\n\r\n" * 3 + GOOD, 200, BODY),
    "an offer to upgrade": (
        "GET",
        HEAD + b"connection: upgrade, keep-alive\r\nupgrade: h2c\r\n\r\n" + BODY,
        200,
        BODY,
    ),
    "chunks with trailers": ("GET", CHUNKED + CHUNKS + b"x-t: 1\r\n\r\n", 200, BODY),
    "an older version": ("GET", b"HTTP/1.0 200 OK\r\n\r\n" + BODY, 200, BODY),
    "a long header": ("GET", HEAD + b"a: " + b"x" * 50_000 + b"\r\n\r\n" + BODY, 200, BODY),
    "no reason": ("GET", b"HTTP/1.1 200\r\ncontent-length: 29\r\n\r\n" + BODY, 200, BODY),
    "line feeds alone": ("GET", GOOD.replace(b"\r\n", b"\n"), 200, BODY),
    "a folded header": ("GET", HEAD + b"x-a: b\r\n  c\r\n\r\n" + BODY, 200, BODY),
    "a newer version": ("GET", GOOD.replace(b"HTTP/1.1", b"HTTP/1.2"), 200, BODY),
    "spaces after the size of a chunk": (
        "GET",
        CHUNKED + CHUNKS.replace(b"1d", b"1d  ") + b"\r\n",
        200,
        BODY,
    ),
    "chunks and a length": (
        "GET",
        CHUNKED[:-2] + b"content-length: 3\r\n\r\n" + CHUNKS + b"\r\n",
        200,
        BODY,
    ),
}

BROKEN_RESPONSES = {
    "nothing": b"",
    "half a head": b"HTTP/1.1 200 OK\r\ncont",
    "a header without a colon": b"HTTP/1.1 200 OK\r\nbad\r\ncontent-length: 29\r\n\r\n" + BODY,
    "half a body": GOOD[:-3],
    "half a chunk": CHUNKED + CHUNKS[:9],
    "no last chunk": CHUNKED + CHUNKS[:-3],
    "no last chunk, in capitals": CHUNKED.replace(b"chunked", b"Chunked") + CHUNKS[:-3],
    "a chunk of no size": CHUNKED + b"zz\r\n" + BODY,
    "two lengths": HEAD + b"content-length: 30\r\n\r\n" + BODY,
    "an unknown coding": b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\n" + BODY,
    "an upgrade nobody asked for": (
        b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n"
    ),
    "a head without end": b"HTTP/1.1 200 OK\r\n" + (b"a: " + b"x" * 1000 + b"\r\n") * 2000,
}


@pytest.mark.parametrize("name", VALID_RESPONSES)
async def test_every_valid_response_is_read(transport, name):
    method, data, status, body = VALID_RESPONSES[name]
    then = "close" if name == "an older version" else None
    async with serving_over(transport, always_send(data, then)) as (_, client):
        for _ in range(2):
            async with client.backend.send(request_with(method)) as response:
                assert (response.status, await response.read()) == (status, body)


@pytest.mark.parametrize("name", BROKEN_RESPONSES)
async def test_every_broken_response_is_an_error(transport, name):
    async with serving_over(transport, always_send(BROKEN_RESPONSES[name], "close")) as (_, client):
        with pytest.raises(BackendError) as caught:
            async with client.backend.send(REQUEST) as response:
                await response.read()
        assert caught.value.phase == "read"


async def test_closing_the_client_does_not_complete_a_download(transport):
    async def begins(connection, number):
        await connection.send(b"HTTP/1.1 200 OK\r\n\r\nImmanuel")
        await connection.receive()

    begun = anyio.Event()
    caught = []

    async def read(client):
        try:
            async with client.backend.send(REQUEST) as response:
                async for _ in response.stream:
                    begun.set()
        except BackendError as error:
            caught.append(error.phase)

    async with serving_over(transport, begins) as (_, client), anyio.create_task_group() as tasks:
        tasks.start_soon(read, client)
        await begun.wait()
        await client.aclose()
    assert caught == ["read"]


async def test_headers_without_end_are_an_error_before_they_fill_the_memory(transport):
    async def endless(connection, number):
        await connection.send(b"HTTP/1.1 200 OK\r\n")
        while True:
            await connection.send(b"a: " + b"x" * 10_000 + b"\r\n")

    async with serving_over(transport, endless) as (_, client):
        with anyio.fail_after(20), pytest.raises(BackendError) as caught:
            async with client.backend.send(REQUEST):
                pass
        assert caught.value.phase == "read"


SURPLUS = {
    "a response": GOOD.replace(b"ada", b"bad"),
    "half a response": GOOD[:20],
    "noise": b"\x00" * 100,
    "much": GOOD.replace(b"ada", b"bad") * 20_000,
}


@pytest.mark.parametrize("surplus", SURPLUS.values(), ids=SURPLUS)
async def test_bytes_after_a_response_never_answer_the_next_request(transport, surplus):
    async with serving_over(transport, always_send(GOOD + surplus)) as (server, client):
        for _ in range(3):
            assert (await client.models.retrieve("ada")).id == "ada"
        assert server.opened == 3


async def test_bytes_sent_while_a_connection_is_idle_never_answer_the_next_request(transport):
    sent = anyio.Event()

    async def send_twice(connection, number):
        await connection.send(GOOD)
        if number == 1:
            await anyio.sleep(0.05)
            await connection.send(GOOD.replace(b"ada", b"bad"))
            sent.set()

    async with serving_over(transport, send_twice) as (server, client):
        await client.models.retrieve("ada")
        await sent.wait()
        assert (await client.models.retrieve("ada")).id == "ada"
        assert server.opened == 2


@pytest.mark.parametrize("encoding", ["", "identity", "Identity", "none", "utf-8", "gzip"])
async def test_content_encodings_are_understood_alike(transport, encoding):
    body = gzip.compress(BODY) if encoding == "gzip" else BODY
    head = f"HTTP/1.1 200 OK\r\ncontent-encoding: {encoding}\r\ncontent-length: {len(body)}\r\n\r\n"
    async with serving_over(transport, always_send(head.encode() + body)) as (server, client):
        for _ in range(2):
            assert (await client.models.retrieve("ada")).id == "ada"
        assert server.opened == 1


async def test_a_cancelled_tls_handshake_closes_its_socket_at_once(transport):
    accepted, closed = anyio.Event(), anyio.Event()

    async def never_answer(connection):
        async with connection:
            with suppress(anyio.EndOfStream, anyio.BrokenResourceError):
                await connection.receive()
                accepted.set()
                while True:
                    await connection.receive()
        closed.set()

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    url = f"https://127.0.0.1:{listener.extra(anyio.abc.SocketAttribute.local_port)}/v1"
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, never_answer)
        async with AsyncClient("sk-1", url, transport=transport) as client:
            async with anyio.create_task_group() as calls:
                calls.start_soon(client.models.retrieve, "ada")
                await accepted.wait()
                calls.cancel_scope.cancel()
            with anyio.fail_after(5):
                await closed.wait()
        tasks.cancel_scope.cancel()


async def test_a_connection_that_the_server_closed_is_not_reused(transport):
    """The event loop does not know it yet: the program did something else."""
    closed = threading.Event()
    requests = 0

    def serve():
        nonlocal requests
        for _ in range(2):
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                requests += 1
                connection.sendall(GOOD)
            closed.set()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = threading.Thread(target=serve)
        server.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        async with AsyncClient("sk-1", url, transport=transport, max_retries=0) as client:
            await client.models.retrieve("ada")
            closed.wait(5)
            time.sleep(0.01)  # noqa: ASYNC251 - the loop shall not look
            assert (await client.models.retrieve("ada")).response.attempts == 1
        server.join(5)
    assert requests == 2


async def test_an_expired_connection_is_not_reused(monkeypatch):
    """Firewalls forget it, and tell nobody."""
    monkeypatch.setattr(fast_module, "KEEPALIVE_EXPIRY_S", 0)
    monkeypatch.setattr("tunesmith.backends.httpx.KEEPALIVE_EXPIRY_S", 0)
    async with serving_over("fast", good) as (server, client):
        for _ in range(3):
            await client.models.retrieve("ada")
        assert server.opened == 3


class EndlessBody:
    """A body that is open until it is closed, which takes a while."""

    def __init__(self):
        self.open = False
        self.opened = anyio.Event()

    async def __call__(self):
        self.open = True
        self.opened.set()
        try:
            while True:
                yield bytes(1_000_000)
        finally:
            await anyio.lowlevel.checkpoint()
            self.open = False


async def test_a_cancelled_upload_closes_its_file_and_frees_its_slot(transport):
    arrived = anyio.Event()

    async def reads(connection, number):
        arrived.set()
        while number == 1:
            await connection.receive()  # ends when the client goes away
        await connection.send(GOOD)

    book = EndlessBody()
    upload = Request("files.create", "POST", "/files", body=book, timeout=5)

    async def send(client):
        async with client.backend.send(upload):
            pass

    async with serving_over(transport, reads, max_retries=0) as (_, client):
        client.backend.max_connections = 1
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(send, client)
            await arrived.wait()
            await book.opened.wait()
            tasks.cancel_scope.cancel()
        assert not book.open
        with anyio.fail_after(5):
            assert (await client.models.retrieve("ada")).id == "ada"


@pytest.mark.parametrize("length", [2, 4])
async def test_a_body_of_another_length_than_announced_is_an_error(transport, length):
    """What is too much would be the beginning of another request."""

    async def body():
        yield b"abc"

    headers = {"content-length": str(length)}
    request = Request("files.create", "POST", "/files", headers=headers, body=body, timeout=5)
    async with serving_over(transport, good) as (server, client):
        with pytest.raises(errors.InvalidRequestError, match="a file may have changed"):
            async with client.backend.send(request):
                pass
        assert (await client.models.retrieve("ada")).id == "ada"
        assert server.opened == 2


async def test_a_response_may_arrive_before_the_whole_request_was_sent(transport):
    async def refuses(connection, number):
        await connection.send(
            b"HTTP/1.1 413 Too Large\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}"
        )
        for _ in range(20):
            await connection.receive()
        await connection.send_eof()
        while True:
            await connection.receive()

    async def body():
        for _ in range(50):
            yield bytes(100_000)

    request = Request("files.create", "POST", "/files", body=body, timeout=5)
    async with (
        serving_over(transport, refuses) as (_, client),
        client.backend.send(request) as response,
    ):
        assert response.status == 413


async def test_closing_the_client_ends_the_calls_in_flight(transport):
    arrived = anyio.Event()
    caught = []

    async def silent(connection, number):
        if number == 3:
            arrived.set()
        await connection.receive()

    async def call(client):
        try:
            await client.models.retrieve("ada")
        except errors.APIConnectionError as error:
            caught.append(error)

    async with (
        serving_over(transport, silent, max_retries=0) as (_, client),
        anyio.create_task_group() as tasks,
    ):
        for _ in range(3):
            tasks.start_soon(call, client)
        await arrived.wait()
        await client.aclose()
    assert len(caught) == 3


async def send_name(connection):
    """Answer one request by the last part of its path, many times over, in pieces."""
    data = b""
    while not data.endswith(b"\r\n\r\n"):
        data += await connection.receive()
    name = data.split(b" ", 2)[1].rpartition(b"/")[2]
    await connection.send(b"HTTP/1.1 200 OK\r\ncontent-length: 20000\r\n\r\n")
    for _ in range(5):
        await connection.send(name * 2000)


async def check_name(client, name):
    request = Request("files.content", "GET", f"/files/{name}", timeout=5)
    async with client.backend.send(request) as response:
        assert await response.read() == name.encode() * 10_000


@pytest.fixture(params=[False, True], ids=["plain", "tls"])
async def name_client(request, transport, tmp_path, monkeypatch):
    """A client of a server that says each one's name; both over TCP, and over TLS."""
    context = (
        issue_trusted_certificate(tmp_path / "authority.pem", monkeypatch)
        if request.param
        else None
    )

    async def handle(connection):
        async with connection:
            with suppress(anyio.EndOfStream, anyio.BrokenResourceError, ssl.SSLError):
                if context is not None:
                    connection = await anyio.streams.tls.TLSStream.wrap(
                        connection, ssl_context=context, standard_compatible=False
                    )
                while True:
                    await send_name(connection)

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(anyio.abc.SocketAttribute.local_port)
    url = f"http{'s' * request.param}://127.0.0.1:{port}/v1"
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, handle)
        async with AsyncClient("sk-1", url, transport=transport, max_retries=0) as client:
            yield client
        tasks.cancel_scope.cancel()
    tls_context.cache_clear()


@pytest.mark.slow
async def test_bytes_of_one_connection_never_reach_another(name_client):
    """All of `fast` are read into one buffer."""
    async with anyio.create_task_group() as calls:
        for number in range(10, 26):
            for _ in range(3):
                calls.start_soon(check_name, name_client, str(number))


# httpx leaves a socket to the garbage collector when a handshake of TLS is cancelled.
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_a_call_cancelled_at_any_moment_frees_its_slot(name_client):
    """While it connects, too: nobody is left with half a connection."""
    name_client.backend.max_connections = 1
    for steps in range(50):
        async with anyio.create_task_group() as calls:
            calls.start_soon(check_name, name_client, "10")
            for _ in range(steps):
                await anyio.lowlevel.checkpoint()
            calls.cancel_scope.cancel()
    with anyio.fail_after(5):
        await check_name(name_client, "11")
    gc.collect()


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:1/v1?x=1",
        "http://127.0.0.1:1/v1#part",
        "http://127.0.0.1:99999/v1",
        "http://127.0.0.1:0/v1",
        f"http://{'a' * 64}.example/v1",
        "http://a..example/v1",
        "ftp://127.0.0.1/v1",
    ],
)
def test_an_impossible_url_is_refused_at_once(transport, url):
    with pytest.raises(errors.ConfigurationError, match="base_url must be"):
        AsyncClient("sk-1", url, transport=transport)


@pytest.mark.parametrize("user", ["kant:verysecret", ":verysecret"])
async def test_a_password_in_the_url_is_not_in_the_error(transport, user):
    url = f"http://{user}@127.0.0.1:1/v1"
    async with AsyncClient("sk-1", url, transport=transport, max_retries=0) as client:
        with pytest.raises(errors.APIConnectionError, match=r"127\.0\.0\.1:1") as caught:
            await client.models.retrieve("ada")
    assert "verysecret" not in str(caught.value) + repr(client.backend)


async def test_a_host_may_be_an_ipv6_address(transport):
    async with AsyncClient("sk-1", "http://[::1]:1/v1", transport=transport) as client:
        with pytest.raises(BackendError, match=r"^\[::1\]:1: "):
            async with client.backend.send(REQUEST):
                pass
