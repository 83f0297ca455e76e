"""HTTP clients used raw, without an SDK over them; and the floor below them all."""

import asyncio
import json
import os
import ssl
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import httptools
from tests.benchmarks.answers import COMPLETION, EVENT

KEY = "sk-benchmark"
ASKED = {"model": "davinci-002", "prompt": "Immanuel Kant was"}
HEADERS = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}


def streaming(chunks, pause_ms):
    """What asks the server for a stream of so many chunks."""
    return ASKED | {"max_tokens": chunks, "user": str(pause_ms)}


class Httpx:
    """httpx, or httpx2, with room for all connections."""

    def __init__(self, client, url):
        self.client = client
        self.url = url + "/completions"

    async def call(self):
        response = await self.client.post(self.url, json=ASKED, headers=HEADERS)
        assert response.status_code == 200

    async def stream(self, chunks, pause_ms):
        asked = streaming(chunks, pause_ms)
        async with self.client.stream("POST", self.url, json=asked, headers=HEADERS) as response:
            return sum([1 async for _ in response.aiter_bytes()])


@asynccontextmanager
async def _httpx(module, url):
    limits = module.Limits(max_connections=1000, max_keepalive_connections=1000)
    async with module.AsyncClient(limits=limits, timeout=600) as client:
        yield Httpx(client, url)


def httpx(url):
    import httpx

    return _httpx(httpx, url)


def httpx2(url):
    import httpx2

    return _httpx(httpx2, url)


class Aiohttp:
    def __init__(self, client, url):
        self.client = client
        self.url = url + "/completions"

    async def call(self):
        async with self.client.post(self.url, json=ASKED, headers=HEADERS) as response:
            assert response.status == 200
            await response.read()

    async def stream(self, chunks, pause_ms):
        asked = streaming(chunks, pause_ms)
        async with self.client.post(self.url, json=asked, headers=HEADERS) as response:
            return sum([1 async for _ in response.content.iter_any()])


@asynccontextmanager
async def aiohttp(url):
    import aiohttp

    tls = ssl.create_default_context() if url.startswith("https:") else False
    connector = aiohttp.TCPConnector(limit=1000, ssl=tls)
    async with aiohttp.ClientSession(connector=connector) as client:
        yield Aiohttp(client, url)


class Pyreqwest:
    def __init__(self, client, url):
        self.client = client
        self.url = url + "/completions"

    async def call(self):
        request = self.client.post(self.url).headers(HEADERS).body_bytes(json.dumps(ASKED).encode())
        response = await request.build().send()
        assert response.status == 200
        await response.bytes()

    async def stream(self, chunks, pause_ms):
        body = json.dumps(streaming(chunks, pause_ms)).encode()
        request = self.client.post(self.url).headers(HEADERS).body_bytes(body)
        number = 0
        async with request.build_streamed() as response:
            while await response.body_reader.read_chunk() is not None:
                number += 1
        return number


@asynccontextmanager
async def pyreqwest(url):
    from pyreqwest.client import ClientBuilder

    builder = ClientBuilder().max_connections(1000)
    if url.startswith("https:"):
        with open(os.environ["SSL_CERT_FILE"], "rb") as file:  # noqa: ASYNC230, PTH123
            builder = builder.add_root_certificate_pem(file.read())
    async with builder.build() as client:
        yield Pyreqwest(client, url)


class Pyqwest:
    def __init__(self, client, url):
        self.client = client
        self.url = url + "/completions"

    async def call(self):
        response = await self.client.post(self.url, HEADERS, json.dumps(ASKED).encode())
        assert response.status == 200

    async def stream(self, chunks, pause_ms):
        body = json.dumps(streaming(chunks, pause_ms)).encode()
        async with self.client.stream("POST", self.url, HEADERS, body) as response:
            return sum([1 async for _ in response.content])


@asynccontextmanager
async def pyqwest(url):
    from pyqwest import Client, HTTPTransport

    certificate = None
    if url.startswith("https:"):
        with open(os.environ["SSL_CERT_FILE"], "rb") as file:  # noqa: ASYNC230, PTH123
            certificate = file.read()
    async with HTTPTransport(tls_ca_cert=certificate) as transport:
        yield Pyqwest(Client(transport), url)


class Bare:
    """The floor: sockets and the parser of `fast`, and nothing that makes a client.

    No errors, no timeouts, no types: the answer is a dictionary.
    """

    def __init__(self, url):
        self.server = urlsplit(url)
        self.idle = []

    async def _ask(self, asked):
        body = json.dumps(asked).encode()
        if self.idle:
            socket = self.idle.pop()
        else:
            loop, at = asyncio.get_running_loop(), self.server
            tls = ssl.create_default_context() if at.scheme == "https" else None
            _, socket = await loop.create_connection(BareSocket, at.hostname, at.port, ssl=tls)
        headers = "".join(f"{name}: {value}\r\n" for name, value in HEADERS.items())
        head = (
            f"POST {self.server.path}/completions HTTP/1.1\r\nhost: {self.server.netloc}\r\n"
            f"{headers}content-length: {len(body)}\r\n\r\n"
        )
        socket.ask(head.encode() + body)
        return socket

    async def call(self):
        socket = await self._ask(ASKED)
        await socket.until_whole()
        assert json.loads(b"".join(socket.chunks))["choices"][0]["finish_reason"] == "stop"
        self.idle.append(socket)

    async def stream(self, chunks, pause_ms):
        socket = await self._ask(streaming(chunks, pause_ms))
        number = 0
        while not socket.whole:
            await socket.more()
            for event in b"".join(socket.chunks).split(b"\n\n"):
                if event.startswith(b"data: {"):
                    json.loads(event[6:])
                    number += 1
            socket.chunks.clear()
        self.idle.append(socket)
        return number

    async def parse_answers(self, number):
        for _ in range(number):
            json.loads(COMPLETION)

    async def parse_events(self, number):
        for _ in range(number):
            json.loads(EVENT[len(b"data: ") :])


class BareSocket(asyncio.BufferedProtocol):
    buffer = memoryview(bytearray(256 * 1024))

    def connection_made(self, transport):
        self.transport = transport

    def ask(self, request):
        self.parser = httptools.HttpResponseParser(self)
        self.chunks = []
        self.whole = False
        self.transport.write(request)

    async def more(self):
        self.waiter = asyncio.get_running_loop().create_future()
        await self.waiter

    async def until_whole(self):
        while not self.whole:
            await self.more()

    def get_buffer(self, sizehint):
        return self.buffer

    def buffer_updated(self, nbytes):
        self.parser.feed_data(self.buffer[:nbytes])
        if not self.waiter.done():
            self.waiter.set_result(None)

    def on_body(self, data):
        self.chunks.append(data)

    def on_message_complete(self):
        self.whole = True


@asynccontextmanager
async def bare(url):
    yield Bare(url)
