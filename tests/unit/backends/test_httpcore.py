"""Connections of httpx: time limits, early responses and errors, over a scripted stream."""

import socket
import ssl
from types import SimpleNamespace

import anyio
import anyio.abc
import anyio.streams.tls
import httpcore
import httpx
import pytest

from tunesmith.backends import httpcore as module
from tunesmith.backends.httpcore import (
    HttpcoreTransport,
    _is_readable,
    _NetworkBackend,
    _NetworkStream,
)
from tunesmith.backends.settings import connection_limits

pytestmark = pytest.mark.anyio

LARGE = bytes(32 * 1024)  # the server may respond before all of it is sent
RESPONSE = b"HTTP/1.1 413 Too Large\r\ncontent-length: 0\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
HINTS = b"HTTP/1.1 103 Early Hints\r\n\r\n"


def broken(reason=None):
    error = anyio.BrokenResourceError()
    error.__cause__ = OSError(reason) if reason else None
    return error


class ByteStream(anyio.abc.ByteStream):
    """Receives scripted bytes and errors, then nothing; sending may fail or hang."""

    def __init__(self, *received, sock=None, send_error=None, hangs=False):
        self.received = list(received)
        self.sock = sock
        self.send_error = send_error
        self.hangs = hangs
        self.closed = False

    @property
    def extra_attributes(self):
        attribute = anyio.abc.SocketAttribute.raw_socket
        return {} if self.sock is None else {attribute: lambda: self.sock}

    async def receive(self, max_bytes=65536):
        await anyio.lowlevel.checkpoint()
        if not self.received:
            await anyio.sleep_forever()
        step = self.received.pop(0)
        if isinstance(step, Exception):
            raise step
        return step

    async def send(self, item):
        await anyio.lowlevel.checkpoint()
        if self.send_error is not None:
            raise self.send_error
        if self.hangs:
            await anyio.sleep_forever()

    async def send_eof(self):
        raise NotImplementedError

    async def aclose(self):
        await anyio.lowlevel.checkpoint()
        self.closed = True


def connection(*received, **options):
    backend = _NetworkBackend()
    return _NetworkStream(ByteStream(*received, **options), backend), backend


@pytest.fixture
def sockets():
    ours, theirs = socket.socketpair()
    yield ours, theirs
    ours.close()
    theirs.close()


@pytest.mark.parametrize("platform", ["linux", "win32"])
async def test_an_idle_socket_is_readable_once_the_peer_sends_or_closes(
    sockets, monkeypatch, platform
):
    monkeypatch.setattr(module.sys, "platform", platform)
    ours, theirs = sockets
    assert not _is_readable(ours)
    theirs.send(b"x")
    assert _is_readable(ours)
    ours.recv(1)
    assert not _is_readable(ours)
    theirs.close()
    assert _is_readable(ours)
    ours.close()
    assert _is_readable(ours)


async def test_facts_about_a_connection(sockets):
    ours, theirs = sockets
    stream, _ = connection(sock=ours)
    assert stream.get_extra_info("socket") is ours
    assert stream.get_extra_info("is_readable") is False
    theirs.send(b"x")
    assert stream.get_extra_info("is_readable") is True
    assert stream.get_extra_info("ssl_object") is None
    assert stream.get_extra_info("client_addr") is None


async def test_a_connection_without_a_socket_counts_as_readable():
    stream, _ = connection()
    assert stream.get_extra_info("is_readable") is True
    assert stream.get_extra_info("socket") is None


@pytest.mark.parametrize(
    ("failure", "kind", "message"),
    [
        (None, httpcore.ConnectTimeout, "connecting took too long"),
        (OSError("refused"), httpcore.ConnectError, "refused"),
    ],
)
async def test_a_connection_that_cannot_be_opened_is_an_error(monkeypatch, failure, kind, message):
    async def connect(*args, **options):
        if failure is None:
            await anyio.sleep_forever()
        raise failure

    monkeypatch.setattr(anyio, "connect_tcp", connect)
    with pytest.raises(kind) as caught:
        await _NetworkBackend().connect_tcp("service.test", 80, timeout=0)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("proxy", "pool"),
    [(None, "AsyncConnectionPool"), (httpx.Proxy("http://proxy.test:1"), "AsyncHTTPProxy")],
)
async def test_httpcore_gets_the_settings_of_connections(monkeypatch, proxy, pool):
    given = {}
    monkeypatch.setattr(
        httpcore, pool, lambda **options: given.update(options) or SimpleNamespace()
    )
    tls = ssl.create_default_context()
    transport = HttpcoreTransport(tls, connection_limits(7), http2=True, proxy=proxy)
    assert given["ssl_context"] is tls
    assert given["max_connections"] == given["max_keepalive_connections"] == 7
    assert given["keepalive_expiry"] == 30
    assert given["http2"] is True
    assert transport._pool._network_backend is transport.network
    if proxy is not None:
        assert given["proxy_url"].host == b"proxy.test"


async def test_a_read_returns_what_was_received_and_nothing_at_the_end():
    stream, _ = connection(b"abc", anyio.EndOfStream())
    assert await stream.read(100) == b"abc"
    assert await stream.read(100) == b""


@pytest.mark.parametrize(
    ("steps", "kind", "message"),
    [
        ([], httpcore.ReadTimeout, "no data within the timeout"),
        ([broken("reset")], httpcore.ReadError, "reset"),
        ([broken()], httpcore.ReadError, "BrokenResourceError"),
        ([anyio.ClosedResourceError()], httpcore.ReadError, "ClosedResourceError"),
    ],
)
async def test_a_read_that_fails_is_an_error(steps, kind, message):
    stream, _ = connection(*steps)
    with pytest.raises(kind) as caught:
        await stream.read(100, timeout=None if steps else 0)
    assert str(caught.value) == message


async def test_it_is_known_whether_anything_was_sent():
    stream, backend = connection()
    assert backend.has_sent is False
    await stream.write(b"")
    assert backend.has_sent is False
    await stream.write(b"x")
    assert backend.has_sent is True


@pytest.mark.parametrize("body", [b"x", LARGE])
async def test_a_write_that_takes_too_long_is_an_error(body):
    stream, backend = connection(hangs=True)
    with pytest.raises(httpcore.WriteTimeout) as caught:
        await stream.write(body, timeout=0)
    assert str(caught.value) == "sending took too long"
    assert backend.has_sent


@pytest.mark.parametrize(
    ("error", "message"),
    [(broken("reset"), "reset"), (anyio.ClosedResourceError(), "ClosedResourceError")],
)
async def test_a_write_that_fails_is_an_error(error, message):
    stream, _ = connection(send_error=error)
    with pytest.raises(httpcore.WriteError) as caught:
        await stream.write(b"x")
    assert str(caught.value) == message


@pytest.mark.parametrize("interim", [[], [CONTINUE], [CONTINUE, HINTS]])
async def test_a_response_that_arrives_while_a_large_body_is_sent_is_read(interim):
    stream, _ = connection(*interim, RESPONSE, hangs=True)
    with pytest.raises(httpcore.WriteError) as caught:
        await stream.write(LARGE)
    assert str(caught.value) == "the server responded before the whole request was sent"
    assert await stream.read(100) == b"".join([*interim, RESPONSE])


async def test_a_peer_that_closes_while_a_large_body_is_sent_leaves_no_response():
    stream, _ = connection(broken("reset"), hangs=True)
    with pytest.raises(httpcore.WriteError):
        await stream.write(LARGE)
    assert await stream.read(100) == b""


async def test_a_small_body_is_sent_without_looking_for_a_response():
    stream, _ = connection(RESPONSE)
    await stream.write(LARGE[1:])
    assert await stream.read(100) == RESPONSE


async def wrap_forever(stream, **options):
    await anyio.sleep_forever()


def wrap_failing(error):
    async def wrap(stream, **options):
        raise error

    return wrap


@pytest.mark.parametrize(
    ("wrap", "kind", "message"),
    [
        (wrap_forever, httpcore.ConnectTimeout, "the TLS handshake took too long"),
        (wrap_failing(OSError("bad certificate")), httpcore.ConnectError, "bad certificate"),
        (wrap_failing(broken("reset")), httpcore.ConnectError, "reset"),
        (wrap_failing(anyio.EndOfStream()), httpcore.ConnectError, "EndOfStream"),
        (wrap_failing(RuntimeError("a bug")), RuntimeError, "a bug"),
    ],
)
async def test_a_handshake_that_fails_closes_the_connection(monkeypatch, wrap, kind, message):
    monkeypatch.setattr(anyio.streams.tls.TLSStream, "wrap", wrap)
    plain = ByteStream()
    with pytest.raises(kind) as caught:
        await _NetworkStream(plain, _NetworkBackend()).start_tls(None, "service.test", timeout=0)
    assert str(caught.value) == message
    assert plain.closed


async def test_a_handshake_that_is_cancelled_closes_the_connection(monkeypatch):
    monkeypatch.setattr(anyio.streams.tls.TLSStream, "wrap", wrap_forever)
    plain = ByteStream()
    with anyio.CancelScope() as scope:
        scope.cancel()
        await _NetworkStream(plain, _NetworkBackend()).start_tls(None)
    assert plain.closed


async def test_a_handshake_proves_the_name_of_the_server(monkeypatch):
    given = {}

    async def wrap(stream, **options):
        given.update(options)
        return stream

    monkeypatch.setattr(anyio.streams.tls.TLSStream, "wrap", wrap)
    stream, _ = connection()
    await stream.start_tls("context", "service.test")
    assert given == {
        "ssl_context": "context",
        "hostname": "service.test",
        "server_side": False,
        "standard_compatible": False,
    }
