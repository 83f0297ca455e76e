"""Servers that send raw bytes, and clients of them over either transport."""

import ssl
from contextlib import asynccontextmanager

import anyio
import anyio.abc
import trustme

from tunesmith import AsyncClient
from tunesmith.backends.settings import tls_context

LOOPS = {
    "asyncio": ("asyncio", {"use_uvloop": False}),
    "uvloop": ("asyncio", {"use_uvloop": True}),
    "trio": ("trio", {}),
}

BODY = b'{"id":"ada","object":"model"}'
GOOD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 29\r\n\r\n" + BODY


HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
CHUNKED = HEAD + b"transfer-encoding: chunked\r\n\r\n"


class Server:
    """Serves raw bytes; counts connections that were opened and that are still open."""

    def __init__(self, serve):
        self.serve = serve
        self.opened = 0
        self.open = 0
        self.requests = 0
        self.idle = anyio.Event()

    async def handle(self, connection):
        self.opened += 1
        self.open += 1
        try:
            async with connection:
                while await self.read_request(connection):
                    self.requests += 1
                    if await self.serve(connection, self.requests) == "close":
                        return
        except (anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.EndOfStream):
            pass
        finally:
            self.open -= 1
            if not self.open:
                self.idle.set()

    async def read_request(self, connection):
        data = b""
        while b"\r\n\r\n" not in data:
            try:
                data += await connection.receive()
            except anyio.EndOfStream:
                return None
        return data


@asynccontextmanager
async def serving_over(transport, serve, **options):
    server = Server(serve)
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(anyio.abc.SocketAttribute.local_port)
    async with anyio.create_task_group() as group:
        group.start_soon(listener.serve, server.handle)
        address = f"http://127.0.0.1:{port}/v1"
        async with AsyncClient("sk-1", address, transport=transport, **options) as client:
            yield server, client
        with anyio.fail_after(5):
            # Closing the client closes every connection.
            if server.open:
                await server.idle.wait()
        group.cancel_scope.cancel()
    await listener.aclose()


async def good(connection, number):
    await connection.send(GOOD)


def issue_trusted_certificate(path, monkeypatch):
    """Make a certificate for this machine, and have clients trust it."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(path)
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    tls_context.cache_clear()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


def always_send(data, then=None):
    """A server that says the same to everybody."""

    async def serve(connection, number):
        await connection.send(data)
        return then

    return serve
