"""httpx transport over any backend, for clients in the same process."""

import sys
from collections.abc import AsyncIterator, Generator, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager, contextmanager
from functools import cache
from typing import Any, cast

import httpx
from anyio.from_thread import BlockingPortal
from pydantic import SecretStr

from tunesmith.backends.base import Backend, Clock, get_clock
from tunesmith.errors import BackendError, Phase
from tunesmith.protocol.message import Body, Response
from tunesmith.service.http.gateway import HttpGateway, RawRequest
from tunesmith.service.http.portal_thread import BlockingPortalThread

__all__ = ["HttpxTransport"]

_ERRORS: Mapping[Phase, str] = {
    "connect": "ConnectError",
    "connect_timeout": "ConnectTimeout",
    "write": "WriteError",
    "read": "ReadError",
    "timeout": "ReadTimeout",
    "closed": "ConnectError",
}
"""Names of httpx errors, by the phase of a backend error."""


class HttpxTransport(httpx.AsyncBaseTransport, httpx.BaseTransport):
    """httpx transport to a backend, without a socket.

    Responses are streamed as the backend sends them, and closing a response early ends it at once.
    The client's read timeout applies, by the backend's clock. Clients built on httpx2, the
    successor of httpx, are supported.

    For synchronous clients, the backend runs in a thread of the transport. A backend belongs to
    one event loop, or to one such thread, at a time.

    Args:
        backend: The backend, served below `/v1` of any host; closing the transport leaves it open.
        api_key: The required key; None accepts any key, but not its absence.

    Example:
        ```python
        import httpx

        from tunesmith.service.http.httpx_transport import HttpxTransport

        with httpx.Client(
            transport=HttpxTransport(MemoryBackend()),
            base_url="http://service/v1",
            headers={"Authorization": "Bearer any"},
        ) as http:
            print(http.get("/models").json())
        ```
    """

    def __init__(self, backend: Backend, *, api_key: str | SecretStr | None = None) -> None:
        self._gateway = HttpGateway(backend, api_key)
        self._clock = get_clock(backend)
        self._thread = BlockingPortalThread()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request; part of httpx."""
        body = cast("httpx.AsyncByteStream", request.stream)
        exchange = self._exchange(request, body.__aiter__)
        response = await exchange.__aenter__()
        return _response_for(request, response, exchange)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request of a synchronous client; part of httpx."""
        exchange = self._exchange(request, request.read())
        portal = self._thread.portal()
        entered = portal.wrap_async_context_manager(exchange)
        response = entered.__enter__()
        return _response_for(request, response, exchange, portal, entered)

    def close(self) -> None:
        """Stop the thread for synchronous clients, if there is one; part of httpx."""
        self._thread.stop()

    def _exchange(self, request: httpx.Request, body: Body) -> "_Exchange":
        timeout: Mapping[str, float | None] = request.extensions.get("timeout", {})
        read_s = timeout.get("read")
        raw_request = RawRequest(
            method=request.method,
            target=request.url.raw_path.decode("ascii"),
            headers=RawRequest.join_repeated_headers(request.headers.multi_items()),
            body=body,
            timeout_s=read_s,
        )
        return _Exchange(self._gateway.handle(raw_request), self._clock, read_s, request)


class _Exchange:
    """Request and its response, with a timeout and the errors of the client's library."""

    def __init__(
        self,
        handling: AbstractAsyncContextManager[Response],
        clock: Clock,
        read_s: float | None,
        request: httpx.Request,
    ) -> None:
        self._handling = handling
        self._clock = clock
        self._read_s = read_s
        self._request = request
        self._chunks: AsyncIterator[bytes] | None = None

    async def __aenter__(self) -> Response:
        with self._translated_errors():
            response = await self._handling.__aenter__()
        self._chunks = response.stream
        return response

    async def __aexit__(self, *exc_info: object) -> None:
        chunks, self._chunks = self._chunks, None
        if chunks is not None:
            await self._handling.__aexit__(None, None, None)

    async def next_chunk(self) -> bytes | None:
        """Return the next bytes; None at the end."""
        if self._chunks is None:
            return None
        with self._translated_errors():
            return await anext(self._chunks, None)

    @contextmanager
    def _translated_errors(self) -> Generator[None]:
        library: Any = _library_of(self._request)
        try:
            if self._read_s is None:
                yield
            else:
                with self._clock.fail_after(self._read_s):
                    yield
        except BackendError as error:
            error_type = getattr(library, _ERRORS[error.phase])
            raise error_type(str(error), request=self._request) from error
        except TimeoutError:
            message = f"no data within {self._read_s} s"
            raise library.ReadTimeout(message, request=self._request) from None


class _Stream:
    """Body of a response, as httpx reads it."""

    def __init__(
        self,
        exchange: _Exchange,
        portal: BlockingPortal | None = None,
        entered: AbstractContextManager[Response] | None = None,
    ) -> None:
        self._exchange = exchange
        self._portal = portal
        self._entered = entered

    # Not generators: if left early, they are closed only by the garbage collector.
    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        chunk = await self._exchange.next_chunk()
        if chunk is None:
            raise StopAsyncIteration
        return chunk

    async def aclose(self) -> None:
        await self._exchange.__aexit__()

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        assert self._portal is not None  # noqa: S101 - httpx never mixes the two kinds
        chunk = self._portal.call(self._exchange.next_chunk)
        if chunk is None:
            raise StopIteration
        return chunk

    def close(self) -> None:
        entered, self._entered = self._entered, None
        if entered is not None:
            entered.__exit__(None, None, None)


def _response_for(
    request: httpx.Request,
    response: Response,
    exchange: _Exchange,
    portal: BlockingPortal | None = None,
    entered: AbstractContextManager[Response] | None = None,
) -> httpx.Response:
    library: Any = _library_of(request)
    stream = _stream_class(library)(exchange, portal, entered)
    result = library.Response(response.status, headers=dict(response.headers), stream=stream)
    return cast("httpx.Response", result)


@cache
def _stream_class(library: Any) -> type[_Stream]:
    # httpx and httpx2 each require a stream of their own class.
    return type("Stream", (_Stream, library.AsyncByteStream, library.SyncByteStream), {})


def _library_of(request: object) -> Any:
    return httpx if isinstance(request, httpx.Request) else sys.modules["httpx2"]
