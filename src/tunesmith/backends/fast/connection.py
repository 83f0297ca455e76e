"""One HTTP/1.1 connection of the fast backend, as an asyncio protocol.

This module and `response.py` import asyncio: its protocols receive bytes without a task, a lock or
a copy between the socket and the parser.
"""

import asyncio
import socket
import ssl
from typing import cast

import aiohappyeyeballs
import anyio
import anyio.lowlevel

from tunesmith.backends.fast.response import HttpResponse
from tunesmith.errors import BackendError
from tunesmith.protocol.message import Request

__all__ = ["Connection", "connect", "running_loop"]

_NEXT_ADDRESS_S = 0.25
"""Head start of an address before the next one is tried in parallel (RFC 8305, section 5)."""


def running_loop() -> object:
    """Return asyncio's running loop; None on trio."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


async def connect(
    host: str, port: int, tls: ssl.SSLContext | None, buffer: memoryview
) -> "Connection":
    """Open a connection.

    Args:
        host: The host's name or address.
        port: Its port.
        tls: The trusted certificates; None for plain HTTP.
        buffer: The read buffer; see `Connection`.

    Raises:
        OSError: No connection is possible, or TLS fails.
    """
    loop = asyncio.get_running_loop()
    addresses = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    # The library's type of an address is incomplete.
    sock = await aiohappyeyeballs.start_connection(  # pyright: ignore[reportUnknownMemberType]
        addresses, happy_eyeballs_delay=_NEXT_ADDRESS_S, interleave=1
    )
    try:
        _, connection = await loop.create_connection(lambda: Connection(sock, buffer), sock=sock)
    except BaseException:
        sock.close()
        raise
    if tls is not None:
        await connection.start_tls(tls, host)
    return connection


class Connection(asyncio.BufferedProtocol):
    """HTTP/1.1 connection that serves one request at a time.

    Args:
        sock: The connected socket.
        buffer: The read buffer. It is emptied before control returns to the loop, so that all
            connections of a loop may share one.
    """

    def __init__(self, sock: socket.socket, buffer: memoryview) -> None:
        self.lost = False
        self._transport: asyncio.Transport
        self._socket = sock
        self._buffer = buffer
        self._response: HttpResponse | None = None
        self._writable: asyncio.Event | None = None  # while the write buffer is full
        self._sent: bool  # whether the whole request was sent

    async def start_tls(self, tls: ssl.SSLContext, host: str) -> None:
        """Start TLS; close the connection if that fails or is cancelled.

        A separate step: asyncio may leave a connection open that it was asked to create with TLS,
        if the task is cancelled before the handshake begins.

        Args:
            tls: The trusted certificates.
            host: The host name that the certificate must prove.

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
    def is_idle(self) -> bool:
        """Whether the server neither closed the idle connection nor sent anything on it.

        The socket is examined because the event loop may not have noticed yet, and a request on a
        dead connection would count as one that the service may have processed.
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
        """Send a request, and wait for the head of the response.

        Args:
            head: The encoded request line and headers.
            request: The request, for its body.

        Raises:
            BackendError: The connection broke, or the response is not HTTP.
        """
        response = self._response = HttpResponse(
            self._transport, request.timeout, has_body=request.method != "HEAD"
        )
        self._sent = False
        body = request.body
        # Not `writelines`: up to Python 3.12.8 and 3.13.1 it ignores flow control, and may write
        # into another connection after this one was lost.
        self._transport.write(head + body if isinstance(body, bytes) else head)
        del head  # it holds the key, and error reports may print variables
        self._sent = not callable(body) or await self._send_body(request, response)
        await response.read_head()
        return response

    async def _send_body(self, request: Request, response: HttpResponse) -> bool:
        """Send a streamed body; return whether all of it was sent.

        Sending ends early if the server closes the connection or responds, such as with 413.
        """
        chunked = "content-length" not in request.headers
        body = request.chunks()
        try:
            async for chunk in body:
                if self.lost or response.has_head:
                    return False
                if not chunked:
                    self._transport.write(chunk)
                elif chunk:
                    self._transport.write(b"%x\r\n%b\r\n" % (len(chunk), chunk))
                if self._writable is not None:
                    await self._writable.wait()
        finally:
            await body.aclose()
        if self.lost or response.has_head:
            return False
        if chunked:
            self._transport.write(b"0\r\n\r\n")
        return True

    def finish(self) -> bool:
        """Detach the response; return whether the connection can serve another request."""
        response, self._response = self._response, None
        if response is None:
            return False
        response.detach()
        reusable = not self.lost and self._sent and response.is_reusable
        if reusable:
            self._transport.resume_reading()
        else:
            response.fail(BackendError("the connection was closed", phase="read"))
        return reusable

    def abort(self) -> None:
        """Close at once; a read of the response fails."""
        self.finish()
        self._transport.abort()

    async def aclose(self) -> None:
        """Close at once, and wait until the socket is closed."""
        self.abort()
        while not self.lost:  # asyncio closes a socket one step later
            await anyio.lowlevel.checkpoint()

    # Called by asyncio.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - asyncio's signature
        """Return the read buffer."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Parse received bytes; close the connection if no response is expected."""
        response = self._response
        if response is None or not response.feed(self._buffer[:nbytes]):
            self._transport.abort()
        elif response.has_head and not self._sent:
            self.resume_writing()  # the response has arrived early: stop sending

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail or end the response."""
        self.lost = True
        if self._response is not None:
            self._response.connection_lost(exc, sent=self._sent)
        self.resume_writing()

    def pause_writing(self) -> None:
        """Pause the request body."""
        self._writable = asyncio.Event()

    def resume_writing(self) -> None:
        """Resume the request body."""
        writable, self._writable = self._writable, None
        if writable is not None:
            writable.set()
