"""The fast backend: a lean pool of connections of its own, for a fraction of httpx's CPU."""

import functools
import ssl
import time
from collections import deque
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from urllib.parse import quote, urlencode, urlsplit

import anyio
import anyio.lowlevel

from tunesmith.backends.credentials import INVALID_HEADER_MESSAGE
from tunesmith.backends.httpx import HttpxBackend, connect_timeout_s, tls_context
from tunesmith.backends.network import blocked_error_for
from tunesmith.backends.pools import acquire_slot
from tunesmith.errors import BackendError, ConfigurationError
from tunesmith.protocol.message import Request, Response

try:
    from tunesmith.backends.fast.connection import Connection, connect, is_asyncio, running_loop
    from tunesmith.backends.fast.response import HttpResponse
except ImportError as error:
    raise ConfigurationError(
        f"the fast backend needs packages: pip install 'tunesmith[fast]' ({error})"
    ) from error

__all__ = ["FastBackend"]

_KEEPALIVE_EXPIRY_S = 30.0

_READ_BYTES = 256 * 1024
"""The most that is read from a socket at once. All connections read into one buffer: asyncio would
allocate a new one at each read, which costs the system as much as the read itself.
"""


class FastBackend(HttpxBackend):
    """Sends requests over HTTP/1.1 with a fraction of httpx's CPU; needs `tunesmith[fast]`.

    Arguments, errors and behaviour are those of `HttpxBackend`. What it does not do itself it
    leaves to httpx: trio, proxies (of the environment), HTTP/2 and a client of your own.

    Answers are asked for uncompressed.

    Example:
        ```python
        from tunesmith import FastBackend

        client = AsyncClient(backend=FastBackend("http://127.0.0.1:8000/v1", api_key="none"))
        ```
    """

    _pool: "tuple[object, _Pool | None] | None" = None

    def __repr__(self) -> str:
        return super().__repr__().replace("HttpxBackend", "FastBackend")

    def send(self, request: Request) -> AbstractAsyncContextManager[Response]:
        """Send a request; leaving the context closes the response at once.

        Raises:
            BackendError: No answer came, or it broke off.
        """
        refusal = blocked_error_for(self.base_url)
        if refusal is not None:
            raise refusal()
        pool = self._pool_for_loop()
        return super().send(request) if pool is None else _Exchange(self, pool, request)

    async def head(self, request: Request, host: bytes) -> bytes:
        """Write the line and the headers of a request.

        Args:
            request: What is sent.
            host: The value of the header `host`.

        Raises:
            BackendError: A header cannot be sent.
        """
        target = self.url(request)[len(_origin(self.base_url)) :]
        query = self.query(request)
        if query:
            target += "?" + urlencode(query, quote_via=quote)
        # The headers are in no variable: some reports of errors show those, and one is the key.
        head = _head(request, target, host, await self.build_headers(request))
        if head is None:
            raise BackendError(INVALID_HEADER_MESSAGE, phase="closed")
        return head

    async def aclose(self) -> None:
        """Close the connections."""
        held, self._pool = self._pool, None
        await super().aclose()
        if held is not None and held[1] is not None and held[0] is running_loop():
            await held[1].aclose()

    def _pool_for_loop(self) -> "_Pool | None":
        """Find the pool of the running event loop; None if httpx is to do it."""
        if self.closed:
            raise BackendError("the client is closed", phase="closed")
        loop = running_loop()
        if self._pool is None or self._pool[0] is not loop:
            self._pool = (loop, self._new_pool())
        return self._pool[1]

    def _new_pool(self) -> "_Pool | None":
        if is_asyncio() and self.uses_own_pool():
            return _Pool(self.base_url, self.max_connections)
        return None


def _head(request: Request, target: str, host: bytes, headers: dict[str, str]) -> bytes | None:
    """Write line and headers; None if a header has what headers cannot hold."""
    if "accept-encoding" not in request.headers:
        headers["accept-encoding"] = "identity"
    if callable(request.body) and "content-length" not in headers:
        headers["transfer-encoding"] = "chunked"
    lines = [f"{request.method} {target} HTTP/1.1", *map(": ".join, headers.items())]
    text = "".join(lines)
    if not (text.isascii() and text.isprintable()):
        return None
    return b"%b\r\nhost: %b\r\n\r\n" % ("\r\n".join(lines).encode("ascii"), host)


@functools.cache
def _origin(base_url: str) -> str:
    url = urlsplit(base_url)
    return f"{url.scheme}://{url.netloc}"


class _Exchange:
    """A request under way and its response; a context manager."""

    __slots__ = ("_backend", "_connection", "_pool", "_request")

    def __init__(self, backend: FastBackend, pool: "_Pool", request: Request) -> None:
        self._backend = backend
        self._pool = pool
        self._request = request

    async def __aenter__(self) -> Response:
        self._connection = connection = await self._pool.acquire(self._request.timeout_s)
        try:
            answer: HttpResponse = await connection.send(
                await self._backend.head(self._request, self._pool.host_header), self._request
            )
        except BaseException:
            self._pool.release(connection)
            raise
        encoding = answer.headers.get("content-encoding", "identity")
        if encoding != "identity":
            self._pool.release(connection)
            raise BackendError(f"the answer is encoded as {encoding}, unasked", phase="read")
        return Response(answer.status, answer.headers, answer, keeps_timeout=True)

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._pool.release(self._connection)


class _Pool:
    """Connections to one server in one event loop; taking one costs the same however many.

    Args:
        base_url: Where the server is.
        max_connections: How many may be open at once.
    """

    def __init__(self, base_url: str, max_connections: int) -> None:
        url = urlsplit(base_url)
        secure = url.scheme == "https"
        self._where = url.netloc
        self.host_header = url.netloc.encode("ascii")
        self._host = url.hostname or ""
        self._port = url.port or (443 if secure else 80)
        self._tls: ssl.SSLContext | None = tls_context(http2=False) if secure else None
        self._idle: deque[Connection] = deque()
        self._open: set[Connection] = set()
        self._buffer = memoryview(bytearray(_READ_BYTES))
        self._room = anyio.Semaphore(max_connections, fast_acquire=True)
        self._closed = False

    async def acquire(self, timeout_s: float | None) -> Connection:
        """Take a connection that waits for a request, or open one.

        Args:
            timeout_s: Seconds that the attempt may take.

        Raises:
            BackendError: There is none to be had.
        """
        await acquire_slot(self._room)
        try:
            while self._idle:
                # The youngest: the others may rest, and be closed when they have rested enough.
                connection = self._idle.pop()
                if (
                    connection.idle_since > time.monotonic() - _KEEPALIVE_EXPIRY_S
                    and connection.is_idle
                ):
                    return connection
                connection.abort()
            return await self._connect(timeout_s)
        except BaseException:
            self._room.release()
            raise

    async def _connect(self, timeout_s: float | None) -> Connection:
        try:
            with anyio.fail_after(connect_timeout_s(timeout_s)):
                connection = await connect(
                    self._host, self._port, self._tls, self._open.discard, self._buffer
                )
        except TimeoutError:
            why = f"{self._where}: it takes no connection"
            raise BackendError(why, phase="connect_timeout") from None
        except OSError as error:
            why = f"{self._where}: {str(error) or type(error).__name__}"
            raise BackendError(why, phase="connect") from None
        if self._closed:
            connection.abort()
            raise BackendError("the client is closed", phase="closed")
        self._open.add(connection)
        return connection

    def release(self, connection: Connection) -> None:
        """Keep a connection for the next request, or close it if its answer was not read."""
        self._room.release()
        if self._closed or not connection.reusable:
            connection.abort()
            return
        now = time.monotonic()
        connection.release(now)
        self._idle.append(connection)
        while self._idle[0].lost or self._idle[0].idle_since < now - _KEEPALIVE_EXPIRY_S:
            self._idle.popleft().abort()

    async def aclose(self) -> None:
        """Close every connection; one that is being opened is closed as soon as it is open."""
        self._closed = True
        for connection in self._open:
            connection.abort()
        with anyio.CancelScope(shield=True):
            while self._open:  # asyncio closes a socket one step later
                await anyio.lowlevel.checkpoint()
