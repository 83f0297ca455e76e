"""Connections, each in a pool of its own, so that taking one costs the same however many."""

import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Generic, Protocol, TypeVar

import anyio

from tunesmith.errors import BackendError

__all__ = ["ConnectionPool", "acquire_slot"]


class _Transport(Protocol):
    def aclose(self) -> Awaitable[None]: ...


T = TypeVar("T", bound=_Transport)


class ConnectionPool(Generic[T]):
    """Connections, each in a pool of its own.

    httpx looks at every connection of a pool at each request, several times: with a thousand in one
    pool that takes more CPU than all the rest of a call. Here the cost is the same however many
    there are.

    Args:
        factory: Makes the transport of a pool.
        max_connections: How many connections may be open at once.
        keepalive_expiry_s: Seconds after which a connection that nobody used is closed.
    """

    def __init__(
        self, factory: Callable[[], T], max_connections: int, keepalive_expiry_s: float
    ) -> None:
        self._make = factory
        self._keep_idle_s = keepalive_expiry_s
        self._room = anyio.Semaphore(max_connections, fast_acquire=True)
        self._idle: deque[tuple[float, T]] = deque()
        self._all: set[T] = set()
        self._closed = False

    async def acquire(self) -> T:
        """Wait for a connection to be free; gives its transport.

        Raises:
            BackendError: The pools were closed meanwhile.
        """
        await acquire_slot(self._room)
        try:
            # The one used last: the others may rest, and be closed when they have rested enough.
            return self._idle.pop()[1] if self._idle else self._new()
        except BaseException:
            self._room.release()
            raise

    def _new(self) -> T:
        if self._closed:
            raise BackendError("the client is closed", phase="closed")
        transport = self._make()
        self._all.add(transport)
        return transport

    async def release(self, transport: T) -> None:
        """Keep a connection for the next request; close those that have rested enough."""
        now = time.monotonic()
        self._room.release()
        if self._closed:
            await transport.aclose()
            return
        self._idle.append((now, transport))
        while self._idle and self._idle[0][0] < now - self._keep_idle_s:
            _, rested = self._idle.popleft()
            self._all.discard(rested)
            await rested.aclose()

    async def discard(self, transport: T) -> None:
        """Close a connection that was left in the middle of something."""
        self._room.release()
        self._all.discard(transport)
        with anyio.CancelScope(shield=True):
            await transport.aclose()

    async def aclose(self) -> None:
        """Close every connection."""
        self._closed = True
        self._idle.clear()
        while self._all:
            await self._all.pop().aclose()


async def acquire_slot(semaphore: anyio.Semaphore) -> None:
    """Acquire a semaphore; at a fraction of the cost where it is free."""
    try:
        semaphore.acquire_nowait()
    except anyio.WouldBlock:
        await semaphore.acquire()
