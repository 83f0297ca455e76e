"""Base of the contract tests: each runs on each event loop with its own service."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Generic, TypeVar

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
    "LoopContract",
    "ReadResponse",
    "StreamCountingService",
    "on_each_event_loop",
]

A = TypeVar("A")
E = TypeVar("E")
T = TypeVar("T")
C = TypeVar("C", bound="LoopContract[Any]")

_LOOPS = ("asyncio", "trio")
_MAX_WAITS = 6
"""Maximum number of timeouts that one test waits for."""


class StreamCountingService(Service):
    """Service that counts its open streams."""

    def __init__(self) -> None:
        super().__init__(seed=1)
        self.open_streams = 0
        self.changed = anyio.Event()

    async def stream(self, operation: StreamOperation[A, E]) -> AsyncGenerator[E]:
        """Stream the events of an operation, counting the stream while it is open."""
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
    """A response with its body."""

    status: int
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class BackendUnderTest:
    """The backend to test and its service.

    Args:
        backend: The backend to test.
        service: The service that the backend reaches.
        timeout: Real seconds to wait for results that should be immediate.
    """

    backend: Backend
    service: StreamCountingService
    timeout: float

    @cached_property
    def client(self) -> AsyncClient:
        """Client of the backend."""
        return AsyncClient(backend=self.backend)

    async def request(self, request: Request) -> ReadResponse:
        """Send a request and read the response."""
        async with self.backend.send(request) as response:
            return ReadResponse(response.status, dict(response.headers), await response.read())

    async def wait_streams_closed(self) -> None:
        """Wait until no stream is open; a server may detect a closed connection late."""
        with anyio.fail_after(self.timeout):
            while self.service.open_streams:
                await self.service.changed.wait()


class LoopContract(Generic[T]):
    """Base class of tests that run on several event loops, each with its own target."""

    loops: tuple[str, ...] = _LOOPS
    """Event loops that the target runs on."""

    timeout: float = 10.0
    """Real seconds to wait for results that should be immediate."""

    async def run(self, test: Callable[[T], Awaitable[None]]) -> None:
        """Run a test."""
        raise NotImplementedError


class ContractBase(LoopContract[BackendUnderTest]):
    """Base class of contract tests for backends."""

    def backend(self, service: Service) -> Backend:
        """Return the backend to test, which must reach the service."""
        raise NotImplementedError(f"{type(self).__name__}.backend must return the backend to test")

    def connect(self, service: Service) -> AbstractAsyncContextManager[Backend]:
        """Open the backend to test as an asynchronous context manager."""
        return _closing(self.backend(service))

    async def run(self, test: Callable[[BackendUnderTest], Awaitable[None]]) -> None:
        """Run a test."""
        service = StreamCountingService()
        with anyio.fail_after(self.timeout * _MAX_WAITS):
            async with self.connect(service) as backend:
                await test(BackendUnderTest(backend, service, self.timeout))


@asynccontextmanager
async def _closing(backend: Backend) -> AsyncGenerator[Backend]:
    try:
        yield backend
    finally:
        await backend.aclose()


def on_each_event_loop(test: Callable[[C, T], Awaitable[None]]) -> Callable[[C, str], None]:
    """Turn an asynchronous test into synchronous ones, independent of pytest plugins."""

    def run(self: C, loop: str) -> None:
        if loop not in self.loops:
            pytest.skip(f"the target does not run on {loop}")
        if loop == "trio":
            pytest.importorskip("trio")

        async def with_target(target: T) -> None:
            await test(self, target)

        anyio.run(self.run, with_target, backend=loop)

    run.__name__ = test.__name__
    run.__qualname__ = test.__qualname__
    run.__doc__ = test.__doc__
    pytest.mark.parametrize("loop", _LOOPS)(run)
    return run
