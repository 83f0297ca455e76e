"""The accesses to a service: in process, wrapped, over a transport, over sockets."""

from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager, suppress

import anyio
import anyio.abc
import h11
import httpx
from tests.contract.wrappers import Wrapper

from tunesmith import FastBackend, HttpxBackend, MemoryBackend

_GONE = (
    anyio.BrokenResourceError,
    anyio.ClosedResourceError,
    anyio.EndOfStream,
    h11.RemoteProtocolError,
)


@asynccontextmanager
async def in_process(service):
    """The backend over the service itself."""
    yield MemoryBackend(service)


@asynccontextmanager
async def wrapped(service):
    """A backend around another, which neither has a clock nor changes anything."""
    yield Wrapper(MemoryBackend(service))


@asynccontextmanager
async def over_transport(service):
    """The HTTP backend, over a transport that asks the service without a socket."""
    async with httpx.AsyncClient(transport=service.transport()) as http:
        backend = HttpxBackend("http://service/v1", api_key="sk-test", http_client=http)
        backend.clock = service.clock
        yield backend


@asynccontextmanager
async def over_sockets(service, kind=HttpxBackend, **options):
    """The HTTP backend, over loopback sockets to a server."""
    async with serving(service) as server:
        backend = kind(server.url, api_key="sk-test", **options)
        backend.clock = service.clock
        backend.server = server
        async with aclosing(backend):
            yield backend
        await server.wait_until_all_closed()


def fast(service, **options):
    """The fast backend, over loopback sockets to a server; on trio it leaves them to httpx."""
    return over_sockets(service, FastBackend, **options)


ACCESSES = {
    access.__name__: access for access in (in_process, wrapped, over_transport, over_sockets, fast)
}


class Server:
    """A small HTTP/1.1 server over a service, on either event loop.

    `open` counts the connections that are there, `answering` those with a call under way.
    """

    def __init__(self, service, url: str) -> None:
        self.url = url
        self.opened = 0
        self.open = 0
        self.answering = 0
        self._app = service.asgi_app()
        self._changed = anyio.Event()

    async def wait_until_all_answered(self) -> None:
        await self._wait_until(lambda: not self.answering)

    async def wait_until_all_closed(self) -> None:
        await self.wait_until_at_most(0)

    async def wait_until_at_most(self, connections: int) -> None:
        await self._wait_until(lambda: self.open <= connections)

    async def _wait_until(self, reached) -> None:
        with anyio.fail_after(10):
            while not reached():
                self._changed = anyio.Event()
                await self._changed.wait()

    async def handle(self, connection: anyio.abc.ByteStream) -> None:
        self.opened += 1
        self.open += 1
        http = h11.Connection(h11.SERVER)
        try:
            with suppress(*_GONE):
                async with connection:
                    while await self._serve_one(http, connection):
                        http.start_next_cycle()
        finally:
            self.open -= 1
            self._changed.set()

    async def _serve_one(self, http: h11.Connection, connection: anyio.abc.ByteStream) -> bool:
        head = await _next_event(http, connection)
        if not isinstance(head, h11.Request):
            return False
        self.answering += 1
        try:
            await self._answer(head, http, connection)
        finally:
            self.answering -= 1
            self._changed.set()
        return http.our_state is http.their_state is h11.DONE

    async def _answer(
        self, head: h11.Request, http: h11.Connection, connection: anyio.abc.ByteStream
    ) -> None:
        path, _, query = head.target.partition(b"?")
        scope = {
            "type": "http",
            "method": head.method.decode(),
            "path": path.decode(),
            "raw_path": path,
            "query_string": query,
            "headers": list(head.headers),
        }
        channel = Channel(http, connection)
        await self._app(scope, channel.receive, channel.send)
        while http.their_state is h11.SEND_BODY:
            await _next_event(http, connection)


class Channel:
    """A request and its answer, in the messages of ASGI."""

    def __init__(self, http: h11.Connection, connection: anyio.abc.ByteStream) -> None:
        self.http = http
        self.connection = connection

    async def receive(self):
        try:
            event = await _next_event(self.http, self.connection)
        except _GONE:
            return {"type": "http.disconnect"}
        if isinstance(event, h11.Data):
            return {"type": "http.request", "body": bytes(event.data), "more_body": True}
        if isinstance(event, h11.EndOfMessage):
            return {"type": "http.request", "more_body": False}
        if event is h11.PAUSED:  # the next request is there already
            await anyio.sleep_forever()
        return {"type": "http.disconnect"}

    async def send(self, message):
        if message["type"] == "http.response.start":
            events = [h11.Response(status_code=message["status"], headers=message["headers"])]
        else:
            events = [h11.Data(message["body"])]
            if not message["more_body"]:
                events.append(h11.EndOfMessage())
        try:
            for event in events:
                await self.connection.send(self.http.send(event))
        except _GONE as error:
            raise OSError("the client is gone") from error


async def _next_event(http: h11.Connection, connection: anyio.abc.ByteStream):
    while (event := http.next_event()) is h11.NEED_DATA:
        try:
            http.receive_data(await connection.receive())
        except anyio.EndOfStream:
            http.receive_data(b"")
    return event


@asynccontextmanager
async def serving(service) -> AsyncGenerator[Server]:
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(anyio.abc.SocketAttribute.local_port)
    server = Server(service, f"http://127.0.0.1:{port}/v1")
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, server.handle)
        yield server
        tasks.cancel_scope.cancel()
