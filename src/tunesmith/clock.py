"""Virtual time: hours pass in milliseconds, and nothing waits for real."""

import heapq
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from math import inf

import anyio
import anyio.lowlevel

__all__ = ["EPOCH_S", "VirtualClock"]

EPOCH_S = 1_700_000_000.0
"""When virtual time begins: 14 November 2023, in Unix seconds."""

_IDLE_CHECKPOINTS = 25
"""So often the others may run before a sleeper takes it that all of them wait for time to pass."""

_EXTERNAL_IO_GRACE_S = 0.25
"""So many real seconds time waits for what comes from outside."""

_external_io: ContextVar[object] = ContextVar("_making", default=None)
"""What comes from outside, where it is being made."""


@dataclass(order=True, slots=True)
class _Timer:
    at: float
    number: int
    callback: Callable[[], object] = field(compare=False)
    over: bool = field(default=False, compare=False)


class _TimerQueue:
    """Alarms by their times; those that are over go away by and by."""

    def __init__(self) -> None:
        self._heap: list[_Timer] = []
        self._number = 0
        self._over = 0

    def add(self, at: float, ring: Callable[[], object]) -> _Timer:
        self._number += 1
        alarm = _Timer(at, self._number, ring)
        heapq.heappush(self._heap, alarm)
        return alarm

    def remove(self, alarm: _Timer) -> None:
        if alarm.over:
            return
        alarm.over = True
        self._over += 1
        # Most deadlines are never reached: a million of them must not pile up.
        if self._over > len(self._heap) // 2:
            self._heap = [alarm for alarm in self._heap if not alarm.over]
            heapq.heapify(self._heap)
            self._over = 0

    def first(self) -> _Timer | None:
        while self._heap and self._heap[0].over:
            heapq.heappop(self._heap)
            self._over -= 1
        return self._heap[0] if self._heap else None


class VirtualClock:
    """Time that passes when it is told to, when everybody waits for it, or at a speed of its own.

    With `autojump`, once all tasks sleep, time jumps to the first alarm; sleepers wake in the order
    of their times. Who asks through a socket sleeps elsewhere, where nobody here sees it: for them
    time passes at a `rate`. Works on asyncio and trio, and may be made outside of an event loop.

    Args:
        start: The time at first, in Unix seconds.
        autojump: Whether time jumps by itself when everybody waits for it.
        rate: How many seconds pass in each second of real time: 0 for none, 1 for real time, 60
            for an hour a minute. May be set anew at any time.

    Raises:
        ValueError: The rate is negative.

    Example:
        ```python
        import anyio

        from tunesmith.clock import EPOCH_S, VirtualClock

        clock = VirtualClock()
        anyio.run(clock.sleep, 3600)  # at once
        assert clock.time() == EPOCH_S + 3600
        ```
    """

    def __init__(self, start: float = EPOCH_S, *, autojump: bool = True, rate: float = 0.0) -> None:
        self.autojump = autojump
        self._start = start
        self._then = start
        self._then_real = time.monotonic()
        self._sleepers = _TimerQueue()
        self._deadlines = _TimerQueue()
        self._scopes: dict[int, tuple[float, anyio.CancelScope]] = {}
        self._busy = 0
        self._idle: anyio.Event | None = None
        self._awaited: set[object] = set()
        self._came: anyio.Event | None = None
        self._rate = 0.0
        self.rate = rate
        self.is_stopped = False
        """Whether time that passes at a rate is stopped, so that it is no use to wait for it."""

    @property
    def rate(self) -> float:
        """How many seconds pass in each second of real time."""
        return self._rate

    @rate.setter
    def rate(self, rate: float) -> None:
        if rate < 0:
            raise ValueError(f"time does not go back: rate={rate}")
        now, self._rate = self._now, rate
        self._then, self._then_real = now, time.monotonic()
        self._set_real_deadlines()
        self._wake_first_sleeper()

    @property
    def _now(self) -> float:
        if not self._rate:
            return self._then
        return self._then + (time.monotonic() - self._then_real) * self._rate

    def time(self) -> float:
        """Tell the time in Unix seconds."""
        return self._now

    def monotonic(self) -> float:
        """Tell seconds since the clock was made."""
        return self._now - self._start

    def jump(self, seconds: float) -> None:
        """Let time pass at once; who is due by then wakes."""
        if seconds < 0:
            raise ValueError(f"time does not go back: jump({seconds})")
        self._go_to(self._now + seconds)

    async def sleep(self, seconds: float, /) -> None:
        """Wait in virtual time; for `math.inf`, until cancelled."""
        await anyio.lowlevel.checkpoint()
        self._finish_external_io(
            _external_io.get()
        )  # what is made by who sleeps here takes virtual time
        turn = _Wakeup()
        alarm = self._sleepers.add(self._now + max(seconds, 0.0), turn.set)
        try:
            while self._now < alarm.at:
                if self._sleepers.first() is not alarm:
                    await turn.wait()
                elif self.autojump:
                    await self._pass_time(alarm, turn)
                else:
                    with anyio.move_on_after(self._real_s_until(alarm.at)):
                        await turn.wait()
        finally:
            self._sleepers.remove(alarm)
            self._wake_first_sleeper()

    @contextmanager
    def fail_after(self, seconds: float, /) -> Generator[object]:
        """Cancel the block, and raise TimeoutError, once this much virtual time has passed."""
        scope = anyio.CancelScope()
        alarm = self._deadlines.add(self._now + max(seconds, 0.0), scope.cancel)
        self._scopes[alarm.number] = (alarm.at, scope)
        self._set_real_deadline(alarm.at, scope)
        self._wake_first_sleeper()
        with scope:
            if seconds <= 0:
                scope.cancel()
            try:
                yield scope
            finally:
                self._deadlines.remove(alarm)
                del self._scopes[alarm.number]
        if scope.cancelled_caught and (
            self._now >= alarm.at or anyio.current_time() >= scope.deadline
        ):
            raise TimeoutError

    @contextmanager
    def hold(self) -> Generator[None]:
        """Hold time still during work that takes real time, such as training in a thread."""
        self._busy += 1
        try:
            yield
        finally:
            self._release()

    @contextmanager
    def released(self) -> Generator[None]:
        """Let time pass for a while inside of `hold`: for work that sleeps."""
        self._release()
        try:
            yield
        finally:
            self._busy += 1

    @contextmanager
    def frozen(self) -> Generator[float]:
        """Let no time pass at a rate, for what is to happen at one moment; gives its time."""
        rate, self.rate = self.rate, 0.0
        self.is_stopped = rate > 0
        try:
            yield self._now
        finally:
            self.rate = rate
            self.is_stopped = False

    @contextmanager
    def external_io(self) -> Generator[None]:
        """Hold time still while something comes from outside, such as a piece of a file.

        But for a moment only: it may be made by somebody who waits for time to pass.
        """
        piece = object()
        self._awaited.add(piece)
        outer = _external_io.set(piece)
        try:
            yield
        finally:
            _external_io.reset(outer)
            self._finish_external_io(piece)

    def _finish_external_io(self, piece: object) -> None:
        self._awaited.discard(piece)
        if self._came is not None and not self._awaited:
            self._came.set()
            self._came = None

    def _release(self) -> None:
        self._busy -= 1
        if self._idle is not None and not self._busy:
            self._idle.set()
            self._idle = None

    async def _pass_time(self, alarm: _Timer, turn: "_Wakeup") -> None:
        for _ in range(_IDLE_CHECKPOINTS):
            await anyio.lowlevel.checkpoint()
            if self._busy:
                self._idle = self._idle or anyio.Event()
                await self._idle.wait()
                return
            if self._awaited:
                self._came = self._came or anyio.Event()
                with anyio.move_on_after(_EXTERNAL_IO_GRACE_S) as scope:
                    await self._came.wait()
                if scope.cancelled_caught:
                    self._awaited.clear()
                return
            if self._sleepers.first() is not alarm or self._now >= alarm.at:
                return
        deadline = self._deadlines.first()
        at = alarm.at if deadline is None else min(alarm.at, deadline.at)
        if at == inf:
            await turn.wait()
        else:
            self._go_to(at)

    def _go_to(self, at: float) -> None:
        self._then, self._then_real = max(self._now, at), time.monotonic()
        for alarms in (self._deadlines, self._sleepers):
            while (first := alarms.first()) is not None and first.at <= self._now:
                alarms.remove(first)
                first.callback()
        if self._rate:
            self._set_real_deadlines()
        self._wake_first_sleeper()

    def _real_s_until(self, at: float) -> float:
        return (at - self._now) / self._rate if self._rate else inf

    def _set_real_deadlines(self) -> None:
        for at, scope in self._scopes.values():
            self._set_real_deadline(at, scope)

    def _set_real_deadline(self, at: float, scope: anyio.CancelScope) -> None:
        scope.deadline = anyio.current_time() + self._real_s_until(at) if self._rate else inf

    def _wake_first_sleeper(self) -> None:
        first = self._sleepers.first()
        if first is not None:
            first.callback()


class _Wakeup:
    """Lets a sleeper wait until it is due, or the first of all."""

    def __init__(self) -> None:
        self._event: anyio.Event | None = None

    def set(self) -> None:
        if self._event is not None:
            self._event.set()

    async def wait(self) -> None:
        self._event = anyio.Event()
        await self._event.wait()
