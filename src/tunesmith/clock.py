"""Virtual clock: hours pass in milliseconds."""

import heapq
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from math import inf
from typing import TypeVar

import anyio
import anyio.lowlevel
import anyio.to_thread

__all__ = ["EPOCH_S", "VirtualClock"]

EPOCH_S = 1_700_000_000.0
"""Default start of virtual time: 14 November 2023, in Unix seconds."""

_IDLE_CHECKPOINTS = 25
"""Number of idle checkpoints before the clock jumps."""

_EXTERNAL_IO_GRACE_S = 0.25
"""Maximum time, in real seconds, that the clock waits for external I/O."""

T = TypeVar("T")

_external_io: ContextVar[object] = ContextVar("_external_io", default=None)
"""External I/O that the current task performs."""


@dataclass(order=True, slots=True)
class _Timer:
    due_at: float
    number: int
    callback: Callable[[], object] = field(compare=False)
    is_removed: bool = field(default=False, compare=False)


class _TimerQueue:
    """Heap of timers; removed timers are discarded lazily."""

    def __init__(self) -> None:
        self._heap: list[_Timer] = []
        self._number = 0
        self._n_removed = 0

    def add(self, due_at: float, callback: Callable[[], object]) -> _Timer:
        self._number += 1
        timer = _Timer(due_at, self._number, callback)
        heapq.heappush(self._heap, timer)
        return timer

    def remove(self, timer: _Timer) -> None:
        if timer.is_removed:
            return
        timer.is_removed = True
        self._n_removed += 1
        # Most deadlines are removed before they fire: they must not pile up.
        if self._n_removed > len(self._heap) // 2:
            self._heap = [timer for timer in self._heap if not timer.is_removed]
            heapq.heapify(self._heap)
            self._n_removed = 0

    def first(self) -> _Timer | None:
        while self._heap and self._heap[0].is_removed:
            heapq.heappop(self._heap)
            self._n_removed -= 1
        return self._heap[0] if self._heap else None


class VirtualClock:
    """Clock whose time jumps while all tasks sleep, jumps on request, or passes at a rate.

    With `autojump`, time jumps to the first timer once all tasks sleep. Sleepers wake one after the
    other: in the order of their times, and at equal times in the order in which they went to sleep.
    Clients behind a socket sleep elsewhere: for them time passes at a `rate`. Works on asyncio and
    trio, and can be created outside of an event loop.

    Args:
        start: Initial time, in Unix seconds.
        autojump: Whether time jumps when all tasks sleep.
        rate: Virtual seconds per real second: 0 for none, 1 for real time, 60 for an hour per
            minute. It can be changed at any time.

    Raises:
        ValueError: The rate is negative.

    Example:
        ```python
        import anyio

        from tunesmith.clock import EPOCH_S, VirtualClock

        clock = VirtualClock()
        anyio.run(clock.sleep, 3600)  # returns at once
        assert clock.time() == EPOCH_S + 3600
        ```
    """

    def __init__(self, start: float = EPOCH_S, *, autojump: bool = True, rate: float = 0.0) -> None:
        self.autojump = autojump
        self._start = start
        self._set_to = start
        self._set_at_real = time.monotonic()
        self._sleepers = _TimerQueue()
        self._deadlines = _TimerQueue()
        self._scopes: dict[int, tuple[float, anyio.CancelScope]] = {}
        self._busy = 0
        self._pending_io: set[object] = set()
        self._io_done: anyio.Event | None = None
        self._rate = 0.0
        self.rate = rate

    @property
    def rate(self) -> float:
        """Virtual seconds per real second."""
        return self._rate

    @rate.setter
    def rate(self, rate: float) -> None:
        if rate < 0:
            raise ValueError(f"rate must not be negative: rate={rate}")
        now, self._rate = self._now, rate
        self._set_to, self._set_at_real = now, time.monotonic()
        self._set_real_deadlines()
        self._wake_first_sleeper()

    @property
    def _now(self) -> float:
        if not self._rate:
            return self._set_to
        return self._set_to + (time.monotonic() - self._set_at_real) * self._rate

    def time(self) -> float:
        """Return the time in Unix seconds."""
        return self._now

    def monotonic(self) -> float:
        """Return the seconds since the clock was created."""
        return self._now - self._start

    def jump(self, seconds: float) -> None:
        """Advance the time; sleepers that are due wake."""
        if seconds < 0:
            raise ValueError(f"seconds must not be negative: jump({seconds})")
        self._go_to(self._now + seconds)

    async def sleep(self, seconds: float, /) -> None:
        """Sleep in virtual time; with `math.inf` until cancelled."""
        await anyio.lowlevel.checkpoint()
        # External I/O that sleeps takes virtual time, so the clock must not wait for it.
        self._finish_external_io(_external_io.get())
        wakeup = _Wakeup()
        timer = self._sleepers.add(self._now + max(seconds, 0.0), wakeup.set)
        try:
            # In the order of the queue: a loop may run tasks that wake together in any order.
            while (is_waiting := self._sleepers.first() is not timer) or self._now < timer.due_at:
                if is_waiting:
                    await wakeup.wait()
                elif self.autojump:
                    await self._pass_time(timer, wakeup)
                else:
                    with anyio.move_on_after(self._real_s_until(timer.due_at)):
                        await wakeup.wait()
        finally:
            self._sleepers.remove(timer)
            self._wake_first_sleeper()

    @contextmanager
    def fail_after(self, seconds: float, /) -> Generator[object]:
        """Cancel the block and raise TimeoutError after this virtual time."""
        scope = anyio.CancelScope()
        timer = self._deadlines.add(self._now + max(seconds, 0.0), scope.cancel)
        self._scopes[timer.number] = (timer.due_at, scope)
        self._set_real_deadline(timer.due_at, scope)
        self._wake_first_sleeper()
        with scope:
            if seconds <= 0:
                scope.cancel()
            try:
                yield scope
            finally:
                self._deadlines.remove(timer)
                del self._scopes[timer.number]
        if scope.cancelled_caught and (
            self._now >= timer.due_at or anyio.current_time() >= scope.deadline
        ):
            raise TimeoutError

    @contextmanager
    def hold(self) -> Generator[None]:
        """Stop time during work that takes real time, such as training in a thread."""
        self._busy += 1
        try:
            yield
        finally:
            self._release()

    @contextmanager
    def released(self) -> Generator[None]:
        """Resume time within `hold`, for work that sleeps."""
        self._release()
        try:
            yield
        finally:
            self._busy += 1

    @contextmanager
    def external_io(self) -> Generator[None]:
        """Stop time briefly while external data arrives, such as a chunk of a file.

        Only briefly, since the source of the data may itself wait for time to pass.
        """
        token = object()
        self._pending_io.add(token)
        outer = _external_io.set(token)
        try:
            yield
        finally:
            _external_io.reset(outer)
            self._finish_external_io(token)

    async def run_in_thread(self, function: Callable[[], T]) -> T:
        """Call a function in a worker thread while time is stopped.

        A cancelled caller still waits for the thread, so no result is lost.

        Args:
            function: The function, which should be quick.
        """
        with self.hold():
            return await anyio.to_thread.run_sync(function)

    def _finish_external_io(self, token: object) -> None:
        self._pending_io.discard(token)
        if self._io_done is not None and not self._pending_io:
            self._io_done.set()
            self._io_done = None

    def _release(self) -> None:
        self._busy -= 1
        if not self._busy:
            self._wake_first_sleeper()

    async def _pass_time(self, timer: _Timer, wakeup: "_Wakeup") -> None:
        for _ in range(_IDLE_CHECKPOINTS):
            await anyio.lowlevel.checkpoint()
            if self._busy:
                await wakeup.wait()
                return
            if self._pending_io:
                self._io_done = self._io_done or anyio.Event()
                with anyio.move_on_after(_EXTERNAL_IO_GRACE_S) as scope:
                    await self._io_done.wait()
                if scope.cancelled_caught:
                    self._pending_io.clear()
                return
            if self._sleepers.first() is not timer or self._now >= timer.due_at:
                return
        deadline = self._deadlines.first()
        due_at = timer.due_at if deadline is None else min(timer.due_at, deadline.due_at)
        if due_at == inf:
            await wakeup.wait()
        else:
            self._go_to(due_at)

    def _go_to(self, due_at: float) -> None:
        self._set_to, self._set_at_real = max(self._now, due_at), time.monotonic()
        while (first := self._deadlines.first()) is not None and first.due_at <= self._now:
            self._deadlines.remove(first)
            first.callback()
        if self._rate:
            self._set_real_deadlines()
        self._wake_first_sleeper()

    def _real_s_until(self, due_at: float) -> float:
        return (due_at - self._now) / self._rate if self._rate else inf

    def _set_real_deadlines(self) -> None:
        for due_at, scope in self._scopes.values():
            self._set_real_deadline(due_at, scope)

    def _set_real_deadline(self, due_at: float, scope: anyio.CancelScope) -> None:
        scope.deadline = anyio.current_time() + self._real_s_until(due_at) if self._rate else inf

    def _wake_first_sleeper(self) -> None:
        first = self._sleepers.first()
        if first is not None:
            first.callback()


class _Wakeup:
    """Wakeup of a sleeper that is due or first in the queue."""

    def __init__(self) -> None:
        self._event: anyio.Event | None = None

    def set(self) -> None:
        if self._event is not None:
            self._event.set()

    async def wait(self) -> None:
        self._event = anyio.Event()
        await self._event.wait()
