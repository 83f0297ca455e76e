"""One HTTP/1.1 connection of the fast backend: asyncio moves the bytes.

This file and `response.py` import asyncio: its protocols are told of bytes as they come, with no
task, no lock and no copy between the socket and the parser.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable
from typing import cast

import aiohappyeyeballs
import anyio

from tunesmith.backends.fast.response import HttpResponse
from tunesmith.errors import BackendError
from tunesmith.protocol.message import Request

__all__ = ["Connection", "connect", "is_asyncio", "running_loop"]

_NEXT_ADDRESS_S = 0.25
"""How long an address has before the next is tried beside it (RFC 8305, section 5)."""


def is_asyncio() -> bool:
    """Whether the running event loop is asyncio's, or one of its kind such as uvloop."""
    return anyio.get_cancelled_exc_class() is asyncio.CancelledError


def running_loop() -> object:
    """Find asyncio's running loop, quickly; None if another kind of loop runs."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


async def connect(
    host: str,
    port: int,
    tls: ssl.SSLContext | None,
    on_lost: Callable[["Connection"], object],
    buffer: memoryview,
) -> "Connection":
    """Open a connection.

    Args:
        host: The host's name, or its address.
        port: Its port.
        tls: What certificates are trusted; None for plain HTTP.
        on_lost: Called once the connection is closed, by whomever.
        buffer: Where bytes from the socket are put; see `Connection`.

    Raises:
        OSError: Nobody is there, or TLS fails.
    """
    loop = asyncio.get_running_loop()
    addresses = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    # An address is a tuple of what its family wants, says the library's type.
    sock = await aiohappyeyeballs.start_connection(  # pyright: ignore[reportUnknownMemberType]
        addresses, happy_eyeballs_delay=_NEXT_ADDRESS_S, interleave=1
    )
    try:
        _, connection = await loop.create_connection(
            lambda: Connection(sock, on_lost, buffer), sock=sock
        )
    except BaseException:
        sock.close()
        raise
    if tls is not None:
        await connection.start_tls(tls, host)
    return connection


class Connection(asyncio.BufferedProtocol):
    """A connection: a request is written, and then its answer is read as it comes.

    Args:
        sock: The socket below it.
        on_lost: Called once the connection is closed, by whomever.
        buffer: Where bytes from the socket are put, and taken from before anything else happens:
            all connections of a loop may share one.
    """

    def __init__(
        self, sock: socket.socket, on_lost: Callable[["Connection"], object], buffer: memoryview
    ) -> None:
        self.lost = False
        self.idle_since = 0.0
        self._transport: asyncio.Transport
        self._socket = sock
        self._on_lost = on_lost
        self._buffer = buffer
        self._answer: HttpResponse | None = None
        self._room: asyncio.Event | None = None  # while what was written waits for the socket
        self._sent = True

    async def start_tls(self, tls: ssl.SSLContext, host: str) -> None:
        """Go on over TLS.

        A step of its own: asyncio may leave a connection open that it was to make with TLS, when
        the one who waits is cancelled before the handshake begins.

        Args:
            tls: What certificates are trusted.
            host: Whom the server has to prove to be.

        Raises:
            OSError: TLS fails.
        """
        plain = self._transport
        try:
            secure = await asyncio.get_running_loop().start_tls(
                plain, self, tls, server_hostname=host
            )
        except BaseException:
            plain.abort()
            raise
        self._transport = cast("asyncio.Transport", secure)

    @property
    def reusable(self) -> bool:
        """Whether another request may follow: this one and its answer are whole."""
        answer = self._answer
        return not self.lost and self._sent and (answer is None or answer.is_reusable)

    @property
    def is_idle(self) -> bool:
        """Whether the server has neither closed an idle connection nor sent anything on it.

        The socket itself is asked, since the loop may not have come to look: a request that is sent
        to nobody would have to be treated as one that may have been done.
        """
        if self.lost or self._transport.is_closing():
            return False
        try:
            self._socket.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return True
        except OSError:
            pass
        return False

    async def send(self, head: bytes, request: Request) -> "HttpResponse":
        """Send a request, and wait for the head of its answer.

        Args:
            head: The request's line and headers.
            request: The request, for its body.

        Raises:
            BackendError: The connection broke off, or what came is not HTTP.
        """
        answer = self._answer = HttpResponse(
            self._transport, request.timeout_s, has_body=request.method != "HEAD"
        )
        self._sent = False
        body = request.body
        # Not by `writelines`: up to Python 3.12.8 and 3.13.1 it never holds a body up, and what it
        # is given after the connection was lost can break another one.
        self._transport.write(head + body if isinstance(body, bytes) else head)
        del head  # an error's report that shows variables shall not show the key
        if callable(body):
            await self._send_body(request)
        self._sent = not self.lost
        await answer.read_head()
        return answer

    async def _send_body(self, request: Request) -> None:
        chunked = "content-length" not in request.headers
        body = request.chunks()
        try:
            async for chunk in body:
                if self.lost:
                    return  # the answer, if one came before, says why
                if not chunked:
                    self._transport.write(chunk)
                elif chunk:
                    self._transport.write(b"%x\r\n%b\r\n" % (len(chunk), chunk))
                if self._room is not None:
                    await self._room.wait()
        finally:
            await body.aclose()
        if chunked and not self.lost:
            self._transport.write(b"0\r\n\r\n")

    def release(self, now: float) -> None:
        """Let go of the answer; the connection waits for the next request."""
        if self._answer is not None:
            self._answer.detach()
            self._answer = None
        self._transport.resume_reading()
        self.idle_since = now

    def abort(self) -> None:
        """Close at once; who still reads the answer is told."""
        if self._answer is not None:
            self._answer.detach()
            self._answer.fail(BackendError("the connection was closed", phase="read"))
        self._transport.abort()

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Learn where bytes go."""
        self._transport = cast("asyncio.Transport", transport)

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - asyncio's signature
        """Say where bytes are to be put."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Take bytes; those that nobody asked for end the connection."""
        if self._answer is None or not self._answer.feed(self._buffer[:nbytes]):
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell those who wait."""
        self.lost = True
        if self._answer is not None:
            self._answer.connection_lost(exc, sent=self._sent)
        self.resume_writing()
        self._on_lost(self)

    def pause_writing(self) -> None:
        """Hold the body up."""
        self._room = asyncio.Event()

    def resume_writing(self) -> None:
        """Let the body go on."""
        room, self._room = self._room, None
        if room is not None:
            room.set()
