"""The part of the core that turns batches into outcomes."""

from collections.abc import Sequence

from tunesmith.batch.core import events as on
from tunesmith.batch.core.decisions import (
    Decision,
    DeleteFiles,
    Finish,
    Record,
    Sync,
)
from tunesmith.batch.core.entries import (
    RowPaid,
    ShardClosed,
)
from tunesmith.batch.core.ledger import NOTHING, Usage
from tunesmith.batch.core.shard_list import ShardList
from tunesmith.batch.core.states import Failure, OpenRow, RowRecord, RowState, Shard, ShardState
from tunesmith.batch.core.token_quota import TOKEN_LIMIT

__all__ = ["ShardResults"]

_POLL_BACKOFF = 1.1
_MAX_POLL_BACKOFF = 20.0
"""The pause between two looks grows by so much, up to so many times the given one."""
_RETRY_FAILED = "resume=True and retry_failed=True (--resume --retry-failed) send it again"


class ShardResults(ShardList):
    """Ends of batches, their results, and the rows that have none."""

    def polled(self, event: on.BatchPolled) -> Sequence[Decision]:
        """Take a look at a batch that is not over."""
        shard = self._take(event.shard)
        self._works()
        shard.looks = 0
        # Batches that take hours need not be looked at every minute.
        shard.not_before = event.now + self._state.options.poll_s * self._backoff
        self._backoff = min(self._backoff * _POLL_BACKOFF, _MAX_POLL_BACKOFF)
        return ()

    def gone(self, event: on.BatchGone) -> Sequence[Decision]:
        """Take a look in vain at a batch, or at one of its files."""
        shard = self._take(event.shard)
        if self._look_again(shard, event.now):
            return ()
        what = f"batch {shard.batch_id}"
        shard.failure = Failure(
            "batch_gone", f"{what} is gone, its rows may have been paid; {_RETRY_FAILED}"
        )
        shard.status = "gone"
        if shard.state is ShardState.ENDED:
            return self._settle(shard, "read", shard.reserved, 0)
        return self._settle(shard, "gone", shard.reserved, 0)

    def ended(self, event: on.BatchEnded) -> Sequence[Decision]:
        """Take a batch that is over."""
        shard = self._take(event.shard)
        self._works()
        self._backoff = 1.0
        shard.status = event.status
        shard.output_file_id, shard.error_file_id = event.output_file_id, event.error_file_id
        shard.is_counted = event.completed is not None
        shard.claimed = min((event.completed or 0) + event.failed, shard.rows)
        if event.status == "failed":
            shard.move("over")
            return self._rejected(shard, event)
        is_late = (bool(event.completed) and not event.output_file_id) or (
            bool(event.failed) and not event.error_file_id
        )
        has_nothing = not (shard.is_counted or event.output_file_id or event.error_file_id)
        is_late = is_late or (event.status == "completed" and has_nothing)
        if is_late and self._look_again(shard, event.now):
            return ()
        self.quota.on_accepted(shard)
        shard.move("over")
        self._unblock()
        return ()

    def result_read(self, event: on.ResultRead) -> Sequence[Decision]:
        """Take the result of a row; a row that has its outcome is passed over."""
        state, shard = self._state, self.shards[event.shard]
        record = state.table.get(event.key)
        is_open = record and record.state is RowState.IN_BATCH and record.shard == shard.number
        if record is None or not is_open or record.is_read:
            return ()
        usage = event.usage
        if usage is None and event.is_paid:
            shard.has_unknown_usage = True
        self._pay(shard, usage or NOTHING)
        failure, decisions = event.failure, list[Decision]()
        if failure is not None and usage is not None and usage.total:
            decisions.append(Record(RowPaid(event.key, usage, shard.number)))
        may_repeat = shard.kind.attempt <= state.options.max_retries or shard.status == "cancelled"
        if failure is not None and event.is_transient and may_repeat:
            record.is_read = True
            state.table.put(event.key, record)
            return decisions
        shard.finished += 1
        return [*decisions, *self._finish(event.key, record, failure, shard.kind.attempt)]

    def _finish(
        self,
        key: str,
        record: RowRecord,
        failure: Failure | None,
        attempts: int,
        row: OpenRow | None = None,
    ) -> Sequence[Decision]:
        state = self._state
        record.state = RowState.ANSWERED if failure is None else RowState.FAILED
        record.is_fresh = True
        state.table.put(key, record)
        if failure is None:
            state.done += 1
            return (Finish(key, None, None, attempts),)
        return (Finish(key, row, failure, attempts), *state.fail())

    def _pay(self, shard: Shard, usage: Usage) -> None:
        """Move what a row has cost out of the reservation of its shard."""
        reserved = usage.capped(shard.reserved)
        self._state.ledger.pay(reserved, usage)
        shard.reserved -= reserved

    def files_read(self, event: on.FilesRead) -> Sequence[Decision]:
        """Settle a shard if its files hold everything that the service claims to have done."""
        shard = self._take(event.shard)
        self._works()
        if event.lines < shard.claimed and self._look_again(shard, event.now):
            shard.move("not whole")
            return ()
        left = shard.rows - shard.finished
        is_missing = event.lines < shard.claimed
        next_attempt = shard.kind.attempt + (shard.status != "cancelled")
        if left and event.broken and (left <= len(event.broken) or shard.claimed >= shard.rows):
            shard.failure = Failure(
                "unreadable_result", f"{event.broken[0].message}; {_RETRY_FAILED}"
            )
        elif left and is_missing:
            shard.failure = Failure(
                "result_missing",
                f"batch {shard.batch_id} claims {shard.claimed} results and its files hold "
                f"{event.lines}: this row may have been paid; {_RETRY_FAILED}",
            )
        elif next_attempt > self._state.options.max_retries + 1:
            shard.failure = Failure(
                "result_missing", f"batch {shard.batch_id} has no result for this row"
            )
        is_uncounted = left > 0 and not shard.is_counted
        is_doubtful = is_missing or is_uncounted or bool(event.broken) or shard.has_unknown_usage
        perhaps = shard.reserved if is_doubtful else NOTHING
        return self._settle(shard, "read", perhaps, 0 if shard.failure else next_attempt)

    def files_failed(self, event: on.FilesFailed) -> Sequence[Decision]:
        """Download files again that did not arrive whole."""
        shard = self._take(event.shard)
        if not self._look_again(shard, event.now):
            return self._state.stop("error", event.failure.message)
        return ()

    def _rejected(self, shard: Shard, event: on.BatchEnded) -> Sequence[Decision]:
        """Take a batch that the service did not begin, because of its input file."""
        failures = [failure for _, failure in event.errors]
        is_last = shard.kind.attempt > self._state.options.max_retries or not failures
        message = "; ".join(dict.fromkeys(f"{f.code}: {f.message}" for f in failures[:5]))
        next_attempt = shard.kind.attempt + 1
        if any(failure.code == TOKEN_LIMIT for failure in failures):
            too_large = self.quota.on_rejected(shard, self.shards.values(), failures, event.now)
            next_attempt = shard.kind.attempt + too_large
            if too_large and is_last:
                shard.failure = Failure(TOKEN_LIMIT, message)
        else:
            shard.line_failures = {line: f for line, f in event.errors if line is not None}
            shard.failure = next((f for line, f in event.errors if line is None), None)
            if shard.failure is None and is_last:
                shard.failure = failures[0] if failures else Failure("batch_failed", "no reason")
        return self._settle(shard, "read", NOTHING, 0 if shard.failure else next_attempt)

    def row_left_over(self, event: on.RowLeftOver) -> Sequence[Decision]:
        """Fail a row of a settled shard, or queue it again."""
        state, shard, row = self._state, self.shards[event.shard], event.row
        record = state.table.get(row.key)
        is_open = record and record.state is RowState.IN_BATCH and record.shard == shard.number
        if record is None or not is_open:
            return ()
        failure = shard.line_failures.get(event.line) or shard.failure
        if failure is not None:
            return self._finish(row.key, record, failure, shard.kind.attempt, row)
        if state.stopped is not None or self.is_cancelling:
            return ()
        record.state, record.shard, record.is_read = RowState.QUEUED, 0, False
        record.is_at_hand = True
        if record.is_doubtful:
            row.is_doubtful = True
            state.sent_again.append(row.key)
        state.table.put(row.key, record)
        row.attempts = shard.next_attempt
        state.enqueue(row)
        if shard.status != "not sent":
            state.retry(shard.status)
        return ()

    def swept(self, event: on.ShardSwept) -> Sequence[Decision]:
        """Close a shard: each of its rows has its outcome, or is queued again."""
        shard = self._take(event.shard)
        shard.move("emptied")
        del self.shards[shard.number]
        entry = ShardClosed(shard.number, shard.status)
        return (Sync(), Record(entry), Sync(), DeleteFiles(shard))
