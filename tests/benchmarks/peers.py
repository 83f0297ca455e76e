"""The clients that are compared, each used as its documentation shows."""

import json
from contextlib import asynccontextmanager

from tests.benchmarks.answers import CHUNKS, COMPLETION, EVENT, HEADERS_BACK, LAST_EVENTS
from tests.benchmarks.raw import (
    ASKED,
    KEY,
    aiohttp,
    bare,
    httpx,
    httpx2,
    pyqwest,
    pyreqwest,
    streaming,
)

CHAT = {
    "model": "gpt-4o-mini",
    "messages": [{"role": "user", "content": "Who was Immanuel Kant?"}],
}
RESPONSE = {"model": "gpt-4o-mini", "input": "Who was Immanuel Kant?"}


class Sdk:
    """An SDK with the official one's surface."""

    def __init__(self, client):
        self.client = client

    def asked(self, endpoint, chunks, pause_ms):
        """The resource of an endpoint, and what asks it for a stream."""
        if endpoint == "completions":
            return self.client.completions, streaming(chunks, pause_ms)
        user = {"user": str(pause_ms)}
        if endpoint == "chat":
            return self.client.chat.completions, CHAT | user | {"max_tokens": chunks}
        return self.client.responses, RESPONSE | user | {"max_output_tokens": chunks}

    async def call(self, endpoint="completions"):
        if endpoint == "responses":
            response = await self.client.responses.create(**RESPONSE)
            assert response.status == "completed"
        elif endpoint == "chat":
            completion = await self.client.chat.completions.create(**CHAT)
            assert completion.choices[0].finish_reason == "stop"
        else:
            completion = await self.client.completions.create(**ASKED)
            assert completion.choices[0].finish_reason == "stop"

    async def events(self):
        return [
            event async for event in self.client.fine_tuning.jobs.list_events("ftjob-1", limit=100)
        ]


class Official(Sdk):
    async def stream(self, chunks, pause_ms, endpoint="completions"):
        resource, asked = self.asked(endpoint, chunks, pause_ms)
        events = await resource.create(**asked, stream=True)
        return sum([1 async for _ in events])

    async def upload(self, path):
        with path.open("rb") as file:
            await self.client.files.create(file=file, purpose="fine-tune")

    async def download(self, path):
        files = self.client.files.with_streaming_response
        async with files.content("file-1") as response:
            await response.stream_to_file(path)

    async def parse_answers(self, number):
        from openai._models import construct_type
        from openai.types import Completion

        for _ in range(number):
            construct_type(type_=Completion, value=json.loads(COMPLETION))

    async def parse_events(self, number):
        from openai._models import construct_type
        from openai._streaming import SSEDecoder
        from openai.types import Completion

        for event in SSEDecoder().iter_bytes(iter([EVENT] * number)):
            construct_type(type_=Completion, value=event.json())


class Tunesmith(Sdk):
    async def stream(self, chunks, pause_ms, endpoint="completions"):
        resource, asked = self.asked(endpoint, chunks, pause_ms)
        async with resource.stream(**asked) as events:
            return sum([1 async for _ in events])

    async def upload(self, path):
        await self.client.files.create(file=path, purpose="fine-tune")

    async def download(self, path):
        await self.client.files.content("file-1").write_to(path)

    async def parse_answers(self, number):
        from tunesmith.operations.completions import CreateCompletion
        from tunesmith.protocol.decode import decode_response
        from tunesmith.types.response import ResponseInfo

        operation, info = CreateCompletion(**ASKED), ResponseInfo(200, HEADERS_BACK)
        for _ in range(number):
            decode_response(operation, COMPLETION, info)

    async def parse_events(self, number):
        from tunesmith.protocol.decode import decode_event
        from tunesmith.protocol.sse import SSEDecoder
        from tunesmith.types import Completion
        from tunesmith.types.response import ResponseInfo

        decoder, info = SSEDecoder(), ResponseInfo(200, HEADERS_BACK)
        for _ in range(number):
            for event in decoder.feed(EVENT):
                decode_event(Completion, event.data, info, operation="completions.create")


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
