"""The `Backend` protocol, and the clock that calls are timed by."""

import time
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from types import TracebackType
from typing import Protocol

import anyio

from tunesmith.protocol.message import Request, Response

__all__ = [
    "SYSTEM_CLOCK",
    "Backend",
    "Clock",
    "SystemClock",
    "get_clock",
    "is_marked_unsent",
    "mark_unsent",
]

_UNSENT_NOTE = "tunesmith: the request was not sent"


class Backend(Protocol):
    """Sender of requests. A recorder, a rate limiter or another HTTP client is one small class.

    Example:
        ```python
        from collections.abc import AsyncGenerator
        from contextlib import asynccontextmanager

        from tunesmith import Backend, Request, Response


        class PrintingBackend:
            def __init__(self, inner: Backend) -> None:
                self.inner = inner

            @asynccontextmanager
            async def send(self, request: Request) -> AsyncGenerator[Response]:
                print(request.operation)
                async with self.inner.send(request) as response:
                    yield response

            async def aclose(self) -> None:
                await self.inner.aclose()
        ```
    """

    def send(self, request: Request, /) -> AbstractAsyncContextManager[Response]:
        """Send a request; leaving the context closes the response at once, read or not.

        Entering the context returns when the response's headers have arrived. No cancel scope and
        no task group may stay open between entering and leaving it, because callers enter and leave
        it inside scopes of their own.

        Raises:
            BackendError: No response arrived, or its stream broke. An error status is a response.
                Errors raised by the request body are re-raised unchanged.
        """
        ...

    async def aclose(self) -> None:
        """Release everything the backend holds; later requests fail."""
        ...


class Clock(Protocol):
    """Source of time for calls, such as the virtual clock of `MemoryBackend`.

    The client uses the attribute `clock` of its backend, if there is one.
    """

    def time(self) -> float:
        """Return the time in Unix seconds."""
        ...

    def monotonic(self) -> float:
        """Return seconds on a scale that never goes back, for measuring durations."""
        ...

    async def sleep(self, seconds: float, /) -> None:
        """Sleep."""
        ...

    def fail_after(self, seconds: float, /) -> AbstractContextManager[object]:
        """Cancel the block and raise TimeoutError after this many seconds."""
        ...


class SystemClock:
    """Clock of the operating system."""

    def time(self) -> float:
        """Return the time in Unix seconds."""
        return time.time()

    def monotonic(self) -> float:
        """Return seconds on a scale that never goes back."""
        return time.monotonic()

    async def sleep(self, seconds: float, /) -> None:
        """Sleep."""
        await anyio.sleep(seconds)

    def fail_after(self, seconds: float, /) -> AbstractContextManager[object]:
        """Cancel the block and raise TimeoutError after this many seconds."""
        return _FailAfter(seconds)


class _FailAfter:
    """`anyio.fail_after` at half the cost: every call and every chunk of a stream needs one."""

    __slots__ = ("_scope",)

    def __init__(self, seconds: float) -> None:
        self._scope = anyio.CancelScope(deadline=anyio.current_time() + seconds)

    def __enter__(self) -> None:
        self._scope.__enter__()

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        suppressed = self._scope.__exit__(exc_type, exc, traceback)
        if self._scope.cancelled_caught:
            raise TimeoutError
        return suppressed


SYSTEM_CLOCK = SystemClock()


def get_clock(backend: Backend) -> Clock:
    """Return the clock of a backend or of the first backend with a clock that it wraps.

    Args:
        backend: The backend; a wrapper names the wrapped one `inner`.
    """
    layer: object = backend
    while layer is not None:
        clock: Clock | None = getattr(layer, "clock", None)
        if clock is not None:
            return clock
        layer = getattr(layer, "inner", None)
    return SYSTEM_CLOCK


def mark_unsent(error: BaseException) -> None:
    """Mark an error, usually a cancellation, as raised before any byte of the request was sent.

    A time limit outside the backend ends an attempt by cancelling it. The mark tells whether the
    service can have seen the request.
    """
    error.add_note(_UNSENT_NOTE)


def is_marked_unsent(error: BaseException | None) -> bool:
    """Return whether `mark_unsent` marked an error."""
    return _UNSENT_NOTE in getattr(error, "__notes__", ())
