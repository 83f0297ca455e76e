"""Scheduler of the service: actions that run when they are due."""

import heapq
import logging
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from math import inf

import anyio

from tunesmith.backends.base import Clock
from tunesmith.service.core.errors import StoreError

__all__ = ["PATIENCE_S", "ActionCancelledError", "ScheduledAction", "Scheduler"]

PATIENCE_S = 0.05
"""Patience of operations while an engine trains real weights."""

_logger = logging.getLogger("tunesmith.service")

Action = Callable[[float], Awaitable[None]]
"""An action; its argument is the time at which it was due, in Unix seconds."""


class ActionCancelledError(Exception):
    """An action was cancelled while it was running."""


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


_current: ContextVar["tuple[Scheduler, ScheduledAction] | None"] = ContextVar(
    "_current", default=None
)


class Scheduler:
    """Queue of actions, so that state depends on the time, not on the order of requests.

    Without `run`, every operation runs the due actions first: a job that ended an hour ago has its
    result file and its model, whichever endpoint is called first. While `run` runs, operations do
    not wait for actions.

    Args:
        clock: The service's time.
        on_executed: Function to call after each action.
        patience: Real seconds after which an operation leaves further due actions to the next one:
            actions that train real weights take time, which others would wait for.
    """

    def __init__(
        self,
        clock: Clock,
        on_executed: Callable[[], None] = lambda: None,
        *,
        patience: float = inf,
    ) -> None:
        self._clock = clock
        self._on_executed = on_executed
        self._patience = patience
        self._queue: list[ScheduledAction] = []
        self._number = 0
        self._idle: anyio.Event | None = None
        self._changed: anyio.Event | None = None
        self.is_background = False
        """Whether `run` is running."""

    def now(self) -> float:
        """Return the current Unix time; within an action, the time at which it was due."""
        current = self._current_action()
        return self._clock.time() if current is None else current.due_at

    def call_at(self, time: float, action: Action) -> ScheduledAction:
        """Schedule an action.

        An action must not change state before its last await: if its caller is cancelled, the
        action is started again. After an await it must call `check_cancelled`.

        Args:
            time: Unix time.
            action: The action.
        """
        self._number += 1
        scheduled = ScheduledAction(time, self._number, action)
        self._push(scheduled)
        return scheduled

    def next_due_at(self) -> float | None:
        """Return the Unix time of the next action; None if there is none."""
        while self._queue and self._queue[0].is_cancelled:
            heapq.heappop(self._queue)
        return self._queue[0].due_at if self._queue else None

    @property
    def is_running(self) -> bool:
        """Whether the caller is an action."""
        return self._current_action() is not None

    @property
    def is_cancelled(self) -> bool:
        """Whether the current action was cancelled."""
        current = self._current_action()
        return current is not None and current.is_cancelled

    def commit(self) -> None:
        """Write what the current action has changed so far."""
        self._on_executed()

    def check_cancelled(self) -> None:
        """Raise an error if the current action was cancelled.

        Raises:
            ActionCancelledError: It was cancelled.
        """
        if self.is_cancelled:
            raise ActionCancelledError

    async def run_due(self) -> None:
        """Run all due actions in the order of their times.

        It does nothing within an action, so actions may call operations of the service, and while
        `run` runs.
        """
        if self.is_running or self.is_background:
            return
        while self._idle is not None:
            await self._idle.wait()
        if not self._has_due():
            return
        self._idle = anyio.Event()
        started_at = anyio.current_time()
        try:
            while self._has_due():
                scheduled = self._queue[0]
                await self._execute(scheduled)
                scheduled.cancel()
                if anyio.current_time() - started_at >= self._patience:
                    break
        finally:
            self._idle.set()
            self._idle = None

    async def run(self) -> None:
        """Run actions when they are due, each in a task of its own, until cancelled."""
        self.is_background = True
        try:
            async with anyio.create_task_group() as tasks:
                while True:
                    while self._has_due():
                        tasks.start_soon(self._run_in_task, heapq.heappop(self._queue))
                    await self._wait_for_due()
        finally:
            self.is_background = False

    def _current_action(self) -> ScheduledAction | None:
        current = _current.get()
        return current[1] if current is not None and current[0] is self else None

    async def _run_in_task(self, scheduled: ScheduledAction) -> None:
        if scheduled.is_cancelled:
            return
        try:
            await self._execute(scheduled)
        except StoreError as error:
            _logger.error("%s", error)  # noqa: TRY400 - the action runs again after a restart
        except Exception:
            _logger.exception("a scheduled action failed")
        except BaseException:
            self._push(scheduled)  # the caller was cancelled: the action is started again
            raise

    async def _execute(self, scheduled: ScheduledAction) -> None:
        token = _current.set((self, scheduled))
        try:
            await scheduled.action(scheduled.due_at)
        except ActionCancelledError:
            pass
        finally:
            _current.reset(token)
            self._on_executed()

    async def _wait_for_due(self) -> None:
        self._changed = anyio.Event()
        due_at = self.next_due_at()
        seconds = inf if due_at is None else due_at - self._clock.time()
        try:
            with self._clock.fail_after(seconds):
                await self._changed.wait()
        except TimeoutError:
            pass

    def _push(self, scheduled: ScheduledAction) -> None:
        heapq.heappush(self._queue, scheduled)
        if self._changed is not None:
            self._changed.set()

    def _has_due(self) -> bool:
        due_at = self.next_due_at()
        return due_at is not None and due_at <= self._clock.time()
