"""Virtual time: hours pass in milliseconds, and nothing waits for real."""

import heapq
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import inf

import anyio
import anyio.lowlevel

__all__ = ["EPOCH_S", "VirtualClock"]

EPOCH_S = 1_700_000_000.0
"""When virtual time begins: 14 November 2023, in Unix seconds."""

_PATIENCE = 25
"""So often the others may run before a sleeper takes it that all of them wait for time to pass."""


@dataclass(order=True, slots=True)
class _Alarm:
    at: float
    number: int
    ring: Callable[[], object] | None = field(compare=False)
    """Cancels a deadline's block; None for a sleeper."""
    turn: anyio.Event | None = field(default=None, compare=False)
    over: bool = field(default=False, compare=False)


class VirtualClock:
    """Time that passes when it is told to, or when everybody waits for it.

    With `autojump`, once all tasks sleep, time jumps to the first alarm; sleepers wake in the order
    of their times. Works on asyncio and trio, and may be made outside of an event loop.

    Args:
        start: The time at first, in Unix seconds.
        autojump: Whether time passes by itself when everybody waits for it.

    Example:
        ```python
        import anyio

        clock = VirtualClock()
        anyio.run(clock.sleep, 3600)  # at once
        assert clock.time() == EPOCH_S + 3600
        ```
    """

    def __init__(self, start: float = EPOCH_S, *, autojump: bool = True) -> None:
        self.autojump = autojump
        self._start = start
        self._now = start
        self._alarms: list[_Alarm] = []
        self._number = 0
        self._busy = 0
        self._idle: anyio.Event | None = None

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
        alarm = self._set_alarm(self._now + max(seconds, 0.0), None)
        try:
            while self._now < alarm.at:
                if self.autojump and self._first_sleeper() is alarm:
                    await self._pass_time(alarm)
                else:
                    alarm.turn = anyio.Event()
                    await alarm.turn.wait()
        finally:
            alarm.over = True
            self._wake_first_sleeper()

    @contextmanager
    def fail_after(self, seconds: float, /) -> Generator[object]:
        """Cancel the block, and raise TimeoutError, once this much virtual time has passed."""
        scope = anyio.CancelScope()
        alarm = self._set_alarm(self._now + max(seconds, 0.0), scope.cancel)
        with scope:
            if seconds <= 0:
                scope.cancel()
            try:
                yield scope
            finally:
                alarm.over = True
        if scope.cancelled_caught and self._now >= alarm.at:
            raise TimeoutError

    @contextmanager
    def busy(self) -> Generator[None]:
        """Hold time still during work that takes real time, such as training in a thread."""
        self._busy += 1
        try:
            yield
        finally:
            self._busy -= 1
            if self._idle is not None and not self._busy:
                self._idle.set()
                self._idle = None

    async def _pass_time(self, alarm: _Alarm) -> None:
        for _ in range(_PATIENCE):
            await anyio.lowlevel.checkpoint()
            if self._busy:
                self._idle = self._idle or anyio.Event()
                await self._idle.wait()
                return
            if self._first_sleeper() is not alarm or self._now >= alarm.at:
                return
        first = self._first()
        if first is None or first.at == inf:
            alarm.turn = anyio.Event()
            await alarm.turn.wait()
        else:
            self._go_to(first.at)

    def _set_alarm(self, at: float, ring: Callable[[], object] | None) -> _Alarm:
        self._number += 1
        alarm = _Alarm(at, self._number, ring)
        heapq.heappush(self._alarms, alarm)
        if ring is not None:
            self._wake_first_sleeper()
        return alarm

    def _go_to(self, time: float) -> None:
        self._now = max(self._now, time)
        while (first := self._first()) is not None and first.at <= self._now:
            heapq.heappop(self._alarms)
            if first.ring is not None:
                first.ring()
            elif first.turn is not None:
                first.turn.set()
        self._wake_first_sleeper()

    def _first(self) -> _Alarm | None:
        while self._alarms and self._alarms[0].over:
            heapq.heappop(self._alarms)
        return self._alarms[0] if self._alarms else None

    def _first_sleeper(self) -> _Alarm | None:
        first = self._first()
        if first is None or first.ring is None:
            return first
        # Deadlines are few, and mostly later than the sleepers.
        return min((a for a in self._alarms if a.ring is None and not a.over), default=None)

    def _wake_first_sleeper(self) -> None:
        sleeper = self._first_sleeper()
        if sleeper is not None and sleeper.turn is not None:
            sleeper.turn.set()
