"""How the tests of the contract run: on each event loop, against a service of their own."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import anyio
import pytest

from tunesmith.backends.base import Backend
from tunesmith.client import AsyncClient
from tunesmith.operations.base import StreamOperation
from tunesmith.protocol.message import Request
from tunesmith.service.service import Service

__all__ = [
    "BackendUnderTest",
    "ContractBase",
    "ReadResponse",
    "StreamCountingService",
    "on_each_event_loop",
]

A = TypeVar("A")
E = TypeVar("E")
C = TypeVar("C", bound="ContractBase")

_LOOPS = ("asyncio", "trio")
_STEPS = 6
"""A test waits for this many things at most."""


class StreamCountingService(Service):
    """A service that knows how many of its streams are open."""

    def __init__(self) -> None:
        super().__init__(seed=1)
        self.open_streams = 0
        self.changed = anyio.Event()

    async def stream(self, operation: StreamOperation[A, E]) -> AsyncGenerator[E]:
        """Answer bit by bit, and count."""
        self.open_streams += 1
        try:
            async with aclosing(super().stream(operation)) as events:
                async for event in events:
                    yield event
        finally:
            self.open_streams -= 1
            self.changed.set()
            self.changed = anyio.Event()


@dataclass(frozen=True, slots=True)
class ReadResponse:
    """An answer that was read to its end."""

    status: int
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class BackendUnderTest:
    """What a test is about.

    Args:
        backend: The backend to test.
        service: What the backend reaches.
        timeout_s: How many real seconds to wait for what must not take any time.
    """

    backend: Backend
    service: StreamCountingService
    timeout_s: float

    @cached_property
    def client(self) -> AsyncClient:
        """A client over the backend."""
        return AsyncClient(backend=self.backend)

    async def request(self, request: Request) -> ReadResponse:
        """Send a request and read its answer."""
        async with self.backend.send(request) as response:
            return ReadResponse(response.status, dict(response.headers), await response.read())

    async def wait_streams_closed(self) -> None:
        """Wait until the service streams no more; a server may notice late that nobody listens."""
        with anyio.fail_after(self.timeout_s):
            while self.service.open_streams:
                await self.service.changed.wait()


Test = Callable[[C, BackendUnderTest], Awaitable[None]]


class ContractBase:
    """Runs the tests."""

    loops: tuple[str, ...] = _LOOPS
    """The event loops that the backend runs on."""

    timeout_s: float = 10.0
    """How many real seconds to wait for what must not take any time."""

    def backend(self, service: Service) -> Backend:
        """Make the backend to test, which reaches a service."""
        raise NotImplementedError(f"{type(self).__name__}.backend must make the backend to test")

    def connect(self, service: Service) -> AbstractAsyncContextManager[Backend]:
        """Set up a backend, and give back what it holds."""
        return _closing(self.backend(service))

    async def run(self, test: Callable[[BackendUnderTest], Awaitable[None]]) -> None:
        """Run a test."""
        service = StreamCountingService()
        with anyio.fail_after(self.timeout_s * _STEPS):
            async with self.connect(service) as backend:
                await test(BackendUnderTest(backend, service, self.timeout_s))


@asynccontextmanager
async def _closing(backend: Backend) -> AsyncGenerator[Backend]:
    try:
        yield backend
    finally:
        await backend.aclose()


def on_each_event_loop(test: Test[C]) -> Callable[[C, str], None]:
    """Make a test of an asynchronous one; no plugin is needed, and none gets in the way."""

    @pytest.mark.parametrize("loop", _LOOPS)
    def run(self: C, loop: str) -> None:
        if loop not in self.loops:
            pytest.skip(f"it does not run on {loop}")
        if loop == "trio":
            pytest.importorskip("trio")

        async def with_target(target: BackendUnderTest) -> None:
            await test(self, target)

        anyio.run(self.run, with_target, backend=loop)

    run.__name__ = test.__name__
    run.__qualname__ = test.__qualname__
    run.__doc__ = test.__doc__
    return run
