"""Serve a state that is opened again after a request, then every second, as by a restarted server.

    python reopening.py STATE SPEED API_KEY

Clients notice nothing. It prints the base URL, and how often the state was opened when it ends.
"""

import sys
import time
from contextlib import asynccontextmanager

import anyio

from tunesmith import MemoryBackend
from tunesmith.service.core.behavior import ServiceBehavior
from tunesmith.service.http.asgi import ASGIApp
from tunesmith.service.http.uvicorn_server import base_url_of, bind_socket, create_server

SECONDS = 1.0
"""Time after which the next request opens the state again; trainings need some time."""


class Reopening:
    """Backend over a state."""

    def __init__(self, state, speed):
        behavior = ServiceBehavior(results_base64=False)
        self._options = {"state": state, "speed": speed, "behavior": behavior}
        self._in_flight = self.n_openings = 0
        self._opened = self._ended = None

    async def run(self):
        """Open the state again and again, and run its jobs."""
        while True:
            self._backend, self._ended = MemoryBackend(**self._options), anyio.Event()
            self._backend.clock.autojump, self._backend.clock.rate = False, 1.0
            self._due_at = time.monotonic() + SECONDS
            self.n_openings += 1
            if self._opened is not None:
                self._opened.set()
            try:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(self._backend.service.run_lifecycles)
                    await self._ended.wait()
                    tasks.cancel_scope.cancel()
            finally:
                await self._backend.aclose()

    @asynccontextmanager
    async def send(self, request):
        """Send a request."""
        while time.monotonic() >= self._due_at and not self._in_flight:
            if self._opened is None or self._opened.is_set():
                self._opened = anyio.Event()
                self._ended.set()
            await self._opened.wait()
        self._in_flight += 1
        try:
            async with self._backend.send(request) as response:
                yield response
        finally:
            self._in_flight -= 1
            if self.n_openings == 1:
                self._due_at = 0.0  # at the next request, however fast the client is

    async def aclose(self):
        """Do nothing; `run` closes the state."""


def main(state, speed, api_key):
    backend = Reopening(state, float(speed))
    with bind_socket("127.0.0.1", 0) as listener:
        print(base_url_of(listener), flush=True)
        app = ASGIApp(backend, api_key=api_key or None, background=backend.run)
        try:
            create_server(app).run(sockets=[listener])
        except KeyboardInterrupt:
            print(backend.n_openings)


if __name__ == "__main__":
    main(*sys.argv[1:])
