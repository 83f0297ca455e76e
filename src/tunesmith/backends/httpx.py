"""The default backend: any service that speaks the API over HTTP, by way of httpx."""

import functools
import platform
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from importlib.metadata import version
from typing import Any

import anyio
import anyio.lowlevel
import httpx
from pydantic import SecretStr

from tunesmith.backends.network import refusal_for
from tunesmith.errors import BackendError, ConfigurationError, Phase
from tunesmith.protocol.message import Request, Response

__all__ = ["ApiKey", "HttpClient", "HttpxBackend"]

ApiKey = str | SecretStr | Callable[[], Awaitable[str]]
"""A key, or an asynchronous function that is asked for one before each attempt."""

HttpClient = httpx.AsyncClient
"""A client of the user's own."""

_CONNECT_S = 10.0
"""A service that does not even take a connection in this time is not there."""

_BAD_HEADER = (
    "nothing was sent: the key or a header holds what no header may, such as the end of a line or "
    "a letter beyond ASCII"
)
"""In place of the words of httpx, which quote the header."""


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
        if url.scheme not in {"http", "https"} or not url.host:
            raise ConfigurationError(
                f"base_url must be an http or https URL, such as https://api.openai.com/v1, "
                f"not {_without_credentials(url)!r}"
            )
        if http2 and not _installed("h2"):
            raise ConfigurationError("HTTP/2 needs a package: pip install 'tunesmith[http2]'")
        self.base_url = str(url).rstrip("/")
        if isinstance(api_key, str):
            api_key = SecretStr(api_key)
        if not _is_key(api_key):
            raise ConfigurationError(
                "api_key must be one line of ASCII text, or an asynchronous function that gives it"
            )
        self._api_key = api_key
        self._headers = {"user-agent": _user_agent()}
        if organization:
            self._headers["openai-organization"] = organization
        if project:
            self._headers["openai-project"] = project
        self._given = http_client
        self._http2 = http2
        self._max_connections = max_connections
        self._own: tuple[object, httpx.AsyncClient] | None = None
        self._closed = False

    def __repr__(self) -> str:
        return f"<HttpxBackend {_without_credentials(httpx.URL(self.base_url))}>"

    @asynccontextmanager
    async def send(self, request: Request) -> AsyncGenerator[Response]:
        """Send a request; leaving the context closes the response at once.

        Raises:
            BackendError: No answer came, or it broke off.
        """
        client = self._client()
        # httpx does not close a body that it stopped to read; its file would stay open.
        async with aclosing(request.chunks()) as body:
            try:
                built = client.build_request(
                    request.method,
                    self.url(request),
                    params=self.query(request) or None,
                    # In no variable, since some reports of errors show those, and one is the key.
                    headers=await self._all_headers(request),
                    content=body if callable(request.body) else request.body,
                    timeout=httpx.Timeout(request.timeout_s, connect=_connect_s(request.timeout_s)),
                    extensions=self._extensions,
                )
                # A redirect is answered, not followed: the key is not carried to another address.
                response = await client.send(built, stream=True, follow_redirects=False)
            except (UnicodeEncodeError, httpx.LocalProtocolError):
                raise BackendError(_BAD_HEADER, phase="closed") from None
            except httpx.HTTPError as error:
                raise _backend_error(error) from None
        try:
            async with aclosing(_chunks(response)) as chunks:
                yield Response(response.status_code, _lower_case(response.headers), chunks)
        finally:
            with anyio.CancelScope(shield=True):
                await response.aclose()

    def url(self, request: Request) -> str:
        """Say where a request goes."""
        return self.base_url + request.path

    def query(self, request: Request) -> tuple[tuple[str, str], ...]:
        """Say with what query a request goes."""
        return request.query

    def credentials(self, key: str) -> tuple[str, str]:
        """Say in what header a key goes."""
        return "authorization", f"Bearer {key}"

    @property
    def _extensions(self) -> dict[str, Any]:
        refusal = refusal_for(self.base_url)
        if refusal is None:
            return {}

        async def refuse(_event: str, _info: object) -> None:
            raise refusal()

        # Asked before each step of a real connection, and never by transports that only act so.
        return {"trace": refuse}

    async def _all_headers(self, request: Request) -> dict[str, str]:
        headers = {**self._headers, **request.headers}
        key = self._api_key
        if key is not None:
            secret = key.get_secret_value() if isinstance(key, SecretStr) else await key()
            if not _can_be_sent(secret):
                raise BackendError(_BAD_HEADER, phase="closed")
            headers.setdefault(*self.credentials(secret))
        return headers

    async def aclose(self) -> None:
        """Close the connections; a client that was given stays open."""
        self._closed = True
        own, self._own = self._own, None
        if own is not None and own[0] == anyio.lowlevel.current_token():
            await own[1].aclose()

    def _client(self) -> httpx.AsyncClient:
        if self._closed:
            raise BackendError("the client is closed", phase="closed")
        if self._given is not None:
            return self._given
        # Connections live in one event loop. In the next one (a second `asyncio.run`, a test) the
        # old ones are dead, and using them is the well-known "Event loop is closed".
        loop = anyio.lowlevel.current_token()
        if self._own is None or self._own[0] != loop:
            self._own = (loop, self._new_client())
        return self._own[1]

    def _new_client(self) -> httpx.AsyncClient:
        secure = self.base_url.startswith("https:")
        return httpx.AsyncClient(
            # Reading the certificates takes most of the time of making a client.
            verify=_tls_context() if secure else False,
            http2=self._http2,
            limits=httpx.Limits(
                max_connections=self._max_connections,
                max_keepalive_connections=self._max_connections,
                keepalive_expiry=30.0,
            ),
        )


@functools.cache
def _tls_context() -> ssl.SSLContext:
    return httpx.create_ssl_context()


@functools.cache
def _user_agent() -> str:
    return f"tunesmith/{version('tunesmith')} Python/{platform.python_version()}"


def _installed(module: str) -> bool:
    from importlib.util import find_spec  # noqa: PLC0415 - only asked when HTTP/2 is

    return find_spec(module) is not None


def _is_key(key: object) -> bool:
    if isinstance(key, SecretStr):
        return _can_be_sent(key.get_secret_value())
    return key is None or callable(key)


def _can_be_sent(key: str) -> bool:
    # Found out here, since the HTTP libraries would quote the key, in logs too.
    return key.isascii() and key.isprintable()


def _connect_s(timeout_s: float | None) -> float:
    return _CONNECT_S if timeout_s is None else min(timeout_s, _CONNECT_S)


def _lower_case(headers: httpx.Headers) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def _without_credentials(url: httpx.URL) -> str:
    return str(url.copy_with(userinfo=b"")) if url.userinfo else str(url)


async def _chunks(response: httpx.Response) -> AsyncGenerator[bytes]:
    try:
        async for chunk in response.aiter_bytes():
            yield chunk
    except (httpx.HTTPError, httpx.StreamError) as error:
        raise _backend_error(error) from None


_PHASES: dict[type[Exception], Phase] = {
    httpx.ConnectTimeout: "connect_timeout",
    httpx.PoolTimeout: "connect_timeout",
    httpx.TimeoutException: "timeout",
    httpx.ConnectError: "connect",
    httpx.ProxyError: "connect",
    httpx.UnsupportedProtocol: "connect",
    httpx.WriteError: "write",
}


def _backend_error(error: Exception) -> BackendError:
    # The message of an httpx error is often empty.
    message = str(error) or type(error).__name__
    for kind, phase in _PHASES.items():
        if isinstance(error, kind):
            return BackendError(message, phase=phase)
    return BackendError(message, phase="read")
