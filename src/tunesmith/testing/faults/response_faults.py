"""Faults of responses: changed contents and broken bodies."""

import json
from abc import abstractmethod
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from math import inf
from typing import Any, ClassVar

from tunesmith.backends.base import Clock
from tunesmith.errors import BackendError
from tunesmith.protocol.message import Request, Response
from tunesmith.protocol.sse import encode_event
from tunesmith.testing.faults.base import Fault, FaultInvocation, Send
from tunesmith.testing.faults.positions import BodyPosition, inject_at

__all__ = [
    "ContentType",
    "Disconnect",
    "EditJson",
    "ErrorEvent",
    "RepeatPage",
    "Stall",
    "Truncate",
    "reverse_page",
]

_ERROR = 400


class _BodyFault(Fault):
    """A fault at a position in the response body."""

    layer = 4
    terminates: ClassVar[bool] = False
    position: BodyPosition

    @abstractmethod
    async def trigger(self, clock: Clock) -> bytes:
        """Trigger the fault; return the bytes to insert."""

    @asynccontextmanager
    async def send(
        self, send: Send, invocation: FaultInvocation, request: Request
    ) -> AsyncGenerator[Response]:
        """Inject the fault into the body."""
        async with send(request) as response:
            position, chunks = self.position.resolve(response), response.stream
            if position is None:  # the middle of a body of unknown length
                content = await response.read()
                position = BodyPosition(after_bytes=len(content) // 2)
                chunks = Response.from_bytes(response.status, response.headers, content).stream
            broken = inject_at(
                position,
                chunks,
                invocation,
                lambda: self.trigger(invocation.clock),
                terminates=self.terminates,
            )
            async with aclosing(broken) as stream:
                yield replace(response, headers=self.headers(response, position), stream=stream)

    def headers(self, response: Response, position: BodyPosition) -> Mapping[str, str]:
        """Return the response headers; a broken connection leaves them unchanged."""
        del position
        return response.headers


@dataclass(frozen=True, slots=True)
class Disconnect(_BodyFault):
    """A connection that breaks in the body."""

    position: BodyPosition

    def __str__(self) -> str:
        return f"disconnect {self.position}"

    async def trigger(self, clock: Clock) -> bytes:
        """Raise the error of a broken connection."""
        del clock
        raise BackendError("the connection was reset", phase="read")


@dataclass(frozen=True, slots=True)
class Stall(_BodyFault):
    """A pause in the body."""

    position: BodyPosition
    duration_s: float = inf

    def __str__(self) -> str:
        duration = "" if self.duration_s == inf else f" for {self.duration_s:g} s"
        return f"stall {self.position}{duration}"

    async def trigger(self, clock: Clock) -> bytes:
        """Wait."""
        await clock.sleep(self.duration_s)
        return b""


@dataclass(frozen=True, slots=True)
class Truncate(_BodyFault):
    """A body that ends early and looks complete."""

    position: BodyPosition
    terminates: ClassVar[bool] = True

    def __str__(self) -> str:
        return f"truncate {self.position}"

    async def trigger(self, clock: Clock) -> bytes:
        """Insert nothing."""
        del clock
        return b""

    def headers(self, response: Response, position: BodyPosition) -> Mapping[str, str]:
        """Return the response headers with the length of the truncated body."""
        length = response.headers.get("content-length", "")
        if position.after_bytes is None or not length.isdigit():
            return _without_length(response)
        return {**response.headers, "content-length": str(min(int(length), position.after_bytes))}


@dataclass(frozen=True, slots=True)
class ErrorEvent(_BodyFault):
    """A stream that ends with an error event."""

    position: BodyPosition
    body: Mapping[str, Any]
    terminates: ClassVar[bool] = True

    def __str__(self) -> str:
        return f"error event {self.position}"

    async def trigger(self, clock: Clock) -> bytes:
        """Return the error event."""
        del clock
        return encode_event(json.dumps(self.body).encode())


@dataclass(frozen=True, slots=True)
class ContentType(Fault):
    """A response with another content type."""

    layer = 3
    content_type: str

    def __str__(self) -> str:
        return f"content type {self.content_type}"

    @asynccontextmanager
    async def send(
        self, send: Send, invocation: FaultInvocation, request: Request
    ) -> AsyncGenerator[Response]:
        """Replace the header."""
        async with send(request) as response:
            invocation.fired = True
            headers = {**response.headers, "content-type": self.content_type}
            yield replace(response, headers=headers)


class _ContentFault(Fault):
    """A fault in the content of successful responses."""

    layer = 2

    @abstractmethod
    def transform(self, content: bytes, invocation: FaultInvocation) -> bytes:
        """Return the content to send instead."""

    @asynccontextmanager
    async def send(
        self, send: Send, invocation: FaultInvocation, request: Request
    ) -> AsyncGenerator[Response]:
        """Transform the content, unless the response is an error."""
        async with send(request) as response:
            if response.status < _ERROR:
                content = self.transform(await response.read(), invocation)
                headers = {**_without_length(response), "content-length": str(len(content))}
                yield Response.from_bytes(response.status, headers, content)
            else:
                invocation.reason = f"the response had status {response.status}"
                yield response


@dataclass(frozen=True, slots=True)
class EditJson(_ContentFault):
    """A response with edited JSON."""

    change: Callable[[Any], Any]
    name: str

    def __str__(self) -> str:
        return self.name

    def transform(self, content: bytes, invocation: FaultInvocation) -> bytes:
        """Edit the JSON."""
        try:
            original = json.loads(content)
        except ValueError:
            invocation.reason = "the response was not JSON"
            return content
        edited = self.change(original)
        invocation.fired = edited != original
        invocation.reason = "the edit changed nothing"
        return json.dumps(edited).encode()


@dataclass(slots=True)
class RepeatPage(_ContentFault):
    """Page repeated in place of the next one."""

    observes_all_calls: ClassVar[bool] = True
    previous: bytes | None = None

    def __str__(self) -> str:
        return "repeat page"

    def transform(self, content: bytes, invocation: FaultInvocation) -> bytes:
        """Return the previous page, and store this one for the next call."""
        if invocation.applies and self.previous is not None:
            content = self.previous
            invocation.fired = True
        else:
            invocation.reason = "the first page has no predecessor"
        self.previous = content
        return content


def reverse_page(page: Any) -> Any:
    """Reverse the items of a page; return any other value unchanged."""
    match page:
        case {"data": [*items]}:
            return {**page, "data": items[::-1]}
        case _:
            return page


def _without_length(response: Response) -> Mapping[str, str]:
    return {name: value for name, value in response.headers.items() if name != "content-length"}
