"""A visitor who leaves ends the work of the app and of the service behind it."""

import importlib.util
import json
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from tunesmith import AsyncClient, Response

pytest.importorskip("starlette")
pytestmark = pytest.mark.anyio

APP = Path(__file__).parents[2] / "examples" / "service" / "app.py"
CHUNK = b'data: {"choices": [{"index": 0, "text": "word"}]}\n\n'


class Endless:
    """Service that sends one word and then waits; records whether the stream is open."""

    def __init__(self):
        self.ended = anyio.Event()

    @asynccontextmanager
    async def send(self, request):
        async def chunks():
            yield CHUNK
            await anyio.sleep_forever()

        try:
            yield Response(200, {"content-type": "text/event-stream"}, chunks())
        finally:
            self.ended.set()

    async def aclose(self):
        pass


@pytest.fixture
def app():
    spec = importlib.util.spec_from_file_location("example_service", APP)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.app


async def test_abandoned_requests_are_cancelled(app):
    service = Endless()
    app.state.client = AsyncClient(backend=service)
    asked = {"model": "babbage-002", "prompt": "Kant was"}
    messages = iter([{"type": "http.request", "body": json.dumps(asked).encode()}])
    word = anyio.Event()

    async def receive():
        if message := next(messages, None):
            return message
        await word.wait()
        return {"type": "http.disconnect"}

    async def send(message):
        if b"word" in message.get("body", b""):
            word.set()

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "method": "POST",
        "path": "/complete",
        "headers": [],
        "query_string": b"",
    }
    with anyio.fail_after(20):
        await app(scope, receive, send)
    assert service.ended.is_set()
