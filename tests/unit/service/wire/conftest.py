"""Asking a service in the language of the wire."""

import json

import pytest

from tunesmith.protocol.message import Request
from tunesmith.service.core.http_api import HttpApi
from tunesmith.service.service import Service


class Caller:
    """Sends requests to a service and reads what comes back."""

    def __init__(self, service):
        self.service = service
        self.wire = HttpApi(service)

    async def send(self, method, path, body=None, *, headers=None, query=()):
        """Send a request; gives status, headers and bytes."""
        content = None if body is None else json.dumps(body).encode()
        given = {"content-type": "application/json", **(headers or {})}
        request = Request("test", method, path, query=tuple(query), headers=given, body=content)
        async with self.wire.handle(request) as response:
            return response.status, response.headers, await response.read()

    async def get(self, path, **query):
        return await self._good("GET", path, query=query.items())

    async def delete(self, path):
        return await self._good("DELETE", path)

    async def post(self, path, **body):
        return await self._good("POST", path, body)

    async def _good(self, *args, **kwargs):
        status, _, content = await self.send(*args, **kwargs)
        assert status == 200, content
        return json.loads(content)

    async def refusal(self, path, **body):
        """Send what shall be refused; gives the status and the error."""
        status, _, content = await self.send("POST", path, body)
        assert status >= 400, content
        return status, json.loads(content)["error"]

    async def stream(self, path, **body):
        """Send what is answered by a stream; gives its events without `[DONE]`."""
        status, headers, content = await self.send("POST", path, {**body, "stream": True})
        assert status == 200, content
        assert headers["content-type"].startswith("text/event-stream")
        *events, done, rest = content.split(b"\n\n")
        assert (done, rest) == (b"data: [DONE]", b"")
        return [json.loads(event.removeprefix(b"data: ")) for event in events]

    def file(self, content, *, purpose="batch", filename="input.jsonl"):
        """Put a file into the service; gives its id."""
        return self.service.files.add([content], filename, purpose).id


@pytest.fixture
def service():
    return Service(seed=1)


@pytest.fixture
def api(service):
    return Caller(service)


@pytest.fixture
def api_of():
    return Caller
