"""A backend that answers from a script, in virtual time."""

import json
from contextlib import aclosing, asynccontextmanager
from math import inf

import pytest

from tunesmith import AsyncClient
from tunesmith.clock import VirtualClock
from tunesmith.errors import BackendError
from tunesmith.protocol.message import Response


class Script:
    """Answers each request with the next step; remembers what was asked, and when."""

    def __init__(self, *steps):
        self.steps = list(steps)
        self.clock = VirtualClock()
        self.requests = []
        self.times = []
        self.bodies = []
        self.open = 0
        self.keeps_timeout = False
        self.closed = False

    @asynccontextmanager
    async def send(self, request):
        self.requests.append(request)
        self.times.append(self.clock.monotonic())
        self.bodies.append(b"".join([chunk async for chunk in request.chunks()]))
        step = self.steps.pop(0)
        if isinstance(step, BackendError):
            raise step
        status, headers, chunks = step
        if status == "hang":
            await self.clock.sleep(inf)
        self.open += 1
        try:
            async with aclosing(self._stream(chunks)) as stream:
                yield Response(status, headers, stream, keeps_timeout=self.keeps_timeout)
        finally:
            self.open -= 1

    async def _stream(self, chunks):
        for chunk in chunks:
            if isinstance(chunk, BackendError):
                raise chunk
            if isinstance(chunk, float):
                await self.clock.sleep(chunk)
            else:
                yield chunk

    async def aclose(self):
        self.closed = True

    def client(self, **options):
        return AsyncClient(backend=self, **options)


def answer(body=b'{"id":"ada","object":"model"}', status=200, **headers):
    chunks = body if isinstance(body, list) else [body]
    return status, {name.replace("_", "-"): value for name, value in headers.items()}, chunks


def refusal(status, code=None, **headers):
    error = {"message": "No.", "type": "t", "code": code, "param": None}
    return answer(json.dumps({"error": error}).encode(), status, **headers)


HANG = ("hang", {}, [])


async def retrieve_model(client):
    return await client.models.retrieve("ada")


async def read_stream(client):
    async with client.completions.stream(model="m", prompt="a") as stream:
        return [event async for event in stream]


CALLS = pytest.mark.parametrize(
    ("call", "operation"),
    [(retrieve_model, "models.retrieve"), (read_stream, "completions.create")],
)
"""A call and the operation that its errors name: with a whole response, and with an open one."""


@pytest.fixture
def script():
    return Script
