"""What the fast backend writes, where it connects to, and when it stops sending."""

import asyncio
import socket

import aiohappyeyeballs
import anyio
import pytest

from tunesmith import BackendError, FastBackend, Request
from tunesmith.backends.credentials import INVALID_HEADER_MESSAGE
from tunesmith.backends.fast import backend as backend_module
from tunesmith.backends.fast.connection import Connection, connect
from tunesmith.backends.network import forbid_network
from tunesmith.backends.settings import tls_context

pytestmark = pytest.mark.anyio

GOOD = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture
def forbidden():
    previous = forbid_network(lambda host: RuntimeError(f"no way to {host}"))
    yield
    forbid_network(previous)


@pytest.mark.usefixtures("forbidden")
def test_a_forbidden_network_is_an_error():
    with pytest.raises(RuntimeError, match=r"^no way to service\.test$"):
        FastBackend("https://service.test/v1").send(Request("models.list", "GET", "/models"))


async def body():
    yield b"ab"
    yield b""
    yield b"c"


@pytest.mark.parametrize(
    ("request_headers", "content", "lines"),
    [
        ({}, None, ["accept-encoding: identity"]),
        ({"accept-encoding": "gzip"}, None, ["accept-encoding: gzip"]),
        ({"content-length": "3"}, b"abc", ["accept-encoding: identity", "content-length: 3"]),
        ({"content-length": "3"}, body, ["accept-encoding: identity", "content-length: 3"]),
        ({}, body, ["accept-encoding: identity", "transfer-encoding: chunked"]),
    ],
)
async def test_the_head_of_a_request(request_headers, content, lines):
    backend = FastBackend("http://service.test/v1", api_key="sk-1")
    request = Request("files.create", "POST", "/files", (("a", "b c"),), request_headers, content)
    head = await backend.encode_head(request, b"service.test")
    assert repr(head) == "<request head>"
    first, agent, *others = head.decode().split("\r\n")
    assert first == "POST /v1/files?a=b%20c HTTP/1.1"
    assert agent.startswith("user-agent: tunesmith/")
    expected = [*lines, "authorization: Bearer sk-1", "host: service.test", "", ""]
    assert sorted(others) == sorted(expected)


@pytest.mark.parametrize("path", ["/models/ü", "/models/a\r\nx: y"])
async def test_a_path_that_cannot_be_sent_is_an_error(path):
    backend = FastBackend("http://service.test/v1")
    with pytest.raises(BackendError) as caught:
        await backend.encode_head(Request("models.retrieve", "GET", path), b"service.test")
    assert (str(caught.value), caught.value.phase) == (INVALID_HEADER_MESSAGE, "closed")


@pytest.mark.parametrize(
    ("url", "host", "port", "secure"),
    [
        ("http://service.test/v1", "service.test", 80, False),
        ("https://service.test/v1", "service.test", 443, True),
        ("https://service.test:8443/v1", "service.test", 8443, True),
        ("http://[::1]:8000/v1", "::1", 8000, False),
    ],
)
async def test_the_address_that_is_connected_to(monkeypatch, url, host, port, secure):
    given = []

    async def record(*args):
        given.append(args[:3])
        raise OSError("refused")

    monkeypatch.setattr(backend_module, "connect", record)
    with pytest.raises(BackendError):
        await backend_module._Pool(url, 1).acquire()
    # A context of its own: the one of HTTP/2 offers that protocol.
    assert given == [(host, port, tls_context(http2=False) if secure else None)]


@pytest.mark.tunesmith_network  # nothing is connected to
@pytest.mark.parametrize(
    ("error", "message", "phase"),
    [
        (OSError("refused"), "service.test:8000: refused", "connect"),
        (ConnectionResetError(), "service.test:8000: ConnectionResetError", "connect"),
        (None, "service.test:8000: connecting took too long", "connect_timeout"),
    ],
)
async def test_a_connection_that_fails_is_an_error(monkeypatch, error, message, phase):
    async def fail(*args):
        if error is None:
            await anyio.sleep_forever()
        raise error

    monkeypatch.setattr(backend_module, "connect", fail)
    request = Request("models.list", "GET", "/models", timeout=0)
    with anyio.fail_after(5), pytest.raises(BackendError) as caught:
        async with FastBackend("http://service.test:8000/v1").send(request):
            pass
    assert (str(caught.value), caught.value.phase) == (message, phase)


async def test_addresses_of_a_host_are_tried_with_a_head_start(monkeypatch):
    addresses = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", 80))]
    resolved = []

    def resolve(*args):
        resolved.append(args[:2])
        return addresses

    async def start(given, **options):
        # As RFC 8305 recommends: other families in turn, a quarter of a second apart.
        assert given == addresses
        assert options == {"happy_eyeballs_delay": 0.25, "interleave": 1}
        raise OSError("refused")

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.setattr(aiohappyeyeballs, "start_connection", start)
    with pytest.raises(OSError, match="refused"):
        await connect("service.test", 80, None, memoryview(b""))
    assert resolved == [("service.test", 80)]


@pytest.mark.parametrize("error", [None, OSError("bad certificate")])
async def test_tls_proves_the_name_of_the_host(monkeypatch, error):
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    secure = Transport()
    plain = []

    async def start(addresses, **options):
        return ours

    async def start_tls(transport, protocol, tls, *, server_hostname):
        plain.append(transport)
        assert (tls, server_hostname) == ("certificates", "localhost")
        if error is not None:
            raise error
        return secure

    monkeypatch.setattr(aiohappyeyeballs, "start_connection", start)
    monkeypatch.setattr(asyncio.get_running_loop(), "start_tls", start_tls)
    with theirs:
        if error is None:
            connection = await connect("localhost", 443, "certificates", memoryview(b""))
            connection.abort()
            assert secure.aborted
            plain[0].abort()
        else:
            with pytest.raises(OSError, match="bad certificate"):
                await connect("localhost", 443, "certificates", memoryview(b""))
            assert plain[0].is_closing()


class Transport:
    def __init__(self):
        self.written = []
        self.aborted = False

    def write(self, data):
        self.written.append(data)

    def abort(self):
        self.aborted = True

    def resume_reading(self):
        pass


def open_connection():
    buffer = memoryview(bytearray(1000))
    connection = Connection(None, buffer)
    connection.connection_made(Transport())
    return connection, connection._transport


def receive(connection, data):
    connection.get_buffer(-1)[: len(data)] = data
    connection.buffer_updated(len(data))


def post(content, **headers):
    return Request("files.create", "POST", "/files", headers=headers, body=content)


async def send(connection, request, *received):
    """Send a request to a server that responds at once."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(connection.send, b"HEAD", request)
        await anyio.wait_all_tasks_blocked()
        for data in received:
            receive(connection, data)


@pytest.mark.parametrize(
    ("request_", "written"),
    [
        (post(None), [b"HEAD"]),
        (post(b"abc"), [b"HEADabc"]),
        (post(body, **{"content-length": "3"}), [b"HEAD", b"ab", b"", b"c"]),
        (post(body), [b"HEAD", b"2\r\nab\r\n", b"1\r\nc\r\n", b"0\r\n\r\n"]),
    ],
)
async def test_a_request_that_was_sent_leaves_the_connection_reusable(request_, written):
    connection, transport = open_connection()
    await send(connection, request_, GOOD)
    assert transport.written == written
    assert connection.finish()


async def test_a_connection_without_a_request_has_nothing_to_finish():
    connection, _ = open_connection()
    assert not connection.finish()


async def test_bytes_that_nobody_asked_for_close_the_connection():
    connection, transport = open_connection()
    receive(connection, GOOD)
    assert transport.aborted


async def test_a_response_that_arrives_early_ends_the_body():
    connection, transport = open_connection()

    async def parts():
        yield b"a"
        receive(connection, GOOD)
        yield b"b"

    await send(connection, post(parts))
    assert transport.written == [b"HEAD", b"1\r\na\r\n"]
    assert not connection.finish()


async def test_a_response_that_arrives_after_the_last_part_leaves_the_body_unfinished():
    connection, transport = open_connection()

    async def parts():
        yield b"a"
        receive(connection, GOOD)

    await send(connection, post(parts))
    assert transport.written == [b"HEAD", b"1\r\na\r\n"]
    assert not connection.finish()


async def test_a_body_waits_while_too_much_is_unsent():
    connection, transport = open_connection()
    async with anyio.create_task_group() as tasks:
        connection.pause_writing()
        tasks.start_soon(connection.send, b"HEAD", post(body))
        await anyio.wait_all_tasks_blocked()
        assert len(transport.written) == 2
        receive(connection, CONTINUE)
        await anyio.wait_all_tasks_blocked()
        assert len(transport.written) == 2
        connection.resume_writing()
        await anyio.wait_all_tasks_blocked()
        assert len(transport.written) == 4
        receive(connection, GOOD)


@pytest.mark.parametrize(
    ("cause", "message"),
    [
        (OSError("reset"), "reset"),
        (None, "the server closed the connection during the response"),
    ],
)
async def test_a_lost_connection_ends_the_request(cause, message):
    connection, _ = open_connection()

    async def lose():
        await anyio.wait_all_tasks_blocked()
        connection.connection_lost(cause)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lose)
        with pytest.raises(BackendError) as caught:
            await connection.send(b"HEAD", post(b"abc"))
    assert (str(caught.value), caught.value.phase) == (message, "read")
    assert not connection.finish()


async def test_leaving_a_response_fails_those_who_still_read_it():
    connection, _ = open_connection()
    await send(connection, post(None), b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n")
    response = connection._response
    assert not connection.finish()
    with pytest.raises(BackendError, match=r"^the connection was closed$") as caught:
        await anext(response)
    assert caught.value.phase == "read"
