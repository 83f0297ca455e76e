"""What is to happen in the service, and when."""

import heapq
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass, field

import anyio

from tunesmith.backends.base import Clock

__all__ = ["ScheduledAction", "Scheduler"]

Action = Callable[[float], Awaitable[None]]
"""What to do; it is told the time, in Unix seconds, at which it was due."""

_settling: ContextVar["Scheduler | None"] = ContextVar("_settling", default=None)


@dataclass(order=True, slots=True)
class ScheduledAction:
    """Something that happens at a time, unless it is dropped before."""

    at: float
    number: int
    action: Action = field(compare=False)
    dropped: bool = field(default=False, compare=False)

    def cancel(self) -> None:
        """Let it not happen."""
        self.dropped = True


class Scheduler:
    """A queue of what is due, so that state depends on the time alone, not on who reads it.

    Every operation settles the schedule before it looks at anything: a job that ended an hour ago
    has its result file and its model, whichever endpoint is asked first.

    Args:
        clock: Tells the time.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._queue: list[ScheduledAction] = []
        self._number = 0
        self._settled: anyio.Event | None = None
        self._due_at: float | None = None
        self.settled_to = clock.time()
        """Up to when, in Unix seconds, everything that was due has been done."""
        self.happened = 0
        """How much has been done."""

    def now(self) -> float:
        """Tell the time in Unix seconds: for what an action asks, the time at which it was due."""
        return self._clock.time() if self._due_at is None else self._due_at

    def call_at(self, time: float, action: Action) -> ScheduledAction:
        """Have something done at a time, in Unix seconds.

        An action that awaits changes nothing before its last await: where the caller who settles
        is cancelled meanwhile, the next one starts the action again.
        """
        self._number += 1
        due = ScheduledAction(time, self._number, action)
        heapq.heappush(self._queue, due)
        return due

    def next_due_at(self) -> float | None:
        """Tell when the next thing happens; None if nothing will."""
        while self._queue and self._queue[0].dropped:
            heapq.heappop(self._queue)
        return self._queue[0].at if self._queue else None

    @property
    def is_running(self) -> bool:
        """Whether what happens now happens because it was due."""
        return _settling.get() is self

    @property
    def in_progress(self) -> bool:
        """Whether somebody is doing what is due, and has not done all of it."""
        return self._settled is not None

    async def run_due(self) -> None:
        """Do everything that is due by now, in the order of its times.

        An action may ask the service for something itself, as a batch does: what it asks for is
        answered as things stand then.
        """
        if self.is_running:
            return
        while self._settled is not None:
            await self._settled.wait()
        if not self._has_due():
            return
        self._settled = anyio.Event()
        outer = _settling.set(self)
        try:
            while self._has_due():
                due = self._queue[0]
                self._due_at = due.at
                await due.action(due.at)
                due.cancel()
                self.happened += 1
        finally:
            _settling.reset(outer)
            self._due_at = None
            self._settled.set()
            self._settled = None

    def _has_due(self) -> bool:
        at, now = self.next_due_at(), self._clock.time()
        if at is not None and at <= now:
            return True
        self.settled_to = now
        return False
