"""The default backend: any service that speaks the API over HTTP, by way of httpx."""

import functools
import platform
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from importlib.metadata import version
from importlib.util import find_spec
from types import TracebackType
from typing import TYPE_CHECKING, Any, cast

import anyio
import anyio.lowlevel
import httpx
from pydantic import SecretStr

from tunesmith.backends.base import mark_unsent
from tunesmith.backends.bodies import (
    RequestBody,
    ResponseChunks,
    decode_body,
    is_transport_error,
    to_backend_error,
)
from tunesmith.backends.credentials import (
    INVALID_HEADER_MESSAGE,
    ApiKey,
    conceal,
    resolve_api_key,
    validate_api_key,
    validate_headers,
)
from tunesmith.backends.network import Proxy, blocked_error_for, find_proxy
from tunesmith.backends.pools import ConnectionPool, LoopLocal, closed_error
from tunesmith.backends.settings import (
    KEEPALIVE_EXPIRY_S,
    attempt_timeouts,
    connection_limits,
    parse_base_url,
    tls_context,
    to_httpx_proxy,
)
from tunesmith.errors import BackendError, ConfigurationError
from tunesmith.protocol.message import Request, Response, SecretHeaders, is_header_safe

if TYPE_CHECKING:
    from tunesmith.backends.httpcore import HttpcoreTransport

__all__ = ["HttpClient", "HttpxBackend"]

HttpClient = httpx.AsyncClient
"""The client that users may pass."""

_Pool = ConnectionPool["HttpcoreTransport"]
_Send = Callable[[httpx.Request], Awaitable[httpx.Response]]


class HttpxBackend:
    """Backend over HTTP with connections that are kept alive, in a pool for each event loop.

    Nothing is opened before the first request, so it may be created outside a running event loop.

    Args:
        base_url: The URL of the API, such as `https://api.openai.com/v1`. A user and password in it
            are sent as basic authentication in place of the key.
        api_key: The key, or a function, usually asynchronous, that returns it; None sends none.
        organization: Sent as `OpenAI-Organization`.
        project: Sent as `OpenAI-Project`.
        http_client: Your own `httpx.AsyncClient` (proxies, mTLS, transports); you close it.
        http2: Whether to use HTTP/2 if the service supports it; needs `tunesmith[http2]`.
        max_connections: Maximum number of open connections in an event loop.

    Raises:
        ConfigurationError: An argument is invalid, or HTTP/2 is not installed.

    Example:
        ```python
        backend = HttpxBackend("http://127.0.0.1:8000/v1", api_key="none")
        client = AsyncClient(backend=backend)
        ```
    """

    base_url: str = ""  # error reports may print a backend whose constructor failed

    def __init__(
        self,
        base_url: str | SecretStr,
        *,
        api_key: ApiKey | None = None,
        organization: str | None = None,
        project: str | None = None,
        http_client: httpx.AsyncClient | None = None,
        http2: bool = False,
        max_connections: int = 1000,
    ) -> None:
        base_url, api_key = conceal(base_url), conceal(api_key)
        self.base_url, self._basic_auth = parse_base_url(base_url)
        validate_api_key(api_key)
        if http_client is not None and not isinstance(http_client, httpx.AsyncClient):  # pyright: ignore[reportUnnecessaryIsInstance] - users pass anything
            raise ConfigurationError(
                f"http_client must be an httpx.AsyncClient, not {type(http_client).__qualname__}"
            )
        if http2 and not find_spec("h2"):
            raise ConfigurationError("HTTP/2 needs a package: pip install 'tunesmith[http2]'")
        self._api_key = api_key
        self._headers = {"user-agent": _user_agent(), "accept-encoding": "gzip, deflate"}
        if organization:
            self._headers["openai-organization"] = organization
        if project:
            self._headers["openai-project"] = project
        validate_headers(SecretHeaders(self._headers))
        self._http_client = http_client
        self.http2 = http2
        self.max_connections = max_connections
        self._pools = LoopLocal["_Pool | HttpcoreTransport"](self._create_pool)
        self._mockable_client: httpx.AsyncClient | None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.base_url}>"

    @property
    def closed(self) -> bool:
        """Whether the backend was closed."""
        return self._pools.closed

    @functools.cached_property
    def proxy(self) -> Proxy | None:
        """The proxy from the environment."""
        return find_proxy(self.base_url)

    @property
    def connects_directly(self) -> bool:
        """Whether requests need neither a proxy nor HTTP/2 nor the user's own client."""
        return self._http_client is None and not self.http2 and self.proxy is None

    def send(self, request: Request) -> AbstractAsyncContextManager[Response]:
        """Send a request; leaving the context closes the response at once.

        Raises:
            BackendError: No response arrived, or its stream broke.
        """
        return _Exchange(self, request)

    def url(self, request: Request) -> str:
        """Return the URL of a request, without its query."""
        return self.base_url + request.path

    def query(self, request: Request) -> tuple[tuple[str, str], ...]:
        """Return the query of a request."""
        return request.query

    def auth_header(self, key: str) -> tuple[str, str]:
        """Return the header that carries a key."""
        return "authorization", f"Bearer {key}"

    def extensions(self, request: Request) -> dict[str, Any]:
        """Return the extensions of httpx for a request: its timeouts and the guard of test runs."""
        timeout = {"timeout": attempt_timeouts(request.timeout)}
        blocked_error = blocked_error_for(self.base_url)
        if blocked_error is None:
            return timeout

        async def refuse(_event: str, _info: object) -> None:
            raise blocked_error()

        # Called before each step of a real connection, and not by transports of tests.
        return {**timeout, "trace": refuse}

    async def build_headers(self, request: Request) -> SecretHeaders:
        """Return the headers of a request with its credentials.

        Raises:
            BackendError: A header cannot be sent.
        """
        headers = SecretHeaders(self._headers)
        headers.update(request.headers)
        if self._basic_auth is not None:
            headers.setdefault("authorization", self._basic_auth.get_secret_value())
        elif self._api_key is not None:
            headers.setdefault(*self.auth_header(await resolve_api_key(self._api_key)))
        if not all(map(is_header_safe, headers.values())):
            raise BackendError(INVALID_HEADER_MESSAGE, phase="closed")
        return headers

    async def aclose(self) -> None:
        """Close the connections; your own `http_client` stays open."""
        await self._pools.aclose(anyio.lowlevel.current_token())
        if self._mockable_client is not None:
            await self._mockable_client.aclose()

    def acquire_pool(self) -> "_Pool | HttpcoreTransport | httpx.AsyncClient":
        """Return the pool, transport or client for the next request.

        Raises:
            BackendError: The backend is closed.
        """
        if self.closed:
            raise closed_error()
        if self._http_client is not None:
            return self._http_client
        if _is_mocked():
            if self._mockable_client is None:
                self._mockable_client = httpx.AsyncClient(trust_env=False)
            return self._mockable_client
        return self._pools.get(anyio.lowlevel.current_token())

    def _create_pool(self) -> "_Pool | HttpcoreTransport":
        # Imported here: the fast backend, a subclass, needs neither httpcore nor h11.
        from tunesmith.backends.httpcore import HttpcoreTransport  # noqa: PLC0415

        # Loading the certificates takes most of the time of creating a transport.
        tls = self.base_url.startswith("https:") and tls_context(http2=self.http2)
        proxy = to_httpx_proxy(self.proxy)
        # With HTTP/2, one connection serves many requests at a time.
        limits = connection_limits(self.max_connections if self.http2 else 1)

        def create() -> HttpcoreTransport:
            return HttpcoreTransport(tls, limits, http2=self.http2, proxy=proxy)

        async def connect(_timeout_s: float | None) -> HttpcoreTransport:
            return create()

        if self.http2:
            return create()
        return ConnectionPool(connect, self.max_connections, KEEPALIVE_EXPIRY_S)


class _Exchange:
    """Context manager of a request in flight and its response.

    It is not a generator: that costs as much as a dozen calls.
    """

    __slots__ = (
        "_backend",
        "_body",
        "_chunks",
        "_pool",
        "_request",
        "_response",
        "_transport",
        "_uses_client",
    )

    def __init__(self, backend: HttpxBackend, request: Request) -> None:
        self._backend = backend
        self._request = request
        self._body: RequestBody | None = None
        self._pool: _Pool | None = None
        self._transport: HttpcoreTransport | None = None
        self._uses_client = False

    async def __aenter__(self) -> Response:
        backend, request = self._backend, self._request
        try:
            pool = backend.acquire_pool()
            # Before a connection is taken: the function that returns the key may take long.
            headers = await backend.build_headers(request)
            if isinstance(pool, httpx.AsyncClient):
                self._uses_client = True
                # Redirects are not followed: the key would go to another host.
                send = functools.partial(pool.send, stream=True, follow_redirects=False)
                response = await self._send(pool.build_request, send, headers)
            else:
                self._transport = transport = await self._acquire_transport(pool)
                response = await self._send(httpx.Request, transport.handle_async_request, headers)
            self._response = response
            self._chunks = chunks = ResponseChunks(response)
            names = _headers(response)
            body = chunks if response.is_stream_consumed else decode_body(names, chunks)
        except BaseException as error:
            if self._is_unsent and not isinstance(error, Exception):
                mark_unsent(error)
            await self._release(reusable=False)
            raise
        return Response(response.status_code, names, body, keeps_timeout=True)

    async def _acquire_transport(self, pool: "_Pool | HttpcoreTransport") -> "HttpcoreTransport":
        if not isinstance(pool, ConnectionPool):
            return pool
        transport = await pool.acquire()
        transport.network.has_sent = False
        self._pool = pool
        return transport

    @property
    def _is_unsent(self) -> bool:
        if self._transport is None:
            return not self._uses_client  # a client of the user does not tell
        return not self._transport.network.has_sent

    async def _send(
        self, build: Callable[..., httpx.Request], send: _Send, headers: SecretHeaders
    ) -> httpx.Response:
        backend, request = self._backend, self._request
        if callable(request.body):
            self._body = RequestBody(request.chunks())
        built: httpx.Request | None = None
        try:
            built = build(
                request.method,
                _parse_url(backend.url(request)),
                params=backend.query(request) or None,
                headers=headers,
                content=self._body or cast("bytes | None", request.body),
                extensions=backend.extensions(request),
            )
            if self._body is not None:
                built.stream = self._body
            return await send(built)
        except (UnicodeEncodeError, httpx.InvalidURL):
            raise BackendError(INVALID_HEADER_MESSAGE, phase="closed") from None
        except Exception as error:
            built = None  # its repr shows the query, and error reports may print variables
            is_body_error = self._body is not None and error is self._body.error
            if is_body_error or not is_transport_error(error):
                raise
            if isinstance(error, httpx.LocalProtocolError) and not backend.http2:
                raise BackendError(INVALID_HEADER_MESSAGE, phase="closed") from None
            raise to_backend_error(error, _parse_url(backend.base_url)) from None

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
            await self._release(reusable=True)

    async def _release(self, *, reusable: bool) -> None:
        try:
            if self._body is not None:
                # httpx does not close a body that it stopped reading; its file would stay open.
                await self._body.aclose()
        finally:
            if self._pool is not None and self._transport is not None:
                reusable = reusable and not self._transport.has_surplus
                await self._pool.release(self._transport, reusable=reusable)


@functools.lru_cache(maxsize=256)
def _parse_url(url: str) -> httpx.URL:
    return httpx.URL(url)


def _is_mocked() -> bool:
    """Return whether a mocking library, such as respx, replaced how httpx selects transports."""
    choose = getattr(httpx.AsyncClient, "_transport_for_url", None)
    return choose is not None and not choose.__module__.startswith("httpx.")


@functools.cache
def _user_agent() -> str:
    return f"tunesmith/{version('tunesmith')} Python/{platform.python_version()}"


def _headers(response: httpx.Response) -> dict[str, str]:
    headers: dict[str, str] = {}
    for raw_name, raw_value in response.headers.raw:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers
