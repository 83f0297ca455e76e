"""Where rows wait until they may be sent: limits, pauses, concurrency and budget in one place."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from math import inf

import anyio

from tunesmith.backends.base import Clock
from tunesmith.batch.budget import BudgetTracker
from tunesmith.batch.concurrency import AdaptiveConcurrency
from tunesmith.batch.metrics import JobMetrics
from tunesmith.batch.rate_limiter import RateLimiter
from tunesmith.batch.report import StopReason
from tunesmith.batch.results import Usage
from tunesmith.batch.rows import RequestRow
from tunesmith.batch.signal import Notifier
from tunesmith.calls.deadline import Deadline

__all__ = ["AdmissionController", "Permit"]

_SHORTEST_S = 0.001
"""No clock need tell shorter times apart."""


@dataclass(slots=True)
class Permit:
    """That a request may be sent, and what was set aside for it.

    Args:
        sent_at: When it was let through.
        tokens: The tokens it is estimated to take.
        reserved: The most tokens it can take, if there is a budget.
    """

    sent_at: float
    tokens: float
    reserved: Usage | None


class AdmissionController:
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
        pacing: RateLimiter,
        concurrency: AdaptiveConcurrency,
        purse: BudgetTracker,
        meter: JobMetrics,
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
        self._freed = Notifier()
        self._stopping = anyio.Event()
        self.under_way = 0
        self.stopped: StopReason | None = None

    async def acquire(self, row: RequestRow) -> Permit | None:
        """Wait until a row may be sent; None if it may not be any more.

        Raises:
            DatasetError: There is a budget, and nothing bounds the row's answer.
        """
        if not self._turn.locked() and self._delay_s(row) == 0.0:
            return self._admit(row)
        async with self._turn:
            while self.stopped is None:
                hold_s = self._delay_s(row)
                if hold_s == 0.0:
                    return self._admit(row)
                await self._wait(row, hold_s)
        return None

    def release(self, ticket: Permit, paid: Usage) -> None:
        """Note that a request is over, and what was paid for it."""
        self.under_way -= 1
        actual = float(paid.total) if paid.total else ticket.tokens
        self.pacing.settle(ticket.tokens, actual)
        if ticket.reserved is not None:
            self.purse.settle(ticket.reserved, paid)
        self._freed.notify()

    async def sleep(self, seconds: float) -> bool:
        """Wait before a row is sent again; False if it will not be any more."""
        if self._exceeds_deadline(seconds):
            self.stop("deadline")
        await self._until_stopped(seconds)
        return self.stopped is None

    def stop(self, reason: StopReason) -> None:
        """Let nothing through any more."""
        if self.stopped is None:
            self.stopped = reason
            self._stopping.set()
            self._freed.notify()
            self._on_stop()

    async def until_stopped(self) -> None:
        """Wait until nothing is let through any more."""
        await self._stopping.wait()

    def _delay_s(self, row: RequestRow) -> float:
        """How long a row must wait; infinite until another request is over."""
        if self.stopped is not None:
            return inf
        if self.under_way >= self.concurrency.limit:
            return inf
        if self.purse.budget is not None and not self.purse.can_afford(self.purse.max_usage(row)):
            if not self.under_way:
                self.stop("budget")
            return inf
        return max(self.pacing.wait_s(self._tokens(row), self._clock.monotonic()), 0.0)

    def _tokens(self, row: RequestRow) -> float:
        answer = (
            self._meter.mean_answer_tokens
            if row.max_completion_tokens is None
            else row.max_completion_tokens
        )
        return row.estimated_tokens + answer

    def _admit(self, row: RequestRow) -> Permit:
        ticket = Permit(
            self._clock.monotonic(),
            self._tokens(row),
            None if self.purse.budget is None else self.purse.max_usage(row),
        )
        self.under_way += 1
        self.pacing.sent(ticket.tokens)
        if ticket.reserved is not None:
            self.purse.reserve(ticket.reserved)
        return ticket

    async def _wait(self, row: RequestRow, seconds: float) -> None:
        now = self._clock.monotonic()
        # What is under way may take fewer tokens than were set aside for it.
        may_shorten = self.under_way > 0 and self.pacing.waits_for_tokens(self._tokens(row), now)
        if seconds == inf or (may_shorten and self._exceeds_deadline(seconds)):
            if self.stopped is None:
                await self._freed.wait()
        elif self._exceeds_deadline(seconds):
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

    def _exceeds_deadline(self, seconds: float) -> bool:
        left = self._deadline.remaining_s
        return left is not None and seconds >= left
