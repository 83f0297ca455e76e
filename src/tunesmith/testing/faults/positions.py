"""Positions in a body, counted in bytes or events, and faults injected there."""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

from tunesmith.protocol.message import Response
from tunesmith.testing.faults.base import FaultInvocation

__all__ = ["BodyPosition", "inject_at"]


@dataclass(frozen=True, slots=True)
class BodyPosition:
    """A position in a body; the middle by default.

    Args:
        after_bytes: Number of bytes before the position.
        after_events: Number of stream events before the position.
    """

    after_bytes: int | None = None
    after_events: int | None = None

    def __post_init__(self) -> None:
        if self.after_bytes is not None and self.after_events is not None:
            raise ValueError("pass either after_bytes or after_events, not both")
        if min(self.after_bytes or 0, self.after_events or 0) < 0:
            raise ValueError("after_bytes and after_events must be 0 or more")

    def __str__(self) -> str:
        if self.after_events is not None:
            return f"after {_pluralize(self.after_events, 'event')}"
        if self.after_bytes is not None:
            return f"after {_pluralize(self.after_bytes, 'byte')}"
        return "half-way"

    def resolve(self, response: Response) -> "BodyPosition | None":
        """Return the position in bytes or events; None if it depends on an unknown length."""
        if self.after_bytes is not None or self.after_events is not None:
            return self
        length = response.headers.get("content-length", "")
        return BodyPosition(after_bytes=int(length) // 2) if length.isdigit() else None


class _PositionTracker:
    """Search for a position in consecutive chunks."""

    def __init__(self, position: BodyPosition) -> None:
        self._position = position
        self._line = b""
        self._has_data = False
        self._bytes = 0
        self._events = 0

    def __str__(self) -> str:
        if self._position.after_events is None:
            return _pluralize(self._bytes, "byte")
        return _pluralize(self._events, "event")

    def find(self, chunk: bytes) -> int | None:
        """Return the index of the position in a chunk; None if it comes later."""
        events = self._position.after_events
        if events is None:
            index = (self._position.after_bytes or 0) - self._bytes
            self._bytes += len(chunk)
            return index if index <= len(chunk) else None
        if self._events >= events:
            return 0
        *ended, rest = chunk.split(b"\n")
        index = 0
        for part in ended:
            index += len(part) + 1
            line, self._line = (self._line + part).rstrip(b"\r"), b""
            if line:
                self._has_data = True
            elif self._has_data:
                self._has_data = False
                self._events += 1
                if self._events >= events:
                    return index
        self._line += rest
        return None


async def inject_at(
    position: BodyPosition,
    chunks: AsyncIterator[bytes],
    invocation: FaultInvocation,
    trigger: Callable[[], Awaitable[bytes]],
    *,
    terminates: bool = False,
) -> AsyncGenerator[bytes]:
    """Yield a body with a fault at a position.

    Args:
        position: Where to inject the fault.
        chunks: The body.
        invocation: Where to record whether the position was reached.
        trigger: Function that raises, waits, or returns the bytes to insert.
        terminates: Whether the body ends at the position.
    """
    tracker = _PositionTracker(position)
    ended = False
    try:
        while not ended:
            next_chunk = await anext(chunks, None)
            ended, chunk = next_chunk is None, next_chunk or b""
            # The end is a position too, and the only one of an empty body.
            index = None if invocation.fired else tracker.find(chunk)
            if index is None:
                if chunk:
                    yield chunk
                continue
            if index:
                yield chunk[:index]
            invocation.fired = True
            inserted = await trigger()
            if inserted:
                yield inserted
            if terminates:
                return
            if index < len(chunk):
                yield chunk[index:]
    finally:
        invocation.reason = f"{'the body ended' if ended else 'the caller left'} after {tracker}"


def _pluralize(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
