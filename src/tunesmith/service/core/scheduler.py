"""Scheduler of the service: actions that run when they are due."""

import heapq
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass, field

import anyio

from tunesmith.backends.base import Clock

__all__ = ["ScheduledAction", "Scheduler"]

Action = Callable[[float], Awaitable[None]]
"""An action; its argument is the time at which it was due, in Unix seconds."""

_running: ContextVar["Scheduler | None"] = ContextVar("_running", default=None)


@dataclass(order=True, slots=True)
class ScheduledAction:
    """An action and its time."""

    due_at: float
    number: int
    action: Action = field(compare=False)
    is_cancelled: bool = field(default=False, compare=False)

    def cancel(self) -> None:
        """Cancel the action."""
        self.is_cancelled = True


class Scheduler:
    """Queue of actions, so that state depends on the time, not on the order of requests.

    Every operation runs the due actions first: a job that ended an hour ago has its result file
    and its model, whichever endpoint is called first.

    Args:
        clock: The service's time.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._queue: list[ScheduledAction] = []
        self._number = 0
        self._idle: anyio.Event | None = None
        self._due_at: float | None = None
        self.settled_to = clock.time()
        """Unix time up to which all due actions have run."""
        self.n_executed = 0
        """Number of actions that have run."""

    def now(self) -> float:
        """Return the current Unix time; within an action, the time at which it was due."""
        return self._clock.time() if self._due_at is None else self._due_at

    def call_at(self, time: float, action: Action) -> ScheduledAction:
        """Schedule an action.

        An action must not change state before its last await: if its caller is cancelled, the
        next caller starts the action again.

        Args:
            time: Unix time.
            action: The action.
        """
        self._number += 1
        scheduled = ScheduledAction(time, self._number, action)
        heapq.heappush(self._queue, scheduled)
        return scheduled

    def next_due_at(self) -> float | None:
        """Return the Unix time of the next action; None if there is none."""
        while self._queue and self._queue[0].is_cancelled:
            heapq.heappop(self._queue)
        return self._queue[0].due_at if self._queue else None

    @property
    def is_running(self) -> bool:
        """Whether the caller is an action."""
        return _running.get() is self

    @property
    def in_progress(self) -> bool:
        """Whether actions are running."""
        return self._idle is not None

    async def run_due(self) -> None:
        """Run all due actions in the order of their times.

        Within an action it does nothing, so actions may call operations of the service.
        """
        if self.is_running:
            return
        while self._idle is not None:
            await self._idle.wait()
        if not self._has_due():
            return
        self._idle = anyio.Event()
        token = _running.set(self)
        try:
            while self._has_due():
                scheduled = self._queue[0]
                self._due_at = scheduled.due_at
                await scheduled.action(scheduled.due_at)
                scheduled.cancel()
                self.n_executed += 1
        finally:
            _running.reset(token)
            self._due_at = None
            self._idle.set()
            self._idle = None

    def _has_due(self) -> bool:
        due_at, now = self.next_due_at(), self._clock.time()
        if due_at is not None and due_at <= now:
            return True
        self.settled_to = now
        return False
