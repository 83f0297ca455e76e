"""Connection pools, one per event loop, that stay cheap with thousands of connections."""

import time
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Generic, Protocol, TypeVar

import anyio

from tunesmith.errors import BackendError

__all__ = ["ConnectionPool", "LoopLocal", "closed_error"]


class _Closable(Protocol):
    def aclose(self) -> Awaitable[None]: ...


class _Connection(_Closable, Protocol):
    @property
    def is_idle(self) -> bool: ...


C = TypeVar("C", bound=_Connection)
R = TypeVar("R", bound=_Closable)


def closed_error() -> BackendError:
    """Return the error for a request on a closed client."""
    return BackendError("the client is closed", phase="closed")


class ConnectionPool(Generic[C]):
    """Pool of connections that each serve one request at a time.

    httpx examines every connection of a pool at each request: with a thousand of them that takes
    more CPU than the rest of the call. The cost here does not depend on their number.

    Args:
        connect: Opens a connection; its argument is the timeout of the attempt in seconds.
        max_connections: Maximum number of open connections.
        keepalive_expiry_s: Seconds after which an unused connection is closed.
    """

    def __init__(
        self,
        connect: Callable[[float | None], Awaitable[C]],
        max_connections: int,
        keepalive_expiry_s: float,
    ) -> None:
        self._connect = connect
        self._keepalive_expiry_s = keepalive_expiry_s
        self._slots = anyio.Semaphore(max_connections)
        self._idle: deque[tuple[float, C]] = deque()
        self._open: set[C] = set()
        self._closed = False

    async def acquire(self, timeout_s: float | None = None) -> C:
        """Return an idle connection, or open one; wait while too many are in use.

        Raises:
            BackendError: The connection failed, or the pool is closed.
        """
        try:
            self._slots.acquire_nowait()  # a fraction of the cost of `acquire`
        except anyio.WouldBlock:
            await self._slots.acquire()
        try:
            # Last in, first out: the others age until they expire.
            while self._idle:
                released_at, connection = self._idle.pop()
                if self._is_fresh(released_at) and connection.is_idle:
                    return connection
                await self._close(connection)
            return await self._open_connection(timeout_s)
        except BaseException:
            self._slots.release()
            raise

    async def _open_connection(self, timeout_s: float | None) -> C:
        self._check_open()
        connection = await self._connect(timeout_s)
        try:
            self._check_open()  # it may have been closed meanwhile
        except BackendError:
            await self._close(connection)
            raise
        self._open.add(connection)
        return connection

    def _check_open(self) -> None:
        if self._closed:
            raise closed_error()

    async def release(self, connection: C, *, reusable: bool) -> None:
        """Keep a connection for the next request, or close it.

        Args:
            connection: The connection.
            reusable: Whether its response was read to the end.
        """
        self._slots.release()
        if self._closed or not reusable:
            await self._close(connection)
            return
        self._idle.append((time.monotonic(), connection))
        while self._idle and not self._is_fresh(self._idle[0][0]):
            await self._close(self._idle.popleft()[1])

    def _is_fresh(self, released_at: float) -> bool:
        return time.monotonic() - released_at < self._keepalive_expiry_s

    async def _close(self, connection: C) -> None:
        self._open.discard(connection)
        with anyio.CancelScope(shield=True):
            await connection.aclose()

    async def aclose(self) -> None:
        """Close every connection, also those in use."""
        self._closed = True
        self._idle.clear()
        while self._open:
            await self._close(self._open.pop())


class LoopLocal(Generic[R]):
    """A resource per event loop, closed before its loop ends.

    Connections belong to the event loop that opened them. A client may be used in a second
    `asyncio.run`, or in the loops of several threads at once. An asynchronous generator holds each
    resource, because event loops close their generators on shutdown, and close one that another
    thread drops.

    Args:
        create: Creates the resource of the running loop.
    """

    def __init__(self, create: Callable[[], R]) -> None:
        self._create = create
        self._entries: dict[object, tuple[R, AsyncGenerator[None]]] = {}
        self.closed = False

    def get(self, loop: object) -> R:
        """Return the resource of the running event loop.

        Args:
            loop: The event loop or its token.

        Raises:
            BackendError: The owner is closed.
        """
        if self.closed:
            raise closed_error()
        entry = self._entries.get(loop)
        return entry[0] if entry is not None else self._add(loop)

    def _add(self, loop: object) -> R:
        resource = self._create()
        guard = self._guard(loop, resource)
        try:
            guard.asend(None).send(None)  # runs to the yield, which registers it with the loop
        except StopIteration:
            self._entries[loop] = resource, guard
        return resource

    async def _guard(self, loop: object, resource: R) -> AsyncGenerator[None]:
        try:
            yield
        finally:
            self._entries.pop(loop, None)
            with anyio.CancelScope(shield=True):
                await resource.aclose()

    async def aclose(self, loop: object) -> None:
        """Close all resources: those of other loops are closed by their loops.

        Args:
            loop: The running event loop or its token.
        """
        self.closed = True
        entry = self._entries.pop(loop, None)
        self._entries.clear()
        if entry is not None:
            await entry[1].aclose()
