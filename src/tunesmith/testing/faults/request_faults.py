"""Faults of calls: no answer, another answer, a late one, half a request."""

from collections.abc import AsyncGenerator, Awaitable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import NoReturn

from anyio.lowlevel import checkpoint

from tunesmith.errors import BackendError, Phase
from tunesmith.protocol.message import Request, Response
from tunesmith.testing.faults.base import Fault, FaultInvocation, Send
from tunesmith.testing.faults.positions import BodyPosition, inject_at
from tunesmith.testing.faults.response_faults import SingleChunkStream

__all__ = ["Delay", "DisconnectUpload", "DropResponse", "ErrorStatus", "RefuseConnection"]


@dataclass(frozen=True, slots=True)
class ErrorStatus(Fault):
    """Another answer comes: an error, which other faults may change and break in its turn."""

    layer = 0
    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    after_work: bool = False

    def __str__(self) -> str:
        return f"status {self.status}" + (" after the work" if self.after_work else "")

    def wrap(self, send: Send, strike: FaultInvocation) -> Send:
        """Answer instead of the service, or after it."""

        @asynccontextmanager
        async def sending(request: Request) -> AsyncGenerator[Response]:
            await checkpoint()
            if self.after_work:
                async with send(request) as response:
                    await response.read()
            else:  # the request is read all the same, as a service does that refuses it
                async with aclosing(request.chunks()) as chunks:
                    async for _ in chunks:
                        pass
            strike.mark_fired()
            length = {"content-length": str(len(self.body))}
            yield Response(self.status, {**length, **self.headers}, SingleChunkStream(self.body))

        return sending


@dataclass(frozen=True, slots=True)
class RefuseConnection(Fault):
    """The service is not reached."""

    layer = 6
    phase: Phase
    message: str

    def __str__(self) -> str:
        return self.message

    def wrap(self, send: Send, strike: FaultInvocation) -> Send:
        """Send nothing."""
        del send

        async def fail(request: Request) -> NoReturn:
            del request
            await checkpoint()
            strike.mark_fired()
            raise BackendError(self.message, phase=self.phase)

        return lambda request: _FailingContext(fail(request))


@dataclass(frozen=True, slots=True)
class DropResponse(Fault):
    """The service does what it is asked, and its answer never comes."""

    layer = 5

    def __str__(self) -> str:
        return "answer lost"

    def wrap(self, send: Send, strike: FaultInvocation) -> Send:
        """Let the work be done, and break."""

        async def fail(request: Request) -> NoReturn:
            async with send(request) as response:
                await response.read()
            strike.mark_fired()
            raise BackendError("the connection was reset", phase="read")

        return lambda request: _FailingContext(fail(request))


@dataclass(frozen=True, slots=True)
class Delay(Fault):
    """The answer begins late, or fails late; by then the service has done its work."""

    layer = 7
    delay_s: float

    def __str__(self) -> str:
        return f"headers {self.delay_s:g} s late"

    def wrap(self, send: Send, strike: FaultInvocation) -> Send:
        """Wait for the headers."""

        @asynccontextmanager
        async def sending(request: Request) -> AsyncGenerator[Response]:
            async with AsyncExitStack() as stack:
                try:
                    response = await stack.enter_async_context(send(request))
                except BackendError:
                    await self._wait(strike)
                    raise
                await self._wait(strike)
                yield response

        return sending

    async def _wait(self, strike: FaultInvocation) -> None:
        strike.mark_fired()
        await strike.clock.sleep(self.delay_s)


@dataclass(frozen=True, slots=True)
class DisconnectUpload(Fault):
    """The connection breaks while the request is being sent."""

    layer = 1
    after_bytes: int | None

    def __str__(self) -> str:
        where = "half-way" if self.after_bytes is None else f"after {self.after_bytes} bytes"
        return f"upload cut {where}"

    def wrap(self, send: Send, strike: FaultInvocation) -> Send:
        """Send a part of the body."""

        @asynccontextmanager
        async def sending(request: Request) -> AsyncGenerator[Response]:
            if request.body is None:
                strike.mark_skipped("the request had no body")
                async with send(request) as response:
                    yield response
                return
            most = self.after_bytes
            most = await _length(request) // 2 if most is None else most

            async def happen() -> bytes:
                raise BackendError("the connection was reset", phase="write")

            async def body() -> AsyncGenerator[bytes]:
                async with aclosing(request.chunks()) as chunks:
                    broken = inject_at(BodyPosition(after_bytes=most), chunks, strike, happen)
                    async with aclosing(broken):
                        async for chunk in broken:
                            yield chunk

            async with send(replace(request, body=body)) as response:
                yield response

        return sending


class _FailingContext(AbstractAsyncContextManager[Response]):
    """Is never entered, because no answer comes."""

    def __init__(self, failing: Awaitable[NoReturn]) -> None:
        self._failing = failing

    async def __aenter__(self) -> Response:
        return await self._failing

    async def __aexit__(self, *error: object) -> None:
        return None


async def _length(request: Request) -> int:
    length = request.headers.get("content-length", "")
    if isinstance(request.body, bytes):
        return len(request.body)
    if length.isdigit() or not request.replayable:
        return int(length or "0")
    async with aclosing(request.chunks()) as chunks:
        return sum([len(chunk) async for chunk in chunks])
