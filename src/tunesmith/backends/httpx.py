"""The default backend: any service that speaks the API over HTTP, by way of httpx."""

import functools
import platform
import ssl
import urllib.request
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from importlib.metadata import version
from types import TracebackType
from typing import Any, cast
from urllib.parse import urlsplit

import anyio
import anyio.lowlevel
import httpx

from tunesmith.backends.credentials import (
    INVALID_HEADER_MESSAGE,
    ApiKey,
    resolve_api_key,
    wrap_api_key,
)
from tunesmith.backends.network import blocked_error_for
from tunesmith.backends.pools import ConnectionPool
from tunesmith.errors import BackendError, ConfigurationError, Phase
from tunesmith.protocol.message import Request, Response

__all__ = ["HttpClient", "HttpxBackend", "connect_timeout_s", "tls_context"]

HttpClient = httpx.AsyncClient
"""A client of the user's own."""

_Send = Callable[[httpx.Request], Awaitable[httpx.Response]]
_Pools = ConnectionPool[httpx.AsyncHTTPTransport]

_KEEPALIVE_EXPIRY_S = 30.0

_CONNECT_S = 10.0
"""A service that does not even take a connection in this time is not there."""

_parse_url = functools.lru_cache(maxsize=256)(httpx.URL)

_MAX_LABEL_BYTES = 63
"""Of a part of a host's name, in bytes (RFC 1035, section 2.3.4); Python fails over longer ones."""


class HttpxBackend:
    """Sends requests over HTTP; connections are kept alive, and pooled by event loop.

    Nothing is opened before the first request, so it may be made outside a running loop.

    Args:
        base_url: Where the API is, such as `https://api.openai.com/v1`.
        api_key: The key, or an asynchronous function that gives one; None sends none.
        organization: Sent as `OpenAI-Organization`.
        project: Sent as `OpenAI-Project`.
        http_client: A client of your own (proxies, mTLS, transports); it stays yours to close.
        http2: Whether to speak HTTP/2 where the service does; needs `tunesmith[http2]`.
        max_connections: How many connections may be open at once.

    Raises:
        ConfigurationError: The URL is none, or HTTP/2 is asked for and not installed.

    Example:
        ```python
        backend = HttpxBackend("http://127.0.0.1:8000/v1", api_key="none")
        client = AsyncClient(backend=backend)
        ```
    """

    def __init__(
        self,
        base_url: str,
        *,
        api_key: ApiKey | None = None,
        organization: str | None = None,
        project: str | None = None,
        http_client: httpx.AsyncClient | None = None,
        http2: bool = False,
        max_connections: int = 1000,
    ) -> None:
        self.base_url = ""  # to be shown in reports of what follows
        try:
            url = httpx.URL(base_url)
        except httpx.InvalidURL as error:
            raise ConfigurationError(f"base_url is no URL: {error}") from None
        if not _is_valid_base_url(url):
            raise ConfigurationError(
                f"base_url must be an http or https URL without a query, such as "
                f"https://api.openai.com/v1, not {_without_credentials(url)!r}"
            )
        if http2 and not _installed("h2"):
            raise ConfigurationError("HTTP/2 needs a package: pip install 'tunesmith[http2]'")
        self.base_url = str(url).rstrip("/")
        self._api_key = wrap_api_key(api_key)
        self._headers = {"user-agent": _user_agent()}
        if http_client is None:
            self._headers["accept-encoding"] = "gzip, deflate"
        if organization:
            self._headers["openai-organization"] = organization
        if project:
            self._headers["openai-project"] = project
        self._given = http_client
        self._http2 = http2
        self.max_connections = max_connections
        self._own: tuple[object, httpx.AsyncClient | _Pools] | None = None
        self.closed = False

    def __repr__(self) -> str:
        return f"<HttpxBackend {_without_credentials(httpx.URL(self.base_url))}>"

    def send(self, request: Request) -> AbstractAsyncContextManager[Response]:
        """Send a request; leaving the context closes the response at once.

        Raises:
            BackendError: No answer came, or it broke off.
        """
        return _Exchange(self, request)

    def url(self, request: Request) -> str:
        """Say where a request goes."""
        return self.base_url + request.path

    def query(self, request: Request) -> tuple[tuple[str, str], ...]:
        """Say with what query a request goes."""
        return request.query

    def auth_header(self, key: str) -> tuple[str, str]:
        """Say in what header a key goes."""
        return "authorization", f"Bearer {key}"

    def extensions(self, request: Request) -> dict[str, Any]:
        """Say what httpx is told beside the request: time limits, and the guard of tests."""
        timeout = {"timeout": _timeout(request.timeout_s)}
        refusal = blocked_error_for(self.base_url)
        if refusal is None:
            return timeout

        async def refuse(_event: str, _info: object) -> None:
            raise refusal()

        # Asked before each step of a real connection, and never by transports that only act so.
        return {**timeout, "trace": refuse}

    async def build_headers(self, request: Request) -> dict[str, str]:
        """Give a request's headers, credentials and all."""
        headers = {**self._headers, **request.headers}
        if self._api_key is not None:
            headers.setdefault(*self.auth_header(await resolve_api_key(self._api_key)))
        return headers

    async def aclose(self) -> None:
        """Close the connections; a client that was given stays open."""
        self.closed = True
        own, self._own = self._own, None
        if own is not None and own[0] == anyio.lowlevel.current_token():
            await own[1].aclose()

    def acquire_client(self) -> "httpx.AsyncClient | _Pools":
        """Say over what the next request goes.

        Raises:
            BackendError: The client is closed.
        """
        if self.closed:
            raise BackendError("the client is closed", phase="closed")
        return self._given or self._client_for_loop()

    def _client_for_loop(self) -> "httpx.AsyncClient | _Pools":
        # Connections live in one event loop. In the next one (a second `asyncio.run`, a test) the
        # old ones are dead, and using them is the well-known "Event loop is closed".
        loop = anyio.lowlevel.current_token()
        if self._own is None or self._own[0] != loop:
            self._own = (loop, self._new_pools() if self.uses_own_pool() else self._new_client())
        return self._own[1]

    def uses_own_pool(self) -> bool:
        """Whether nothing is asked for that takes more of httpx than its connections."""
        if self._given is not None or self._http2:
            return False
        url = urlsplit(self.base_url)
        proxies = urllib.request.getproxies()
        proxied = url.scheme in proxies or "all" in proxies
        return "@" not in url.netloc and not (
            proxied and not urllib.request.proxy_bypass(url.hostname or "")
        )

    def _new_pools(self) -> "_Pools":
        tls = self._tls()
        return ConnectionPool(
            lambda: httpx.AsyncHTTPTransport(verify=tls, limits=_limits(1)),
            self.max_connections,
            _KEEPALIVE_EXPIRY_S,
        )

    def _new_client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            verify=self._tls(), http2=self._http2, limits=_limits(self.max_connections)
        )

    def _tls(self) -> ssl.SSLContext | bool:
        # Reading the certificates takes most of the time of making a client.
        return self.base_url.startswith("https:") and tls_context(http2=self._http2)


class _Exchange:
    """A request under way and its response; a context manager.

    No generator, nor are the pools and the body: each costs as much as a dozen calls.
    """

    __slots__ = ("_backend", "_body", "_chunks", "_pool", "_request", "_response")

    def __init__(self, backend: HttpxBackend, request: Request) -> None:
        self._backend = backend
        self._request = request
        self._pool: tuple[_Pools, httpx.AsyncHTTPTransport] | None = None
        self._body: AsyncGenerator[bytes] | None = None

    async def __aenter__(self) -> Response:
        way = self._backend.acquire_client()
        try:
            if isinstance(way, ConnectionPool):
                transport = await way.acquire()
                self._pool = way, transport
                response = await self._send(httpx.Request, transport.handle_async_request)
            else:
                # A redirect is answered, not followed: the key is not carried to another address.
                send = functools.partial(way.send, stream=True, follow_redirects=False)
                response = await self._send(way.build_request, send)
        except BaseException:
            await self._release(broken=True)
            raise
        self._response = response
        self._chunks = chunks = _Chunks(response)
        return Response(response.status_code, _headers(response), chunks, keeps_timeout=True)

    async def _send(self, build: Callable[..., httpx.Request], send: _Send) -> httpx.Response:
        backend, request = self._backend, self._request
        if callable(request.body):
            self._body = request.chunks()
        try:
            built = build(
                request.method,
                _parse_url(backend.url(request)),
                params=backend.query(request) or None,
                # In no variable: some reports of errors show those, and one is the key.
                headers=await backend.build_headers(request),
                content=self._body or cast("bytes | None", request.body),
                extensions=backend.extensions(request),
            )
            if self._body is not None:
                built.stream = _Body(self._body)
            return await send(built)
        except (UnicodeEncodeError, httpx.InvalidURL, httpx.LocalProtocolError):
            raise BackendError(INVALID_HEADER_MESSAGE, phase="closed") from None
        except httpx.HTTPError as error:
            raise _backend_error(error, _parse_url(backend.base_url)) from None

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            with anyio.CancelScope(shield=True):
                await self._chunks.aclose()
                await self._response.aclose()
        finally:
            await self._release()

    async def _release(self, *, broken: bool = False) -> None:
        try:
            if self._body is not None:
                # httpx does not close a body that it stopped to read; its file would stay open.
                await self._body.aclose()
        finally:
            if self._pool is not None:
                pools, transport = self._pool
                # httpx may count a connection for ever whose opening was cancelled.
                await (pools.discard(transport) if broken else pools.release(transport))


class _Body(httpx.AsyncByteStream):
    """The body of a request, without a generator of httpx around it that nobody closes."""

    def __init__(self, chunks: AsyncGenerator[bytes]) -> None:
        self._chunks = chunks

    def __aiter__(self) -> AsyncGenerator[bytes]:
        return self._chunks


class _Chunks:
    """The body of a response, as it comes."""

    __slots__ = ("_iterator",)

    def __init__(self, response: httpx.Response) -> None:
        # What is not encoded is taken from the stream itself, past two generators of httpx.
        encoded = "content-encoding" in response.headers
        stream = (
            response.aiter_bytes() if encoded else cast("httpx.AsyncByteStream", response.stream)
        )
        self._iterator = aiter(stream)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        try:
            return await anext(self._iterator)
        except (httpx.HTTPError, httpx.StreamError) as error:
            raise _backend_error(error) from None

    async def aclose(self) -> None:
        aclose = getattr(self._iterator, "aclose", None)
        if aclose is not None:
            await aclose()


def _limits(connections: int) -> httpx.Limits:
    return httpx.Limits(
        max_connections=connections,
        max_keepalive_connections=connections,
        keepalive_expiry=_KEEPALIVE_EXPIRY_S,
    )


def _timeout(timeout_s: float | None) -> dict[str, float | None]:
    return httpx.Timeout(timeout_s, connect=connect_timeout_s(timeout_s)).as_dict()


@functools.cache
def tls_context(*, http2: bool) -> ssl.SSLContext:  # noqa: ARG001 - whoever connects sets ALPN in it
    """Say what certificates are trusted: those of the environment, or the usual ones."""
    return httpx.create_ssl_context()


@functools.cache
def _user_agent() -> str:
    return f"tunesmith/{version('tunesmith')} Python/{platform.python_version()}"


def _installed(module: str) -> bool:
    from importlib.util import find_spec  # noqa: PLC0415 - only asked when HTTP/2 is

    return find_spec(module) is not None


def _is_valid_base_url(url: httpx.URL) -> bool:
    names = url.raw_host.removesuffix(b".").split(b".")
    return (
        url.scheme in {"http", "https"}
        and all(0 < len(name) <= _MAX_LABEL_BYTES for name in names)
        and not (url.query or url.fragment)
        and (url.port is None or 0 < url.port < 1 << 16)
    )


def connect_timeout_s(timeout_s: float | None) -> float:
    """Say how many seconds connecting may take in an attempt of so many."""
    return _CONNECT_S if timeout_s is None else min(timeout_s, _CONNECT_S)


def _headers(response: httpx.Response) -> dict[str, str]:
    headers: dict[str, str] = {}
    for raw_name, raw_value in response.headers.raw:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def _without_credentials(url: httpx.URL) -> str:
    return str(url.copy_with(userinfo=b"")) if url.userinfo else str(url)


_PHASES: dict[type[Exception], Phase] = {
    httpx.ConnectTimeout: "connect_timeout",
    httpx.PoolTimeout: "connect_timeout",
    httpx.TimeoutException: "timeout",
    httpx.ConnectError: "connect",
    httpx.ProxyError: "connect",
    httpx.UnsupportedProtocol: "connect",
    httpx.WriteError: "write",
}


def _backend_error(error: Exception, url: httpx.URL | None = None) -> BackendError:
    # The message of an httpx error is often empty, and never says where it could not connect.
    message = str(error) or type(error).__name__
    for kind, phase in _PHASES.items():
        if isinstance(error, kind):
            connecting = phase in {"connect", "connect_timeout"}
            where = f"{url.netloc.decode()}: " if url and connecting else ""
            return BackendError(where + message, phase=phase)
    return BackendError(message, phase="read")
