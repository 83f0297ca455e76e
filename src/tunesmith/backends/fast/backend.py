"""The fast backend: connections of its own, for a fraction of httpx's CPU."""

import functools
import ssl
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from urllib.parse import quote, urlencode, urlsplit

import anyio

from tunesmith.backends.base import mark_unsent
from tunesmith.backends.bodies import decode_body
from tunesmith.backends.credentials import INVALID_HEADER_MESSAGE
from tunesmith.backends.httpx import HttpxBackend
from tunesmith.backends.network import blocked_error_for
from tunesmith.backends.pools import ConnectionPool, LoopLocal
from tunesmith.backends.settings import KEEPALIVE_EXPIRY_S, connect_timeout_s, tls_context
from tunesmith.errors import BackendError, ConfigurationError
from tunesmith.protocol.message import Request, Response, is_header_safe

try:
    from tunesmith.backends.fast.connection import Connection, connect, running_loop
except ImportError as error:
    raise ConfigurationError(
        f"the fast backend needs packages: pip install 'tunesmith[fast]' ({error})"
    ) from error

__all__ = ["FastBackend"]

_READ_BYTES = 256 * 1024
"""Maximum size of a read. All connections of a loop read into one buffer: asyncio would allocate
one at each read, which costs as much as the read itself.
"""


class FastBackend(HttpxBackend):
    """Backend over HTTP/1.1 with a fraction of httpx's CPU; needs `tunesmith[fast]`.

    Arguments, errors and behaviour are those of `HttpxBackend`, which sends the requests that this
    backend cannot: on trio, through a proxy, over HTTP/2 or with your own `http_client`. Responses
    are requested without compression.

    Example:
        ```python
        from tunesmith import FastBackend

        client = AsyncClient(backend=FastBackend("http://127.0.0.1:8000/v1", api_key="none"))
        ```
    """

    @functools.cached_property
    def _fast_pools(self) -> LoopLocal["_Pool"]:
        return LoopLocal(lambda: _Pool(self.base_url, self.max_connections))

    def send(self, request: Request) -> AbstractAsyncContextManager[Response]:
        """Send a request; leaving the context closes the response at once.

        Raises:
            BackendError: No response arrived, or its stream broke.
        """
        blocked_error = blocked_error_for(self.base_url)
        if blocked_error is not None:
            raise blocked_error()
        loop = running_loop()
        if loop is None or not self.connects_directly:
            return super().send(request)
        return _Exchange(self, self._fast_pools.get(loop), request)

    async def encode_head(self, request: Request, host: bytes) -> bytes:
        """Return the request line and the headers of a request.

        Args:
            request: The request.
            host: The value of the header `host`.

        Raises:
            BackendError: A header cannot be sent.
        """
        target = self.url(request)[len(_origin(self.base_url)) :]
        query = self.query(request)
        if query:
            target += "?" + urlencode(query, quote_via=quote)
        head = _encode_head(request, target, host, await self.build_headers(request))
        if head is None:
            raise BackendError(INVALID_HEADER_MESSAGE, phase="closed")
        return head

    async def aclose(self) -> None:
        """Close the connections."""
        await super().aclose()
        await self._fast_pools.aclose(running_loop())


class _Head(bytes):
    """Encoded head of a request; it holds the key, and error reports may print variables."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "<request head>"


def _encode_head(
    request: Request, target: str, host: bytes, headers: dict[str, str]
) -> _Head | None:
    """Return line and headers; None if they contain a character that cannot be sent."""
    if "accept-encoding" not in request.headers:
        headers["accept-encoding"] = "identity"
    if callable(request.body) and "content-length" not in headers:
        headers["transfer-encoding"] = "chunked"
    lines = [f"{request.method} {target} HTTP/1.1", *map(": ".join, headers.items())]
    if not all(map(is_header_safe, lines)):
        return None
    return _Head(b"%b\r\nhost: %b\r\n\r\n" % ("\r\n".join(lines).encode("ascii"), host))


@functools.cache
def _origin(base_url: str) -> str:
    url = urlsplit(base_url)
    return f"{url.scheme}://{url.netloc}"


class _Exchange:
    """Context manager of a request in flight and its response."""

    __slots__ = ("_backend", "_connection", "_pool", "_request")

    def __init__(self, backend: FastBackend, pool: "_Pool", request: Request) -> None:
        self._backend = backend
        self._pool = pool
        self._request = request
        self._connection: Connection | None = None

    async def __aenter__(self) -> Response:
        try:
            # Before a connection is taken: the function that returns the key may take long, and
            # the server may close an idle connection meanwhile.
            head = await self._backend.encode_head(self._request, self._pool.host_header)
            connection = await self._pool.acquire(self._request.timeout)
            self._connection = connection
            response = await connection.send(head, self._request)
            body = decode_body(response.headers, response)
        except BaseException as error:
            if self._connection is not None:
                await self._pool.release(self._connection, reusable=False)
            elif not isinstance(error, Exception):
                mark_unsent(error)
            raise
        return Response(response.status, response.headers, body, keeps_timeout=True)

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        connection = self._connection
        if connection is not None:
            await self._pool.release(connection, reusable=connection.finish())


class _Pool(ConnectionPool[Connection]):
    """Connections to one server in one event loop.

    Args:
        base_url: The URL of the server.
        max_connections: Maximum number of open connections.
    """

    def __init__(self, base_url: str, max_connections: int) -> None:
        super().__init__(self._connect_to_server, max_connections, KEEPALIVE_EXPIRY_S)
        url = urlsplit(base_url)
        secure = url.scheme == "https"
        self.host_header = url.netloc.encode("ascii")
        self._netloc = url.netloc
        self._host = url.hostname or ""
        self._port = url.port or (443 if secure else 80)
        self._tls: ssl.SSLContext | None = tls_context(http2=False) if secure else None
        self._buffer = memoryview(bytearray(_READ_BYTES))

    async def _connect_to_server(self, timeout_s: float | None) -> Connection:
        try:
            with anyio.fail_after(connect_timeout_s(timeout_s)):
                return await connect(self._host, self._port, self._tls, self._buffer)
        except TimeoutError:
            message = f"{self._netloc}: connecting took too long"
            raise BackendError(message, phase="connect_timeout") from None
        except OSError as error:
            message = f"{self._netloc}: {str(error) or type(error).__name__}"
            raise BackendError(message, phase="connect") from None
