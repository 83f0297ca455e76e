"""ASGI app over any backend."""

import logging
from collections.abc import (
    AsyncGenerator,
    Awaitable,
    Callable,
    Collection,
    Coroutine,
    Mapping,
    MutableMapping,
)
from typing import Any

import anyio
from pydantic import SecretStr
from pydantic_core import to_json

from tunesmith.backends.base import Backend
from tunesmith.errors import BackendError
from tunesmith.service.core.errors import internal_error
from tunesmith.service.http.cors import CorsPolicy
from tunesmith.service.http.gateway import HttpGateway, Pages, RawRequest

__all__ = ["ABORT", "ASGIApp"]

_logger = logging.getLogger("tunesmith.service")

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

ABORT = "tunesmith.abort"
"""Name of the ASGI extension by which an app closes the connection abruptly."""

_NO_CONTENT = 204
_INTERNAL_ERROR = 500


class ASGIApp:
    """ASGI app over a backend; it needs no framework, and runs on asyncio and trio.

    The API is served below `/v1`, its document at `/openapi.json`. If the client disconnects, its
    response ends at once. If the backend raises `BackendError`, the connection is closed, as far as
    the server allows: `tunesmith serve` does so at any time.

    Args:
        backend: The backend; the app does not close it.
        api_key: The required key; None accepts any key, but not its absence.
        cors_origins: Origins whose web pages may use the API, such as `https://example.com`; `*`
            allows all.
        background: Function that runs as long as the app, such as `Service.run_lifecycles`; the
            server must support the lifespan protocol.
        pages: Function that responds to requests beside those of the API, such as a `Playground`.

    Example:
        ```python
        from tunesmith.service.http.asgi import ASGIApp

        app = ASGIApp(MemoryBackend())  # then, from the shell: uvicorn module:app
        ```
    """

    def __init__(
        self,
        backend: Backend,
        *,
        api_key: str | SecretStr | None = None,
        cors_origins: Collection[str] = (),
        background: Callable[[], Coroutine[Any, Any, None]] | None = None,
        pages: Pages | None = None,
    ) -> None:
        self._gateway = HttpGateway(backend, api_key, pages)
        self._cors = CorsPolicy(cors_origins)
        self._background = background

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve a request; part of ASGI."""
        if scope["type"] == "lifespan":
            async with anyio.create_task_group() as tasks:
                if self._background is not None:
                    tasks.start_soon(self._background)
                for event in ("startup", "shutdown"):
                    await receive()
                    await send({"type": f"lifespan.{event}.complete"})
                tasks.cancel_scope.cancel()
        elif scope["type"] == "http":
            await _RequestTask(self._gateway, self._cors, scope, receive, send).run()
        else:
            await send({"type": "websocket.close"})


class _RequestTask:
    """One request, from its first byte to the last one of its response."""

    def __init__(
        self,
        gateway: HttpGateway,
        cors: CorsPolicy,
        scope: Message,
        receive: Receive,
        send: Send,
    ) -> None:
        self._gateway = gateway
        self._cors = cors
        self._scope = scope
        self._receive = receive
        self._asgi_send = send
        self._headers = RawRequest.join_repeated_headers(
            (name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]
        )
        self._body_read = anyio.Event()
        self._started = False
        self._disconnected = False

    async def run(self) -> None:
        preflight = self._cors.preflight_headers(self._scope["method"], self._headers)
        if preflight:
            await self._respond(_NO_CONTENT, preflight, b"")
            return
        failure: Exception | None = None
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._cancel_on_disconnect, tasks.cancel_scope)
            try:
                async with self._gateway.handle(self._to_raw_request()) as response:
                    await self._start(response.status, response.headers)
                    async for chunk in response.stream:
                        await self._send_body(chunk, more=True)
                await self._send_body(b"", more=False)
            except BackendError:
                failure = await self._abort()
            except Exception as error:
                if self._started:
                    failure = error
                else:
                    method, path = self._scope["method"], self._scope["path"]
                    _logger.exception("%s %s failed", method, path)
                    body = to_json(internal_error().body())
                    headers = {"content-type": "application/json"}
                    await self._respond(_INTERNAL_ERROR, headers, body)
            tasks.cancel_scope.cancel()
        if failure is not None:
            raise failure  # the server closes the connection, and logs the error

    def _to_raw_request(self) -> RawRequest:
        scope, headers = self._scope, self._headers
        path: bytes = scope.get("raw_path") or scope["path"].encode()
        path = path.removeprefix(scope.get("root_path", "").encode())  # of an enclosing app
        query: bytes = scope.get("query_string", b"")
        if headers.get("content-length", "0") == "0" and "transfer-encoding" not in headers:
            self._body_read.set()
        return RawRequest(
            method=scope["method"],
            target=(path + b"?" + query if query else path).decode("latin-1"),
            headers=headers,
            body=self._body,
        )

    async def _body(self) -> AsyncGenerator[bytes]:
        while not self._body_read.is_set():
            message = await self._receive()
            if message["type"] == "http.disconnect":
                self._disconnected = True
                raise BackendError("the client disconnected", phase="write")
            if not message.get("more_body", False):
                self._body_read.set()
            yield message.get("body", b"")

    async def _cancel_on_disconnect(self, scope: anyio.CancelScope) -> None:
        # While the body is read, its reader receives the message.
        await self._body_read.wait()
        while (await self._receive())["type"] != "http.disconnect":
            pass
        scope.cancel()

    async def _respond(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        await self._start(status, {**headers, "content-length": str(len(body))})
        await self._send_body(body, more=False)

    async def _start(self, status: int, headers: Mapping[str, str]) -> None:
        self._started = True
        encoded = [
            (name.encode("latin-1"), value.encode("latin-1", "replace"))
            for name, value in {**headers, **self._cors.response_headers(self._headers)}.items()
        ]
        await self._send({"type": "http.response.start", "status": status, "headers": encoded})

    async def _send_body(self, body: bytes, *, more: bool) -> None:
        await self._send({"type": "http.response.body", "body": body, "more_body": more})

    async def _send(self, message: Message) -> None:
        try:
            await self._asgi_send(message)
        except OSError as error:
            self._disconnected = True
            raise BackendError("the client disconnected", phase="write") from error

    async def _abort(self) -> Exception | None:
        """Close the connection; return the error to raise if the server cannot do it."""
        if self._disconnected:
            return None
        extension = self._scope.get("extensions", {}).get(ABORT)
        if extension is None:
            return None if self._started else ConnectionAbortedError("the backend did not respond")
        extension["abort"]()
        while (await self._receive())["type"] != "http.disconnect":
            pass  # the server would report an error if the app returned before
        return None
