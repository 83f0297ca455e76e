"""The door for clients in the same process: a transport for httpx over any backend."""

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
"""How httpx calls what a backend can raise."""


class HttpxTransport(httpx.AsyncBaseTransport, httpx.BaseTransport):
    """Lets a client that is built on httpx talk to a backend, without a socket.

    The answer's bytes come as the backend gives them, and closing a response early ends it at once.
    The client's read timeout holds, in the backend's time. Clients built on httpx2, the successor
    of httpx, may use it as well.

    Synchronous clients may use it, too: the backend then runs in a thread of the transport's own.
    One backend belongs to one event loop, or to one such thread, at a time.

    Args:
        backend: Answers below `/v1`, whatever the host; closing the transport leaves it open.
        api_key: The key to ask for; with None any key will do, but one must be there.

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
        self._entrance = HttpGateway(backend, api_key)
        self._clock = get_clock(backend)
        self._thread = BlockingPortalThread()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer a request; part of httpx."""
        sent = cast("httpx.AsyncByteStream", request.stream)
        exchange = self._exchange(request, sent.__aiter__)
        response = await exchange.__aenter__()
        return _response_for(request, response, exchange)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Answer a request of a synchronous client; part of httpx."""
        exchange = self._exchange(request, request.read())
        portal = self._thread.portal()
        entered = portal.wrap_async_context_manager(exchange)
        response = entered.__enter__()
        return _response_for(request, response, exchange, portal, entered)

    def close(self) -> None:
        """End the thread for synchronous clients, if there is one; part of httpx."""
        self._thread.stop()

    def _exchange(self, request: httpx.Request, body: Body) -> "_Exchange":
        timeout: Mapping[str, float | None] = request.extensions.get("timeout", {})
        read_s = timeout.get("read")
        call = RawRequest(
            method=request.method,
            target=request.url.raw_path.decode("ascii"),
            headers=RawRequest.join_repeated_headers(request.headers.multi_items()),
            body=body,
            timeout_s=read_s,
        )
        return _Exchange(self._entrance.handle(call), self._clock, read_s, request)


class _Exchange:
    """One call and its answer, under a timeout; its errors are those of the caller's library."""

    def __init__(
        self,
        answering: AbstractAsyncContextManager[Response],
        clock: Clock,
        read_s: float | None,
        request: httpx.Request,
    ) -> None:
        self._answering = answering
        self._clock = clock
        self._read_s = read_s
        self._request = request
        self._chunks: AsyncIterator[bytes] | None = None

    async def __aenter__(self) -> Response:
        with self._translated_errors():
            response = await self._answering.__aenter__()
        self._chunks = response.stream
        return response

    async def __aexit__(self, *exc_info: object) -> None:
        chunks, self._chunks = self._chunks, None
        if chunks is not None:
            await self._answering.__aexit__(None, None, None)

    async def next_chunk(self) -> bytes | None:
        """Wait for the next bytes; None at the end."""
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
            kind = getattr(library, _ERRORS[error.phase])
            raise kind(str(error), request=self._request) from error
        except TimeoutError:
            message = f"nothing came within {self._read_s} s"
            raise library.ReadTimeout(message, request=self._request) from None


class _Stream:
    """The body of an answer, as httpx wants it."""

    def __init__(
        self,
        exchange: _Exchange,
        portal: BlockingPortal | None = None,
        entered: AbstractContextManager[Response] | None = None,
    ) -> None:
        self._exchange = exchange
        self._portal = portal
        self._entered = entered

    # No generators: one that is left early would wait for the garbage collector.
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
        assert self._portal is not None  # noqa: S101 - httpx keeps the two kinds apart
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
    made = library.Response(response.status, headers=dict(response.headers), stream=stream)
    return cast("httpx.Response", made)


@cache
def _stream_class(library: Any) -> type[_Stream]:
    # httpx and httpx2 each ask that a stream is of their own class.
    return type("Stream", (_Stream, library.AsyncByteStream, library.SyncByteStream), {})


def _library_of(request: object) -> Any:
    return httpx if isinstance(request, httpx.Request) else sys.modules["httpx2"]
