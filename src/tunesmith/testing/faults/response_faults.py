"""Faults of answers: what is in them, and where they break."""

import json
from abc import abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from math import inf
from typing import Any, ClassVar

from anyio.lowlevel import checkpoint

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
    "SingleChunkStream",
    "Stall",
    "Truncate",
    "reversed_page",
]

_ERROR = 400


class _Body(Fault):
    """A fault at a place in the answer's body."""

    layer = 4
    terminates: ClassVar[bool] = False
    place: BodyPosition

    @abstractmethod
    async def trigger(self, clock: Clock) -> bytes:
        """Do what is to happen there; gives what comes there."""

    def wrap(self, send: Send, strike: FaultInvocation) -> Send:
        """Let it happen at the place."""

        @asynccontextmanager
        async def sending(request: Request) -> AsyncGenerator[Response]:
            async with send(request) as response:
                place, chunks = self.place.resolve(response), response.stream
                if place is None:  # the middle of a body whose length nobody has told
                    content = await response.read()
                    place, chunks = (
                        BodyPosition(after_bytes=len(content) // 2),
                        SingleChunkStream(content),
                    )
                broken = inject_at(
                    place,
                    chunks,
                    strike,
                    lambda: self.trigger(strike.clock),
                    ends=self.terminates,
                )
                async with aclosing(broken) as stream:
                    yield replace(response, headers=self.headers(response, place), stream=stream)

        return sending

    def headers(self, response: Response, place: BodyPosition) -> Mapping[str, str]:
        """Give the headers, which do not know of the fault."""
        del place
        return response.headers


@dataclass(frozen=True, slots=True)
class Disconnect(_Body):
    """The connection breaks."""

    place: BodyPosition

    def __str__(self) -> str:
        return f"cut {self.place}"

    async def trigger(self, clock: Clock) -> bytes:
        """Break."""
        del clock
        raise BackendError("the connection was reset", phase="read")


@dataclass(frozen=True, slots=True)
class Stall(_Body):
    """Nothing comes for a while."""

    place: BodyPosition
    for_s: float = inf

    def __str__(self) -> str:
        return f"stall {self.place}" + ("" if self.for_s == inf else f" for {self.for_s:g} s")

    async def trigger(self, clock: Clock) -> bytes:
        """Wait."""
        await clock.sleep(self.for_s)
        return b""


@dataclass(frozen=True, slots=True)
class Truncate(_Body):
    """The body ends early, and looks as if that were all."""

    place: BodyPosition
    terminates: ClassVar[bool] = True

    def __str__(self) -> str:
        return f"truncate {self.place}"

    async def trigger(self, clock: Clock) -> bytes:
        """Nothing more comes."""
        del clock
        return b""

    def headers(self, response: Response, place: BodyPosition) -> Mapping[str, str]:
        """Give the headers, with the length that the body has now."""
        length = response.headers.get("content-length", "")
        if place.after_bytes is None or not length.isdigit():
            return _without_length(response)
        return {**response.headers, "content-length": str(min(int(length), place.after_bytes))}


@dataclass(frozen=True, slots=True)
class ErrorEvent(_Body):
    """A stream reports an error, and ends."""

    place: BodyPosition
    body: Mapping[str, Any]
    terminates: ClassVar[bool] = True

    def __str__(self) -> str:
        return f"error event {self.place}"

    async def trigger(self, clock: Clock) -> bytes:
        """Report the error."""
        del clock
        return encode_event(json.dumps(self.body).encode())


@dataclass(frozen=True, slots=True)
class ContentType(Fault):
    """The answer says that it is something else."""

    layer = 3
    content_type: str

    def __str__(self) -> str:
        return f"content type {self.content_type}"

    def wrap(self, send: Send, strike: FaultInvocation) -> Send:
        """Change the header."""

        @asynccontextmanager
        async def sending(request: Request) -> AsyncGenerator[Response]:
            async with send(request) as response:
                strike.mark_fired()
                yield replace(
                    response, headers={**response.headers, "content-type": self.content_type}
                )

        return sending


class _Content(Fault):
    """A fault of what good answers say."""

    layer = 2

    @abstractmethod
    def transform(self, content: bytes, strike: FaultInvocation) -> bytes:
        """Give what the answer says instead."""

    def wrap(self, send: Send, strike: FaultInvocation) -> Send:
        """Change the answer, if it is a good one."""

        @asynccontextmanager
        async def sending(request: Request) -> AsyncGenerator[Response]:
            async with send(request) as response:
                if response.status < _ERROR:
                    content = self.transform(await response.read(), strike)
                    yield _with_content(response, content)
                else:
                    strike.mark_skipped(f"the answer had status {response.status}")
                    yield response

        return sending


@dataclass(frozen=True, slots=True)
class EditJson(_Content):
    """The JSON of the answer is another one."""

    change: Callable[[Any], Any]
    name: str

    def __str__(self) -> str:
        return self.name

    def transform(self, content: bytes, strike: FaultInvocation) -> bytes:
        """Change the JSON."""
        try:
            answer = json.loads(content)
        except ValueError:
            strike.mark_skipped("the answer was no JSON")
            return content
        changed = self.change(answer)
        if changed == answer:
            strike.mark_skipped("the answer stayed as it was")
        else:
            strike.mark_fired()
        return json.dumps(changed).encode()


@dataclass(slots=True)
class RepeatPage(_Content):
    """A page comes a second time, in the place of the next one."""

    observes_all_calls: ClassVar[bool] = True
    last: bytes | None = None

    def __str__(self) -> str:
        return "page repeated"

    def transform(self, content: bytes, strike: FaultInvocation) -> bytes:
        """Remember each page, and answer the last one again."""
        if strike.applies and self.last is not None:
            content = self.last
            strike.mark_fired()
        elif strike.applies:
            strike.mark_skipped("no page came before")
        self.last = content
        return content


def reversed_page(page: Any) -> Any:
    """Turn the items of a page around; anything else stays as it is."""
    match page:
        case {"data": [*items]}:
            return {**page, "data": items[::-1]}
        case _:
            return page


class SingleChunkStream:
    """A body in one piece; unlike a generator it need not be closed."""

    def __init__(self, content: bytes) -> None:
        self._content: bytes | None = content

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        await checkpoint()
        content, self._content = self._content, None
        if content is None:
            raise StopAsyncIteration
        return content


def _with_content(response: Response, content: bytes) -> Response:
    headers = {**_without_length(response), "content-length": str(len(content))}
    return replace(response, headers=headers, stream=SingleChunkStream(content))


def _without_length(response: Response) -> Mapping[str, str]:
    return {name: value for name, value in response.headers.items() if name != "content-length"}
