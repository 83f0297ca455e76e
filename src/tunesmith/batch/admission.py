"""Where rows wait until they may be sent: limits, pauses, concurrency and budget in one place."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from math import inf

import anyio

from tunesmith.backends.base import Clock
from tunesmith.batch.budget import Purse
from tunesmith.batch.concurrency import Concurrency
from tunesmith.batch.metrics import Meter
from tunesmith.batch.rate_limiter import Pacing
from tunesmith.batch.report import Stopped
from tunesmith.batch.results import Usage
from tunesmith.batch.rows import Row
from tunesmith.batch.signal import Signal
from tunesmith.calls.deadline import Deadline

__all__ = ["Gate", "Ticket"]

_SHORTEST_S = 0.001
"""No clock need tell shorter times apart."""


@dataclass(slots=True)
class Ticket:
    """That a request may be sent, and what was set aside for it.

    Args:
        sent_at: When it was let through.
        tokens: The tokens it is estimated to take.
        worst: The most tokens it can take, if there is a budget.
    """

    sent_at: float
    tokens: float
    worst: Usage | None


class Gate:
    """Lets requests through, in the order in which they come.

    Args:
        clock: The clock to go by.
        pacing: Limits and pauses.
        concurrency: How many may be under way.
        purse: What may be paid.
        meter: Counts requests.
        deadline: The end of the job.
        on_stop: Called once nothing is let through any more.

    Attributes:
        under_way: How many requests are under way.
        stopped: Why no more are let through; None as long as they are.
    """

    def __init__(
        self,
        clock: Clock,
        pacing: Pacing,
        concurrency: Concurrency,
        purse: Purse,
        meter: Meter,
        deadline: Deadline,
        on_stop: Callable[[], None],
    ) -> None:
        self._clock = clock
        self._on_stop = on_stop
        self.pacing = pacing
        self.concurrency = concurrency
        self.purse = purse
        self._meter = meter
        self._deadline = deadline
        self._turn = anyio.Lock()
        self._freed = Signal()
        self._stopping = anyio.Event()
        self.under_way = 0
        self.stopped: Stopped | None = None

    async def enter(self, row: Row) -> Ticket | None:
        """Wait until a row may be sent; None if it may not be any more.

        Raises:
            DatasetError: There is a budget, and nothing bounds the row's answer.
        """
        if not self._turn.locked() and self._hold_s(row) == 0.0:
            return self._let_through(row)
        async with self._turn:
            while self.stopped is None:
                hold_s = self._hold_s(row)
                if hold_s == 0.0:
                    return self._let_through(row)
                await self._wait(row, hold_s)
        return None

    def leave(self, ticket: Ticket, paid: Usage) -> None:
        """Note that a request is over, and what was paid for it."""
        self.under_way -= 1
        actual = float(paid.total) if paid.total else ticket.tokens
        self.pacing.settle(ticket.tokens, actual)
        if ticket.worst is not None:
            self.purse.settle(ticket.worst, paid)
        self._freed.give()

    async def sleep(self, seconds: float) -> bool:
        """Wait before a row is sent again; False if it will not be any more."""
        if self._would_outlast(seconds):
            self.stop("deadline")
        await self._until_stopped(seconds)
        return self.stopped is None

    def stop(self, why: Stopped) -> None:
        """Let nothing through any more."""
        if self.stopped is None:
            self.stopped = why
            self._stopping.set()
            self._freed.give()
            self._on_stop()

    async def until_stopped(self) -> None:
        """Wait until nothing is let through any more."""
        await self._stopping.wait()

    def _hold_s(self, row: Row) -> float:
        """How long a row must wait; infinite until another request is over."""
        if self.stopped is not None:
            return inf
        if self.under_way >= self.concurrency.limit:
            return inf
        if self.purse.budget is not None and not self.purse.fits(self.purse.worst(row)):
            if not self.under_way:
                self.stop("budget")
            return inf
        return max(self.pacing.wait_s(self._tokens(row), self._clock.monotonic()), 0.0)

    def _tokens(self, row: Row) -> float:
        answer = self._meter.mean_answer_tokens if row.answer_tokens is None else row.answer_tokens
        return row.estimated_tokens + answer

    def _let_through(self, row: Row) -> Ticket:
        ticket = Ticket(
            self._clock.monotonic(),
            self._tokens(row),
            None if self.purse.budget is None else self.purse.worst(row),
        )
        self.under_way += 1
        self.pacing.sent(ticket.tokens)
        if ticket.worst is not None:
            self.purse.reserve(ticket.worst)
        return ticket

    async def _wait(self, row: Row, seconds: float) -> None:
        now = self._clock.monotonic()
        # What is under way may take fewer tokens than were set aside for it.
        may_shorten = self.under_way > 0 and self.pacing.waits_for_tokens(self._tokens(row), now)
        if seconds == inf or (may_shorten and self._would_outlast(seconds)):
            if self.stopped is None:
                await self._freed.wait()
        elif self._would_outlast(seconds):
            self.stop("deadline")
        else:
            await self._until_stopped(seconds, or_freed=may_shorten)

    async def _until_stopped(self, seconds: float, *, or_freed: bool = False) -> None:
        if self.stopped is not None:
            return
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._cancel_after, self.until_stopped, tasks.cancel_scope)
            if or_freed:
                tasks.start_soon(self._cancel_after, self._freed.wait, tasks.cancel_scope)
            await self._clock.sleep(max(seconds, _SHORTEST_S))
            tasks.cancel_scope.cancel()

    @staticmethod
    async def _cancel_after(wait: Callable[[], Awaitable[None]], scope: anyio.CancelScope) -> None:
        await wait()
        scope.cancel()

    def _would_outlast(self, seconds: float) -> bool:
        left = self._deadline.left_s
        return left is not None and seconds >= left
