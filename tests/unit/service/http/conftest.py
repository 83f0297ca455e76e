"""Backends that fail or record, and a server in a thread."""

import threading
import time
from contextlib import asynccontextmanager, contextmanager

import pytest

from tunesmith import MemoryBackend
from tunesmith.errors import BackendError
from tunesmith.protocol.message import Response
from tunesmith.service.http.uvicorn_server import base_url_of, bind_socket, create_server
from tunesmith.service.service import Service


class FailingBackend:
    """Backend that fails in a phase, at once or after its first bytes."""

    def __init__(self, phase, chunks=()):
        self.phase = phase
        self.chunks = chunks

    @asynccontextmanager
    async def send(self, request):
        if not self.chunks:
            raise BackendError("stubbed failure", phase=self.phase)
        yield Response(200, {"content-type": "text/plain"}, self._stream())

    async def _stream(self):
        for chunk in self.chunks:
            yield chunk
        raise BackendError("stubbed failure", phase=self.phase)

    async def aclose(self):
        pass


class RecordingBackend:
    """Backend that records requests, and counts ended responses."""

    def __init__(self, inner):
        self.inner = inner
        self.requests = []
        self.n_ended = 0

    @asynccontextmanager
    async def send(self, request):
        self.requests.append(request)
        try:
            async with self.inner.send(request) as response:
                yield response
        finally:
            self.n_ended += 1

    async def aclose(self):
        await self.inner.aclose()


@pytest.fixture
def failing():
    return FailingBackend


@pytest.fixture
def service():
    return Service(seed=1)


@pytest.fixture
def recording(service):
    return RecordingBackend(MemoryBackend(service))


@contextmanager
def running(app):
    """Serve an app by uvicorn in a thread; yield the base URL."""
    server = create_server(app)
    with bind_socket() as listener:
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            while not server.started:
                time.sleep(0.002)
            yield base_url_of(listener)
        finally:
            server.should_exit = True
            thread.join(10)


@pytest.fixture
def served():
    return running
