"""Places in a body, counted in bytes or events, and what happens there."""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

from tunesmith.protocol.message import Response
from tunesmith.testing.faults.base import FaultInvocation

__all__ = ["BodyPosition", "inject_at"]


@dataclass(frozen=True, slots=True)
class BodyPosition:
    """A place in a body; in the middle if nothing else is said.

    Args:
        after_bytes: Behind so many bytes.
        after_events: Behind so many events of a stream.
    """

    after_bytes: int | None = None
    after_events: int | None = None

    def __post_init__(self) -> None:
        if self.after_bytes is not None and self.after_events is not None:
            raise ValueError("give after_bytes or after_events, not both")
        if min(self.after_bytes or 0, self.after_events or 0) < 0:
            raise ValueError("after_bytes and after_events are 0 or more")

    def __str__(self) -> str:
        if self.after_events is not None:
            return f"after {_counted(self.after_events, 'event')}"
        if self.after_bytes is not None:
            return f"after {_counted(self.after_bytes, 'byte')}"
        return "half-way"

    def resolve(self, response: Response) -> "BodyPosition | None":
        """Tell where the middle of an answer is; None if nobody has told its length."""
        if self.after_bytes is not None or self.after_events is not None:
            return self
        length = response.headers.get("content-length", "")
        return BodyPosition(after_bytes=int(length) // 2) if length.isdigit() else None


class _PositionTracker:
    """Finds a place in chunks that come one after the other."""

    def __init__(self, place: BodyPosition) -> None:
        self._place = place
        self._line = b""
        self._has_data = False
        self.bytes = 0
        self.events = 0

    def __str__(self) -> str:
        if self._place.after_events is None:
            return _counted(self.bytes, "byte")
        return _counted(self.events, "event")

    def find(self, chunk: bytes) -> int | None:
        """Tell how much of a chunk comes before the place; None if the place is further on."""
        events = self._place.after_events
        if events is None:
            before = (self._place.after_bytes or 0) - self.bytes
            self.bytes += len(chunk)
            return before if before <= len(chunk) else None
        if self.events >= events:
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
                self.events += 1
                if self.events >= events:
                    return index
        self._line += rest
        return None


async def inject_at(
    place: BodyPosition,
    chunks: AsyncIterator[bytes],
    strike: FaultInvocation,
    happen: Callable[[], Awaitable[bytes]],
    *,
    ends: bool = False,
) -> AsyncGenerator[bytes]:
    """Pass chunks on up to a place, let something happen there, and pass the rest on.

    Args:
        place: Where.
        chunks: A body.
        strike: Is told whether the place was reached.
        happen: Raises, waits, or gives bytes to put there.
        ends: Whether nothing comes after the place.
    """
    meter = _PositionTracker(place)
    reached = ended = False
    try:
        while not ended:
            following = await anext(chunks, None)
            ended, chunk = following is None, following or b""
            # The end is a place, too, and the only one of an empty body.
            index = None if reached else meter.find(chunk)
            if index is None:
                if chunk:
                    yield chunk
                continue
            reached = True
            if index:
                yield chunk[:index]
            strike.mark_fired()
            inserted = await happen()
            if inserted:
                yield inserted
            if ends:
                return
            if index < len(chunk):
                yield chunk[index:]
    finally:
        strike.mark_skipped(f"{'the body ended' if ended else 'the caller left'} after {meter}")


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
