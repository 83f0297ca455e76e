"""A backend on which nothing works."""

from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager

import anyio.lowlevel

from tunesmith.errors import BackendError, Phase
from tunesmith.protocol.message import Request, Response

__all__ = ["FailingBackend"]


class FailingBackend:
    """Raises its error at once, or after some bytes of an event stream."""

    def __init__(self, phase: Phase, *, after: bytes | None = None) -> None:
        self._phase: Phase = phase
        self._after = after
        self.closed = False

    @asynccontextmanager
    async def send(self, request: Request, /) -> AsyncGenerator[Response]:  # noqa: ARG002 - all are alike
        """Break."""
        await anyio.lowlevel.checkpoint()
        if self._after is None:
            raise self._error()
        async with aclosing(self._breaking_off(self._after)) as stream:
            yield Response(200, {"content-type": "text/event-stream"}, stream)

    async def aclose(self) -> None:
        """Remember it."""
        self.closed = True

    async def _breaking_off(self, first: bytes) -> AsyncGenerator[bytes]:
        yield first
        raise self._error()

    def _error(self) -> BackendError:
        return BackendError("it broke", phase=self._phase)
