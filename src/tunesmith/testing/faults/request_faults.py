"""Faults of requests: refused, delayed, lost, answered by an error, sent in part."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import NoReturn

from anyio.lowlevel import checkpoint

from tunesmith.errors import BackendError, Phase
from tunesmith.protocol.message import Request, Response
from tunesmith.testing.faults.base import Fault, FaultInvocation, Send
from tunesmith.testing.faults.positions import BodyPosition, inject_at

__all__ = ["Delay", "DisconnectUpload", "DropResponse", "ErrorStatus", "RefuseConnection"]


@dataclass(frozen=True, slots=True)
class ErrorStatus(Fault):
    """An error response, which other faults may change and break in turn."""

    layer = 0
    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    after_work: bool = False

    def __str__(self) -> str:
        return f"status {self.status}" + (" after the work" if self.after_work else "")

    @asynccontextmanager
    async def send(
        self, send: Send, invocation: FaultInvocation, request: Request
    ) -> AsyncGenerator[Response]:
        """Respond instead of the service, or after it."""
        await checkpoint()
        if self.after_work:
            async with send(request) as response:
                await response.read()
        else:  # services read a request before they refuse it
            async with aclosing(request.chunks()) as chunks:
                async for _ in chunks:
                    pass
        invocation.fired = True
        headers = {"content-length": str(len(self.body)), **self.headers}
        yield Response.from_bytes(self.status, headers, self.body)


@dataclass(frozen=True, slots=True)
class RefuseConnection(Fault):
    """A refused connection; the service receives nothing."""

    layer = 6

    def __str__(self) -> str:
        return "the connection was refused"

    @asynccontextmanager
    async def send(
        self, send: Send, invocation: FaultInvocation, request: Request
    ) -> AsyncGenerator[Response]:
        """Raise the error."""
        del send, request
        await checkpoint()
        invocation.fired = True
        yield _fail(str(self), "connect")


@dataclass(frozen=True, slots=True)
class DropResponse(Fault):
    """A lost response; the service has done its work."""

    layer = 5

    def __str__(self) -> str:
        return "drop response"

    @asynccontextmanager
    async def send(
        self, send: Send, invocation: FaultInvocation, request: Request
    ) -> AsyncGenerator[Response]:
        """Raise the error once the service has responded."""
        async with send(request) as response:
            await response.read()
        invocation.fired = True
        yield _fail("the connection was reset", "read")


@dataclass(frozen=True, slots=True)
class Delay(Fault):
    """A delayed response or failure; the service has done its work by then."""

    layer = 7
    delay_s: float

    def __str__(self) -> str:
        return f"headers {self.delay_s:g} s late"

    @asynccontextmanager
    async def send(
        self, send: Send, invocation: FaultInvocation, request: Request
    ) -> AsyncGenerator[Response]:
        """Wait before the headers."""
        async with AsyncExitStack() as stack:
            try:
                response = await stack.enter_async_context(send(request))
            except BackendError:
                await self._wait(invocation)
                raise
            await self._wait(invocation)
            yield response

    async def _wait(self, invocation: FaultInvocation) -> None:
        invocation.fired = True
        await invocation.clock.sleep(self.delay_s)


@dataclass(frozen=True, slots=True)
class DisconnectUpload(Fault):
    """A connection that breaks while the request is being sent."""

    layer = 1
    after_bytes: int | None

    def __str__(self) -> str:
        position = "half-way" if self.after_bytes is None else f"after {self.after_bytes} bytes"
        return f"disconnect upload {position}"

    @asynccontextmanager
    async def send(
        self, send: Send, invocation: FaultInvocation, request: Request
    ) -> AsyncGenerator[Response]:
        """Send a part of the body."""
        if request.body is None:
            invocation.reason = "the request had no body"
            async with send(request) as response:
                yield response
            return
        after_bytes = self.after_bytes
        if after_bytes is None:
            after_bytes = await _length(request) // 2

        async def trigger() -> bytes:
            raise BackendError("the connection was reset", phase="write")

        async def body() -> AsyncGenerator[bytes]:
            async with aclosing(request.chunks()) as chunks:
                position = BodyPosition(after_bytes=after_bytes)
                async with aclosing(inject_at(position, chunks, invocation, trigger)) as broken:
                    async for chunk in broken:
                        yield chunk

        async with send(replace(request, body=body)) as response:
            yield response


def _fail(message: str, phase: Phase) -> NoReturn:
    raise BackendError(message, phase=phase)


async def _length(request: Request) -> int:
    length = request.headers.get("content-length", "")
    if isinstance(request.body, bytes):
        return len(request.body)
    if length.isdigit() or not request.replayable:
        return int(length or "0")
    async with aclosing(request.chunks()) as chunks:
        return sum([len(chunk) async for chunk in chunks])
