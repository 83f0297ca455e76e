"""The clients that are compared, each used as its documentation shows."""

import asyncio
import json
import os
import ssl
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import httptools
from tests.benchmarks.answers import CHUNKS, COMPLETION, EVENT, HEADERS_BACK, LAST_EVENTS

KEY = "sk-benchmark"
ASKED = {"model": "davinci-002", "prompt": "Immanuel Kant was"}
HEADERS = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}


def streaming(chunks, pause_ms):
    """What asks the server for a stream of so many chunks."""
    return ASKED | {"max_tokens": chunks, "user": str(pause_ms)}


class Sdk:
    """An SDK with the official one's surface."""

    def __init__(self, client):
        self.client = client

    async def call(self):
        completion = await self.client.completions.create(**ASKED)
        assert completion.choices[0].finish_reason == "stop"

    async def events(self):
        return [
            event async for event in self.client.fine_tuning.jobs.list_events("ftjob-1", limit=100)
        ]


class Official(Sdk):
    async def stream(self, chunks, pause_ms):
        events = await self.client.completions.create(**streaming(chunks, pause_ms), stream=True)
        return sum([1 async for _ in events])

    async def upload(self, path):
        with path.open("rb") as file:
            await self.client.files.create(file=file, purpose="fine-tune")

    async def download(self, path):
        files = self.client.files.with_streaming_response
        async with files.content("file-1") as response:
            await response.stream_to_file(path)


class Tunesmith(Sdk):
    async def stream(self, chunks, pause_ms):
        async with self.client.completions.stream(**streaming(chunks, pause_ms)) as events:
            return sum([1 async for _ in events])

    async def upload(self, path):
        await self.client.files.create(file=path, purpose="fine-tune")

    async def download(self, path):
        await self.client.files.content("file-1").write_to(path)


@asynccontextmanager
async def openai(url):
    import openai

    async with openai.AsyncOpenAI(api_key=KEY, base_url=url) as client:
        yield Official(client)


@asynccontextmanager
async def openai_aiohttp(url):
    import openai

    http = openai.DefaultAioHttpClient()
    async with openai.AsyncOpenAI(api_key=KEY, base_url=url, http_client=http) as client:
        yield Official(client)


@asynccontextmanager
async def tunesmith(url):
    import tunesmith

    async with tunesmith.AsyncClient(KEY, url, transport="httpx") as client:
        yield Tunesmith(client)


@asynccontextmanager
async def tunesmith_fast(url):
    import tunesmith

    async with tunesmith.AsyncClient(KEY, url, transport="fast") as client:
        yield Tunesmith(client)


@asynccontextmanager
async def own_share(url):
    """tunesmith's own part of a call: over a backend that answers at once."""
    import tunesmith

    async with tunesmith.AsyncClient(backend=AtOnce()) as client:
        yield Tunesmith(client)


class AtOnce:
    """A backend that has its answers ready, as a socket would give them."""

    def send(self, request):
        if b'"stream":true' not in request.body:
            return _Ready(HEADERS_BACK, [COMPLETION])
        number = int(CHUNKS.search(request.body)[1])
        return _Ready(HEADERS_BACK, [EVENT] * (number - 1) + [LAST_EVENTS])

    async def aclose(self):
        pass


class _Ready:
    def __init__(self, headers, chunks):
        self.headers = headers
        self.chunks = iter(chunks)

    async def __aenter__(self):
        from tunesmith import Response

        return Response(200, dict(self.headers), self, keeps_timeout=True)

    async def __aexit__(self, *exc_info):
        pass

    def __aiter__(self):
        return self

    async def __anext__(self):
        for chunk in self.chunks:
            return chunk
        raise StopAsyncIteration


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


PEERS = {
    "own-share": own_share,
    "openai": openai,
    "openai-aiohttp": openai_aiohttp,
    "tunesmith": tunesmith,
    "tunesmith-fast": tunesmith_fast,
    "httpx": httpx,
    "httpx2": httpx2,
    "aiohttp": aiohttp,
    "pyreqwest": pyreqwest,
    "pyqwest": pyqwest,
    "bare": bare,
}
