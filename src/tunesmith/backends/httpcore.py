"""Connections of httpx with the guarantees that its own ones lack.

- A response that arrives while the request is being sent is read.
- Cancelling a connection attempt or a TLS handshake closes the socket.
- Bytes after a response are detected.
- It is known whether any byte of a request was sent.
"""

import select
import socket
import ssl
import sys
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import anyio
import anyio.abc
import anyio.lowlevel
import anyio.streams.tls
import httpcore
import httpx

from tunesmith.backends.base import SYSTEM_CLOCK

__all__ = ["HttpcoreTransport"]

_READ_BYTES = 1 << 20
"""More than an event loop reads at once: nothing stays in a buffer of the stream, unseen."""

_MIN_WATCHED_BYTES = 32 * 1024
"""Smaller writes fit the buffers of the socket and need no task that watches for a response."""


def _is_readable(sock: socket.socket) -> bool:
    """Return whether the peer of an idle connection closed it or sent something."""
    descriptor = sock.fileno()
    if descriptor < 0:
        return True
    if sys.platform == "win32":  # it has no `poll`, and no small limit for `select`
        return bool(select.select([descriptor], [], [], 0)[0])
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(0))


class HttpcoreTransport(httpx.AsyncHTTPTransport):
    """Transport of httpx over connections of this module.

    Args:
        tls: The trusted certificates; False without TLS.
        limits: How many connections may be open, and how long unused ones stay open.
        http2: Whether to use HTTP/2 if the service supports it.
        proxy: The proxy; None for none.
    """

    is_idle = True  # httpcore replaces a dead connection itself

    def __init__(
        self,
        tls: ssl.SSLContext | bool,
        limits: httpx.Limits,
        *,
        http2: bool,
        proxy: httpx.Proxy | None,
    ) -> None:
        super().__init__(verify=tls, limits=limits, http2=http2, proxy=proxy)
        self.network = _NetworkBackend()
        # httpx has no parameter for it, though all pools of httpcore have.
        self._pool._network_backend = self.network  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]

    @property
    def has_surplus(self) -> bool:
        """Whether bytes after the last response are waiting to be taken for the next one."""
        # httpcore keeps them in the private parser of the connection.
        parsers = (
            getattr(getattr(connection, "_connection", None), "_h11_state", None)
            for connection in self._pool.connections
        )
        return any(parser is not None and parser.trailing_data[0] for parser in parsers)


class _NetworkBackend(httpcore.AsyncNetworkBackend):
    """Opens connections.

    `has_sent` is whether anything of an HTTP request was sent since it was last set to False.
    """

    def __init__(self) -> None:
        self.has_sent = False

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's signature
        local_address: str | None = None,  # noqa: ARG002 - httpx passes none
        socket_options: object = None,  # noqa: ARG002 - httpx passes none
    ) -> httpcore.AsyncNetworkStream:
        """Open a connection."""
        try:
            with _fail_after(timeout):
                stream = await anyio.connect_tcp(host, port)
        except TimeoutError:
            raise httpcore.ConnectTimeout("connecting took too long") from None
        except OSError as error:
            raise httpcore.ConnectError(str(error)) from None
        sock = stream.extra(anyio.abc.SocketAttribute.raw_socket)  # noqa: S610 - not Django
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # trio does not
        return _NetworkStream(stream, self)


class _NetworkStream(httpcore.AsyncNetworkStream):
    """Byte stream of a connection."""

    def __init__(self, stream: anyio.abc.ByteStream, backend: _NetworkBackend) -> None:
        self._stream = stream
        self._backend = backend
        self._early: bytes | None = None
        """Response received while sending; empty if the peer closed the connection."""
        self._interim = b""
        """Responses such as `100 Continue`, received while sending."""

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002, ASYNC109
        """Receive bytes; empty at the end."""
        interim, self._interim = self._interim, b""
        if self._early is not None:
            early, self._early = self._early, None
            return interim + early
        if interim:
            return interim
        try:
            with _fail_after(timeout):
                return await self._receive()
        except TimeoutError:
            raise httpcore.ReadTimeout("no data within the timeout") from None
        except (anyio.BrokenResourceError, anyio.ClosedResourceError) as error:
            raise httpcore.ReadError(_reason(error)) from None

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109
        """Send bytes.

        Raises:
            httpcore.WriteError: The peer sent a response, or closed the connection. httpcore then
                reads the response.
        """
        if not buffer:
            return
        self._backend.has_sent = True
        try:
            with _fail_after(timeout):
                if len(buffer) < _MIN_WATCHED_BYTES or self._is_multiplexed:
                    await self._stream.send(buffer)
                else:
                    await self._send_watching(buffer)
        except TimeoutError:
            raise httpcore.WriteTimeout("sending took too long") from None
        except (anyio.BrokenResourceError, anyio.ClosedResourceError) as error:
            raise httpcore.WriteError(_reason(error)) from None

    async def _send_watching(self, buffer: bytes) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._watch, tasks.cancel_scope)
            try:
                await self._stream.send(buffer)
            except (anyio.BrokenResourceError, anyio.ClosedResourceError):
                pass  # the watcher receives the response, if there is one
            else:
                # A peer that reads fast lets every write end before the watcher has its turn.
                while self._early is None and self.get_extra_info("is_readable"):
                    await anyio.lowlevel.checkpoint()
                tasks.cancel_scope.cancel()
        if self._early is not None:
            raise httpcore.WriteError("the server responded before the whole request was sent")

    async def _watch(self, scope: anyio.CancelScope) -> None:
        try:
            received = await self._receive()
            while _is_interim(received):
                self._interim += received
                received = await self._receive()
            self._early = received
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            self._early = b""
        scope.cancel()

    async def _receive(self) -> bytes:
        try:
            return await self._stream.receive(_READ_BYTES)
        except anyio.EndOfStream:
            return b""

    @property
    def _is_multiplexed(self) -> bool:
        tls = self.get_extra_info("ssl_object")
        return tls is not None and tls.selected_alpn_protocol() == "h2"

    async def aclose(self) -> None:
        """Close the connection."""
        await self._stream.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's signature
    ) -> httpcore.AsyncNetworkStream:
        """Wrap the connection in TLS; close it if the handshake fails or is cancelled."""
        try:
            with _fail_after(timeout):
                wrapped = await anyio.streams.tls.TLSStream.wrap(
                    self._stream,
                    ssl_context=ssl_context,
                    hostname=server_hostname,
                    server_side=False,
                    standard_compatible=False,
                )
        except BaseException as error:
            with anyio.CancelScope(shield=True):
                await self._stream.aclose()
            if isinstance(error, TimeoutError):
                raise httpcore.ConnectTimeout("the TLS handshake took too long") from None
            if isinstance(error, OSError | anyio.BrokenResourceError | anyio.EndOfStream):
                raise httpcore.ConnectError(_reason(error)) from None
            raise
        return _NetworkStream(wrapped, self._backend)

    def get_extra_info(self, info: str) -> Any:
        """Return a fact about the connection that httpcore asks for."""
        if info == "ssl_object":
            return self._stream.extra(anyio.streams.tls.TLSAttribute.ssl_object, None)  # noqa: S610
        sock = self._stream.extra(anyio.abc.SocketAttribute.raw_socket, None)  # noqa: S610
        if info == "is_readable":
            return sock is None or _is_readable(sock)
        return sock if info == "socket" else None


def _is_interim(received: bytes) -> bool:
    """Return whether received bytes are only responses that another one follows."""
    *heads, rest = received.split(b"\r\n\r\n")
    return not rest and all(head.startswith(b"HTTP/1.1 1") for head in heads) and bool(heads)


def _fail_after(timeout_s: float | None) -> AbstractContextManager[object]:
    return nullcontext() if timeout_s is None else SYSTEM_CLOCK.fail_after(timeout_s)


def _reason(error: BaseException) -> str:
    return str(error.__cause__ or error) or type(error).__name__
