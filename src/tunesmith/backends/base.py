"""The one seam: whoever can turn a request into a response is a backend."""

import time
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from types import TracebackType
from typing import Protocol

import anyio

from tunesmith.protocol.message import Request, Response

__all__ = ["SYSTEM_CLOCK", "Backend", "Clock", "SystemClock", "get_clock"]


class Backend(Protocol):
    """Sends requests. A recorder, a limiter or another HTTP client is one small class like this.

    Example:
        ```python
        from collections.abc import AsyncGenerator
        from contextlib import asynccontextmanager

        from tunesmith import Backend, Request, Response


        class Shouting:
            def __init__(self, inner: Backend) -> None:
                self.inner = inner

            @asynccontextmanager
            async def send(self, request: Request) -> AsyncGenerator[Response]:
                print(request.operation.upper())
                async with self.inner.send(request) as response:
                    yield response

            async def aclose(self) -> None:
                await self.inner.aclose()
        ```
    """

    def send(self, request: Request, /) -> AbstractAsyncContextManager[Response]:
        """Send a request; leaving the context closes the response at once, read or not.

        The context is entered once the response's headers are there. No cancel scope and no task
        group may stay open between entering and leaving it, since callers enter and leave it
        inside scopes of their own.

        Raises:
            BackendError: No answer came. Nothing else is raised; an error status is a response,
                and so is `BackendError` the one error of the response's stream.
        """
        ...

    async def aclose(self) -> None:
        """Give back what the backend holds; sending is over."""
        ...


class Clock(Protocol):
    """Time as a backend knows it: a service in memory has its own.

    A backend that keeps its own time has an attribute `clock`; the client sleeps by it.
    """

    def time(self) -> float:
        """Tell the time in Unix seconds."""
        ...

    def monotonic(self) -> float:
        """Tell seconds on a scale that never goes back; for measuring."""
        ...

    async def sleep(self, seconds: float, /) -> None:
        """Wait."""
        ...

    def fail_after(self, seconds: float, /) -> AbstractContextManager[object]:
        """Cancel the block, and raise TimeoutError, once this time has passed."""
        ...


class SystemClock:
    """The time of the machine."""

    def time(self) -> float:
        """Tell the time in Unix seconds."""
        return time.time()

    def monotonic(self) -> float:
        """Tell seconds on a scale that never goes back."""
        return time.monotonic()

    async def sleep(self, seconds: float, /) -> None:
        """Wait."""
        await anyio.sleep(seconds)

    def fail_after(self, seconds: float, /) -> AbstractContextManager[object]:
        """Cancel the block, and raise TimeoutError, once this time has passed."""
        return _FailAfter(seconds)


class _FailAfter:
    """`anyio.fail_after` at half its cost: every call, and every chunk of a stream, has one."""

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
    """Find the clock that a backend lives by.

    Wrappers need not pass it on: a wrapped backend is looked for under `inner`.
    """
    layer: object = backend
    while layer is not None:
        clock: Clock | None = getattr(layer, "clock", None)
        if clock is not None:
            return clock
        layer = getattr(layer, "inner", None)
    return SYSTEM_CLOCK
