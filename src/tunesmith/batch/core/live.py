"""Part of the core that sends rows one by one."""

from collections.abc import Callable, Mapping, Sequence
from math import inf

from tunesmith.batch.core.attempts import AttemptOutcome, OutcomeKind
from tunesmith.batch.core.decisions import Decision, Record, Send, Sync, WaitUntil
from tunesmith.batch.core.entries import RowLost, RowPaid, RowRequeued
from tunesmith.batch.core.ledger import NOTHING, Usage
from tunesmith.batch.core.outage import Outage
from tunesmith.batch.core.state import JobState
from tunesmith.batch.core.states import Failure, OpenRow
from tunesmith.batch.rate_limiter import MAX_WAIT_S

__all__ = ["LiveRows"]

_MAX_EQUAL_FAILURES = 20
"""Number of rows failed for the same cause after which a job without a completed row stops."""

_MAX_REFUSED_S = 3600.0
"""A service that refuses every row by rate limits for so long ends the job."""

_IDLE = (WaitUntil(None),)


class LiveRows:
    """Rows in flight and parked rows.

    Args:
        state: State that the core shares.
    """

    def __init__(self, state: JobState) -> None:
        self._state = state
        self._outage = Outage(state.options.max_retries)
        self.in_flight: dict[str, OpenRow] = {}
        self._completed_at = -inf
        self._responses = 0
        self._completion_tokens = 0
        self._equal_failures: tuple[str, int] = ("", 0)
        self._refused_since: float | None = None
        self._handlers: Mapping[
            OutcomeKind, Callable[[OpenRow, AttemptOutcome], Sequence[Decision]]
        ] = {
            OutcomeKind.RATE_LIMITED: self._on_rate_limited,
            OutcomeKind.UNREACHABLE: self._wait_out,
            OutcomeKind.UNAVAILABLE: self._on_unavailable,
            OutcomeKind.TRANSIENT: self._on_transient,
            OutcomeKind.FINAL: self._on_final,
            OutcomeKind.QUOTA: self._on_quota,
            OutcomeKind.FATAL: self._stop,
        }

    @property
    def has_room(self) -> bool:
        """Whether another row could be sent beside those in flight."""
        state = self._state
        is_limited = len(self.in_flight) >= state.throttle.concurrency.limit or self._outage.is_on
        return bool(state.queue) and not is_limited

    # --- sending ---

    def advance(self, now: float) -> Sequence[Decision]:
        """Return the next row to send, or the time until which to wait."""
        state = self._state
        if state.stopped is not None:
            return ()
        if now >= state.options.deadline:
            return state.stop("deadline")
        if state.parked:
            state.unpark(now)
        if not state.queue:
            return self._wait_for_parked()
        limit = state.throttle.concurrency.limit
        if len(self.in_flight) >= limit or (self._outage.is_on and self.in_flight):
            return _IDLE
        return self._admit(state.queue[0], now)

    def _wait_for_parked(self) -> Sequence[Decision]:
        state = self._state
        if not state.parked:
            return (WaitUntil(None if state.options.deadline == inf else state.options.deadline),)
        due = state.parked[0][0]
        if state.source_ended and not self.in_flight and due >= state.options.deadline:
            return state.stop("deadline")
        return (WaitUntil(due),)

    def _admit(self, row: OpenRow, now: float) -> Sequence[Decision]:
        state = self._state
        cost = row.cost or NOTHING
        if not state.ledger.can_reserve(cost):
            if self.in_flight:
                return _IDLE
            return (
                (Sync(), WaitUntil(now)) if state.ledger.returning.total else state.stop("budget")
            )
        completion = row.max_completion
        if completion is None:
            completion = self._completion_tokens // self._responses if self._responses else 0
        estimate = float(row.tokens + completion)
        wait_s = state.throttle.limiter.wait_s(estimate, now)
        if wait_s > 0:
            due = now + wait_s
            if due >= state.options.deadline:
                return state.stop("deadline") if not self.in_flight else _IDLE
            return (WaitUntil(due),)
        state.dequeue()
        row.move("send")
        row.attempts += 1
        row.sent_at = now
        row.reserved = cost
        row.estimate = estimate
        state.ledger.reserve(cost)
        state.throttle.limiter.sent(estimate)
        state.requests += 1
        self.in_flight[row.key] = row
        return (Send(row),)

    # --- ends of attempts ---

    def on_outcome(self, row: OpenRow, outcome: AttemptOutcome) -> Sequence[Decision]:
        """Process the end of an attempt."""
        del self.in_flight[row.key]
        if outcome.kind is OutcomeKind.COMPLETED:
            self._pay(row, outcome)
            row.move("complete")
            return self._state.finish(row.key, row, None, row.attempts)
        if outcome.kind is OutcomeKind.INVALID:
            return self._on_invalid(row, outcome)
        self._state.throttle.limiter.record_usage(row.estimate, row.estimate * outcome.may_be_paid)
        if outcome.kind is not OutcomeKind.UNREACHABLE:
            self._outage.on_reachable()
        record = self._release(row, was_sent=outcome.may_be_paid)
        return (record, *self._handlers[outcome.kind](row, outcome))

    def on_abandoned(self, row: OpenRow, *, was_sent: bool = True) -> Sequence[Decision]:
        """Process an attempt that was abandoned; `was_sent` is False if it certainly never left."""
        state = self._state
        del self.in_flight[row.key]
        row.move("abandon")
        state.throttle.limiter.record_usage(row.estimate, row.estimate)
        record = self._release(row, was_sent=was_sent)
        if row.is_unconfirmed:
            state.unconfirmed.append(row.key)
        return (record,)

    def _release(self, row: OpenRow, *, was_sent: bool) -> Record:
        """End the reservation of an attempt without an answer."""
        if not was_sent:
            self._state.ledger.refund(row.reserved)
            return Record(RowRequeued(row.key))
        self._state.ledger.hold(row.reserved)
        row.is_unconfirmed = True
        return Record(RowLost(row.key))

    def _pay(self, row: OpenRow, outcome: AttemptOutcome) -> Usage:
        state, now = self._state, outcome.now
        paid = row.reserved if outcome.usage is None else outcome.usage
        state.ledger.pay(row.reserved, paid)
        row.usage += paid
        row.refusals = 0
        state.throttle.limiter.record_usage(row.estimate, float(paid.total) or row.estimate)
        state.throttle.on_success(row.sent_at, now, len(self.in_flight) + 1)
        self._outage.on_answer()
        self._completed_at = now
        self._responses += 1
        self._completion_tokens += paid.completion
        return paid

    def _on_invalid(self, row: OpenRow, outcome: AttemptOutcome) -> Sequence[Decision]:
        record = Record(RowPaid(row.key, self._pay(row, outcome)))
        row.failures += 1
        if outcome.is_final or row.failures > self._state.options.max_retries:
            return (record, *self._fail(row, outcome.failure))
        self._state.retry(outcome.failure.message)
        return (record, *self._retry(row, outcome.now))

    # --- failures ---

    def _on_rate_limited(self, row: OpenRow, outcome: AttemptOutcome) -> Sequence[Decision]:
        state, now = self._state, outcome.now
        state.refused += 1
        row.refusals += 1
        if self._refused_since is None:
            self._refused_since = now
        elif not self._outage.has_worked and now - self._refused_since > _MAX_REFUSED_S:
            return self._stop(row, outcome)
        pause_s = state.throttle.on_rate_limited(
            row.sent_at, now, outcome.retry_after_s, row.refusals
        )
        return self._retry(row, now + pause_s)

    def _on_unavailable(self, row: OpenRow, outcome: AttemptOutcome) -> Sequence[Decision]:
        if self._completed_at > row.sent_at:  # other rows are served: only this one has to wait
            return self._on_transient(row, outcome)
        return self._wait_out(row, outcome)

    def _on_transient(self, row: OpenRow, outcome: AttemptOutcome) -> Sequence[Decision]:
        state = self._state
        state.throttle.on_overload(row.sent_at, outcome.now)
        if self._outage.suspect(row.key, row.failures):
            return self._wait_out(row, outcome)
        row.failures += 1
        if row.failures > state.options.max_retries:
            return self._fail(row, outcome.failure)
        state.retry(outcome.failure.message)
        pause_s = min(outcome.retry_after_s or outcome.backoff_s, MAX_WAIT_S)
        return self._retry(row, outcome.now + pause_s)

    def _on_final(self, row: OpenRow, outcome: AttemptOutcome) -> Sequence[Decision]:
        self._outage.on_answer()
        return self._fail(row, outcome.failure)

    def _on_quota(self, row: OpenRow, outcome: AttemptOutcome) -> Sequence[Decision]:
        self._leave(row)
        return self._state.stop("quota", outcome.failure.message)

    def _wait_out(self, row: OpenRow, outcome: AttemptOutcome) -> Sequence[Decision]:
        """Pause the job during an outage."""
        state, now = self._state, outcome.now
        pause_s = self._outage.on_failure(row.sent_at, now, outcome.retry_after_s)
        if pause_s is None:
            return self._stop(row, outcome)
        state.retry(outcome.failure.message)
        if pause_s:
            state.throttle.limiter.pause(pause_s, now)
        return self._retry(row, now)

    def _retry(self, row: OpenRow, due: float) -> Sequence[Decision]:
        """Send a row again, not before a time."""
        if self._state.stopped is not None:
            self._leave(row)
        else:
            row.move("retry")
            self._state.park(row, due)
        return ()

    def _leave(self, row: OpenRow) -> None:
        row.move("retry")
        self._state.leave(row)

    def _stop(self, row: OpenRow, outcome: AttemptOutcome) -> Sequence[Decision]:
        """Stop the job for a cause that all rows share."""
        self._leave(row)
        return self._state.stop("error", outcome.failure.message)

    def _fail(self, row: OpenRow, failure: Failure) -> Sequence[Decision]:
        row.move("fail")
        finish = self._state.finish(row.key, row, failure, row.attempts)
        return (*finish, *self._check_failures(failure))

    def _check_failures(self, failure: Failure) -> Sequence[Decision]:
        """Stop when every row fails for the same cause."""
        state = self._state
        if state.done:
            return ()
        code, rows = self._equal_failures
        self._equal_failures = (failure.code, rows + 1 if code == failure.code else 1)
        if self._equal_failures[1] < _MAX_EQUAL_FAILURES:
            return ()
        message = f"the first {_MAX_EQUAL_FAILURES} rows failed for the same cause"
        return state.stop("failures", f"{message}: {failure.message}")
