"""The part of the core that sends rows one by one."""

from collections.abc import Callable, Mapping, Sequence
from math import inf

from tunesmith.batch.core.decisions import Decision, Finish, Record, Send, Sync, WaitUntil
from tunesmith.batch.core.entries import RowLost, RowPaid, RowRequeued, RowSent
from tunesmith.batch.core.events import (
    FailureKind,
    RowAnswered,
    RowCutOff,
    RowFailed,
    RowUnfit,
)
from tunesmith.batch.core.ledger import NOTHING, Usage
from tunesmith.batch.core.outage import Outage
from tunesmith.batch.core.state import JobState
from tunesmith.batch.core.states import Failure, OpenRow
from tunesmith.batch.rate_limiter import MAX_WAIT_S

__all__ = ["LiveRows"]

_MAX_ALIKE = 20
"""After so many rows that all failed alike, and none that was answered, the job stops."""

_MAX_REFUSED_S = 3600.0
"""A service that refuses every row by rate limits for so long ends the job."""


class LiveRows:
    """Rows in flight and parked rows.

    Args:
        state: What the core shares.
    """

    def __init__(self, state: JobState) -> None:
        self._state = state
        self._outage = Outage(state.options.max_retries)
        self.in_flight: dict[str, OpenRow] = {}
        self._answered_at = -inf
        self._answers = 0
        self._completion_tokens = 0
        self._alike: tuple[str, int] = ("", 0)
        self._refused_since: float | None = None
        self._handlers: Mapping[FailureKind, Callable[[OpenRow, RowFailed], Sequence[Decision]]] = {
            FailureKind.RATE_LIMITED: self._on_rate_limited,
            FailureKind.UNREACHABLE: self._on_unreachable,
            FailureKind.UNAVAILABLE: self._on_unavailable,
            FailureKind.TRANSIENT: self._on_transient,
            FailureKind.FINAL: self._on_final,
            FailureKind.QUOTA: self._on_quota,
            FailureKind.FATAL: self._on_fatal,
        }

    @property
    def has_room(self) -> bool:
        """Whether another row could be sent beside those in flight."""
        state = self._state
        is_limited = len(self.in_flight) >= state.pace.limit or self._outage.is_on
        return bool(state.queue) and not is_limited

    # --- time passes ---

    def time_passed(self, now: float) -> Sequence[Decision]:
        """Return the next row to send, or until when to wait."""
        state = self._state
        if state.stopped is not None:
            return ()
        if now >= state.options.deadline:
            return state.stop("deadline")
        if state.parked:
            state.unpark(now)
        if not state.queue:
            return self._wait_for_parked()
        if len(self.in_flight) >= state.pace.limit or (self._outage.is_on and self.in_flight):
            return (WaitUntil(None),)
        return self._admit(state.queue[0], now)

    def _wait_for_parked(self) -> Sequence[Decision]:
        state = self._state
        if not state.parked:
            return (WaitUntil(None),)
        due = state.parked[0][0]
        if state.source_ended and not self.in_flight and due >= state.options.deadline:
            return state.stop("deadline")
        return (WaitUntil(due),)

    def _admit(self, row: OpenRow, now: float) -> Sequence[Decision]:
        state = self._state
        cost = row.cost or NOTHING
        if not state.ledger.can_reserve(cost):
            if self.in_flight:
                return (WaitUntil(None),)
            return (
                (Sync(), WaitUntil(now)) if state.ledger.returning.total else state.stop("budget")
            )
        completion = row.max_completion
        if completion is None:
            completion = self._completion_tokens // self._answers if self._answers else 0
        estimate = float(row.tokens + completion)
        wait_s = state.pace.wait_s(estimate, now)
        if wait_s > 0:
            due = now + wait_s
            if due >= state.options.deadline:
                return state.stop("deadline") if not self.in_flight else (WaitUntil(None),)
            return (WaitUntil(due),)
        state.dequeue()
        row.move("sent")
        row.attempts += 1
        row.sent_at = now
        row.reserved = cost
        row.estimate = estimate
        if cost is not NOTHING:
            state.ledger.reserve(cost)
        state.pace.on_sent(estimate)
        state.requests += 1
        self.in_flight[row.key] = row
        return (Send(row, RowSent(row.key, cost)),)

    # --- attempts end ---

    def answered(self, event: RowAnswered) -> Sequence[Decision]:
        """Take an answer that counts."""
        row = self._land(event.key, event.usage, event.now)
        row.move("answered")
        self._state.done += 1
        return (Finish(row.key, row, None, row.attempts),)

    def unfit(self, event: RowUnfit) -> Sequence[Decision]:
        """Take a paid answer that does not count."""
        state = self._state
        row = self._land(event.key, event.usage, event.now)
        row.failures += 1
        paid = Record(RowPaid(row.key, row.reserved if event.usage is None else event.usage))
        if event.is_final or row.failures > state.options.max_retries:
            return (paid, *self._fail(row, event.failure))
        state.retry(event.failure.message)
        return (paid, *self._repeat(row, event.now))

    def failed(self, event: RowFailed) -> Sequence[Decision]:
        """Take an attempt without an answer."""
        state = self._state
        row = self.in_flight.pop(event.key)
        state.pace.record_usage(row.estimate, 0.0 if not event.may_be_paid else row.estimate)
        entry: RowLost | RowRequeued
        if event.may_be_paid:
            state.ledger.doubt(row.reserved)
            row.is_doubtful = True
            entry = RowLost(row.key)
        else:
            state.ledger.give_back(row.reserved)
            entry = RowRequeued(row.key)
        if event.kind is not FailureKind.UNREACHABLE:
            self._outage.on_reachable()
        return (Record(entry), *self._handlers[event.kind](row, event))

    def cut_off(self, event: RowCutOff) -> Sequence[Decision]:
        """Take an attempt that was abandoned."""
        state = self._state
        row = self.in_flight.pop(event.key)
        row.move("cut off")
        state.pace.record_usage(row.estimate, row.estimate)
        if event.was_sent:
            state.ledger.doubt(row.reserved)
            row.is_doubtful = True
        else:
            state.ledger.give_back(row.reserved)
        if row.is_doubtful:
            state.unknown.append(row.key)
        return (Record((RowLost if event.was_sent else RowRequeued)(row.key)),)

    def _land(self, key: str, usage: Usage | None, now: float) -> OpenRow:
        """Take a row out of flight that was paid."""
        state = self._state
        row = self.in_flight.pop(key)
        paid = row.reserved if usage is None else usage
        state.ledger.pay(row.reserved, paid)
        row.usage += paid
        row.refusals = 0
        state.pace.record_usage(row.estimate, float(paid.total) or row.estimate)
        state.pace.on_success(row.sent_at, now, len(self.in_flight) + 1)
        self._outage.on_answer()
        self._refused_since = None
        self._answered_at = now
        self._answers += 1
        self._completion_tokens += paid.completion
        return row

    # --- what a failure means ---

    def _on_rate_limited(self, row: OpenRow, event: RowFailed) -> Sequence[Decision]:
        state = self._state
        state.refused += 1
        row.refusals += 1
        if self._refused_since is None:
            self._refused_since = event.now
        elif not self._outage.has_worked and event.now - self._refused_since > _MAX_REFUSED_S:
            return self._end(row, event.failure)
        pause_s = state.pace.on_rate_limited(
            row.sent_at, event.now, event.retry_after_s, row.refusals
        )
        return self._repeat(row, event.now + pause_s)

    def _on_unreachable(self, row: OpenRow, event: RowFailed) -> Sequence[Decision]:
        return self._wait_out(row, event, None)

    def _on_unavailable(self, row: OpenRow, event: RowFailed) -> Sequence[Decision]:
        if self._answered_at > row.sent_at:  # the others are served: only this row has to wait
            return self._on_transient(row, event)
        return self._wait_out(row, event, event.retry_after_s)

    def _on_transient(self, row: OpenRow, event: RowFailed) -> Sequence[Decision]:
        state = self._state
        state.pace.on_overload(row.sent_at, event.now)
        if self._outage.suspect(row.key, row.failures):
            return self._wait_out(row, event, event.retry_after_s)
        row.failures += 1
        if row.failures > state.options.max_retries:
            return self._fail(row, event.failure)
        state.retry(event.failure.message)
        pause_s = min(event.retry_after_s or event.pause_s, MAX_WAIT_S)
        return self._repeat(row, event.now + pause_s)

    def _on_final(self, row: OpenRow, event: RowFailed) -> Sequence[Decision]:
        self._outage.on_answer()
        return self._fail(row, event.failure)

    def _on_quota(self, row: OpenRow, event: RowFailed) -> Sequence[Decision]:
        self._leave(row)
        return self._state.stop("quota", event.failure.message)

    def _on_fatal(self, row: OpenRow, event: RowFailed) -> Sequence[Decision]:
        return self._end(row, event.failure)

    def _wait_out(
        self, row: OpenRow, event: RowFailed, announced_s: float | None
    ) -> Sequence[Decision]:
        state = self._state
        pause_s = self._outage.on_failure(row.sent_at, event.now, announced_s)
        if pause_s is None:
            return self._end(row, event.failure)
        state.retry(event.failure.message)
        if pause_s:
            state.pace.pause(pause_s, event.now)
        return self._repeat(row, event.now)

    def _repeat(self, row: OpenRow, due: float) -> Sequence[Decision]:
        """Send a row again, not before a time."""
        row.move("to be repeated")
        if self._state.stopped is not None:
            self._state.leave(row)
        else:
            self._state.park(row, due)
        return ()

    def _leave(self, row: OpenRow) -> None:
        row.move("to be repeated")
        self._state.leave(row)

    def _end(self, row: OpenRow, failure: Failure) -> Sequence[Decision]:
        """End the job for a cause that is not the row's."""
        self._leave(row)
        return self._state.stop("error", failure.message)

    def _fail(self, row: OpenRow, failure: Failure) -> Sequence[Decision]:
        row.move("refused for good")
        finish = Finish(row.key, row, failure, row.attempts)
        return (finish, *self._state.fail(), *self._check_alike(failure))

    def _check_alike(self, failure: Failure) -> Sequence[Decision]:
        """Stop when every row fails for the same cause."""
        state = self._state
        if state.done:
            return ()
        code, rows = self._alike
        self._alike = (failure.code, rows + 1 if code == failure.code else 1)
        if self._alike[1] < _MAX_ALIKE:
            return ()
        return state.stop(
            "failures", f"the first {_MAX_ALIKE} rows failed alike: {failure.message}"
        )
