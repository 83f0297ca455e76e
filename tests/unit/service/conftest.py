"""A service, a client for it, and training data."""

import json

import pytest

from tunesmith.operations.files import CreateFile
from tunesmith.protocol.message import Request
from tunesmith.service.core.http_api import HttpApi
from tunesmith.service.service import Service


class ApiCaller:
    """Client that sends requests to a service and decodes its responses."""

    def __init__(self, service):
        self.service = service
        self.wire = HttpApi(service)

    async def send(self, method, path, body=None, *, headers=None, query=()):
        """Send a request; return status, headers and bytes."""
        content = None if body is None else json.dumps(body).encode()
        headers = {"content-type": "application/json", **(headers or {})}
        request = Request("test", method, path, query=tuple(query), headers=headers, body=content)
        async with self.wire.send(request) as response:
            return response.status, response.headers, await response.read()

    async def get(self, path, **query):
        return await self._succeed("GET", path, query=query.items())

    async def delete(self, path):
        return await self._succeed("DELETE", path)

    async def post(self, path, **body):
        return await self._succeed("POST", path, body)

    async def _succeed(self, *args, **kwargs):
        status, _, content = await self.send(*args, **kwargs)
        assert status == 200, content
        return json.loads(content)

    async def fail(self, path, **body):
        """Send a request that must fail; return the status and the error."""
        status, _, content = await self.send("POST", path, body)
        assert status >= 400, content
        return status, json.loads(content)["error"]

    async def stream(self, path, **body):
        """Send a streamed request; return its events without `[DONE]`."""
        status, headers, content = await self.send("POST", path, {**body, "stream": True})
        assert status == 200, content
        assert headers["content-type"].startswith("text/event-stream")
        *events, done, rest = content.split(b"\n\n")
        assert (done, rest) == (b"data: [DONE]", b"")
        return [json.loads(event.removeprefix(b"data: ")) for event in events]

    def file(self, content, *, purpose="batch", filename="input.jsonl"):
        """Add a file to the service; return its id."""
        return self.service.files.add([content], filename, purpose).id


@pytest.fixture
def service():
    return Service(seed=1)


@pytest.fixture
def api(service):
    return ApiCaller(service)


@pytest.fixture
def api_of():
    return ApiCaller


@pytest.fixture
def upload(service):
    """Send lines as a file; gives its id."""

    async def send(lines, *, to=service, purpose="fine-tune"):
        content = b"\n".join(
            line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines
        )
        file = await to.execute(CreateFile(file=("data.jsonl", content, None), purpose=purpose))
        return file.id

    return send


@pytest.fixture
def pairs():
    """Prompts and completions, 12 of them."""
    return [
        {"prompt": f"Question {i}: what is {i} plus {i}?\n\n###\n\n", "completion": f" {2 * i}."}
        for i in range(12)
    ]


@pytest.fixture
def chats():
    """Conversations, 12 of them."""
    return [
        {
            "messages": [
                {"role": "system", "content": "You add."},
                {"role": "user", "content": f"{i} plus {i}?"},
                {"role": "assistant", "content": f"{2 * i}."},
            ]
        }
        for i in range(12)
    ]
