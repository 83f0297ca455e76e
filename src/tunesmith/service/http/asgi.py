"""The door for servers: an ASGI app over any backend."""

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, MutableMapping
from typing import Any

import anyio
from pydantic import SecretStr
from pydantic_core import to_json

from tunesmith.backends.base import Backend
from tunesmith.errors import BackendError
from tunesmith.protocol.message import Response
from tunesmith.service.core.errors import internal_error
from tunesmith.service.http.gateway import HttpGateway, RawRequest

__all__ = ["ABORT", "ASGIApp"]

_logger = logging.getLogger("tunesmith.service")

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

ABORT = "tunesmith.abort"
"""The name of the extension of ASGI by which an app breaks the connection off."""


class ASGIApp:
    """An ASGI app that answers by a backend; it needs no framework, and runs on asyncio and trio.

    The API is below `/v1`, its document at `/openapi.json`. A client that goes away ends its answer
    at once. Where the backend raises `BackendError`, the connection breaks off, as far as the
    server lets an app do that: `tunesmith serve` does, at any time.

    Args:
        backend: Answers; it is not closed by the app.
        api_key: The key to ask for; with None any key will do, but one must be there.

    Example:
        ```python
        from tunesmith.service.http.asgi import ASGIApp

        app = ASGIApp(MemoryBackend())  # then, from the shell: uvicorn module:app
        ```
    """

    def __init__(self, backend: Backend, *, api_key: str | SecretStr | None = None) -> None:
        self._entrance = HttpGateway(backend, api_key)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer a request; part of ASGI."""
        if scope["type"] == "lifespan":
            await _run_lifespan(receive, send)
        elif scope["type"] == "http":
            await _RequestTask(self._entrance, scope, receive, send).run()
        else:
            await send({"type": "websocket.close"})


async def _run_lifespan(receive: Receive, send: Send) -> None:
    for event in ("startup", "shutdown"):
        await receive()
        await send({"type": f"lifespan.{event}.complete"})


class _RequestTask:
    """One request, from its first byte to the last one of its answer."""

    def __init__(self, entrance: HttpGateway, scope: Message, receive: Receive, send: Send) -> None:
        self._entrance = entrance
        self._scope = scope
        self._receive = receive
        self._asgi_send = send
        self._body_read = anyio.Event()
        self._started = False
        self._gone = False

    async def run(self) -> None:
        failure: Exception | None = None
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._watch, tasks.cancel_scope)
            try:
                async with self._entrance.handle(self._call()) as response:
                    await self._start(response)
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
                    _logger.exception("%s %s went wrong", method, path)
                    await self._fail()
            tasks.cancel_scope.cancel()
        if failure is not None:
            raise failure  # the server breaks off, and logs it

    def _call(self) -> RawRequest:
        scope = self._scope
        path: bytes = scope.get("raw_path") or scope["path"].encode()
        path = path.removeprefix(scope.get("root_path", "").encode())  # of the app around this one
        query: bytes = scope.get("query_string", b"")
        headers = RawRequest.join_repeated_headers(
            (name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]
        )
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
                self._gone = True
                raise BackendError("the client went away", phase="write")
            if not message.get("more_body", False):
                self._body_read.set()
            yield message.get("body", b"")

    async def _watch(self, scope: anyio.CancelScope) -> None:
        # Who reads the body would learn of it there.
        await self._body_read.wait()
        while (await self._receive())["type"] != "http.disconnect":
            pass
        scope.cancel()

    async def _start(self, response: Response) -> None:
        self._started = True
        headers = [
            (name.encode("latin-1"), value.encode("latin-1", "replace"))
            for name, value in response.headers.items()
        ]
        await self._send(
            {"type": "http.response.start", "status": response.status, "headers": headers}
        )

    async def _send_body(self, body: bytes, *, more: bool) -> None:
        await self._send({"type": "http.response.body", "body": body, "more_body": more})

    async def _send(self, message: Message) -> None:
        try:
            await self._asgi_send(message)
        except OSError as error:
            self._gone = True
            raise BackendError("the client went away", phase="write") from error

    async def _fail(self) -> None:
        body = to_json(internal_error().body())
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
        ]
        await self._send({"type": "http.response.start", "status": 500, "headers": headers})
        await self._send_body(body, more=False)

    async def _abort(self) -> Exception | None:
        """Break the connection off; gives what to raise where that takes an error."""
        if self._gone:
            return None
        extension = self._scope.get("extensions", {}).get(ABORT)
        if extension is None:
            return None if self._started else ConnectionAbortedError("the backend gave no answer")
        extension["abort"]()
        while (await self._receive())["type"] != "http.disconnect":
            pass  # the server would make an error of an app that ends before
        return None
