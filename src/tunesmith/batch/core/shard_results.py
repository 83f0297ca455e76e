"""Part of the core that collects the results of batches."""

from collections.abc import Sequence

from tunesmith.batch.core.decisions import Decision, Record, Sync, Task, Work
from tunesmith.batch.core.entries import RowPaid, ShardClosed
from tunesmith.batch.core.ledger import NOTHING, Usage
from tunesmith.batch.core.shard_list import ShardList
from tunesmith.batch.core.states import Failure, OpenRow, RowRecord, RowState, Shard, ShardState
from tunesmith.batch.core.token_quota import TOKEN_LIMIT

__all__ = ["ShardResults"]

_POLL_BACKOFF = 1.1
_MAX_POLL_BACKOFF = 20.0
"""The pause between two polls grows by this factor, up to this multiple."""
_RETRY_FAILED = "retry it with resume=True and retry_failed=True (--retry-failed)"


class ShardResults(ShardList):
    """Ends of batches, their results, and the rows that have none."""

    def on_polled(self, shard: Shard, now: float) -> None:
        """Process a poll of a batch that is not over."""
        self._on_response(shard)
        shard.vain_polls = 0
        # Batches that take hours need not be polled every minute.
        shard.not_before = now + self._state.options.poll_s * self._backoff
        self._backoff = min(self._backoff * _POLL_BACKOFF, _MAX_POLL_BACKOFF)

    def on_gone(self, shard: Shard, now: float) -> Sequence[Decision]:
        """Process a poll of a batch that the service does not have, or of a missing file."""
        shard.is_busy = False
        if self._poll_again(shard, now):
            return ()
        return self._on_lost(shard)

    def _on_lost(self, shard: Shard) -> Sequence[Decision]:
        """Fail the rows of a batch that cannot be found any more."""
        name = shard.batch_id or f"of shard {shard.number}"
        message = f"batch {name} is gone, its rows may have been paid; {_RETRY_FAILED}"
        shard.failure = Failure("batch_gone", message)
        shard.status = "gone"
        transition = "collect" if shard.state is ShardState.ENDED else "gone"
        return self._collect(shard, transition, shard.reserved, 0)

    def on_ended(
        self,
        shard: Shard,
        status: str,
        now: float,
        *,
        output_file_id: str | None = None,
        error_file_id: str | None = None,
        completed: int | None = None,
        failed: int = 0,
        errors: tuple[tuple[int | None, Failure], ...] = (),
    ) -> Sequence[Decision]:
        """Process a batch that is over.

        Args:
            shard: The shard.
            status: `completed`, `expired`, `cancelled` or `failed`.
            now: The time.
            output_file_id: The file of answers, if there is one yet.
            error_file_id: The file of failures, if there is one yet.
            completed: Number of answers by `request_counts`; None without counts.
            failed: Number of failures by `request_counts`.
            errors: Causes of the rejection of the input file, by line number or for all (None).
        """
        self._on_response(shard)
        self._backoff = 1.0
        shard.status = status
        shard.output_file_id, shard.error_file_id = output_file_id, error_file_id
        shard.is_counted = completed is not None
        shard.completed = min(completed or 0, shard.rows)
        shard.claimed = min(shard.completed + failed, shard.rows)
        if status == "failed":
            shard.move("ended")
            return self._on_rejected(shard, errors, now)
        is_late = (bool(completed) and not output_file_id) or (bool(failed) and not error_file_id)
        has_nothing = not (shard.is_counted or output_file_id or error_file_id)
        is_late = is_late or (status == "completed" and has_nothing)
        if is_late and self._poll_again(shard, now):
            return ()
        self.quota.on_accepted(shard)
        shard.move("ended")
        self._unblock()
        return ()

    def on_result(
        self,
        shard: Shard,
        key: str,
        usage: Usage | None,
        failure: Failure | None = None,
        *,
        is_transient: bool = False,
        is_paid: bool = True,
    ) -> Sequence[Decision]:
        """Process a line of a result file; a row that has its outcome is passed over.

        Args:
            shard: The shard.
            key: The row.
            usage: The tokens that were paid; None if the line has none.
            failure: Cause of a failure; None for a valid answer.
            is_transient: Whether a retry may help.
            is_paid: Whether the service answered.
        """
        state = self._state
        record = state.table.get(key)
        if record is None or record.shard != shard.number or record.is_read or record.is_fresh:
            return ()
        # In a crash, a row may have failed for the lack of a result that is there now.
        has_failed = record.state is RowState.FAILED
        if not (has_failed or record.state is RowState.IN_BATCH):
            return ()
        if usage is None and is_paid:
            shard.has_unknown_usage = True
        shard.pay(state.ledger, usage or NOTHING)
        decisions: list[Decision] = []
        if (has_failed or failure is not None) and usage is not None and usage.total:
            decisions.append(Record(RowPaid(key, usage, shard.number)))
        if has_failed:
            record.is_read = True
            state.table.put(key, record)
            return decisions
        may_retry = shard.kind.attempt <= state.options.max_retries or shard.status == "cancelled"
        if failure is not None and is_transient and may_retry:
            record.is_read = True
            state.table.put(key, record)
            return decisions
        shard.finished += 1
        return [*decisions, *self._finish(key, record, failure, shard.kind.attempt)]

    def _open_record(self, shard: Shard, key: str) -> RowRecord | None:
        """Return the record of a row of the shard; None if it has its outcome."""
        record = self._state.table.get(key)
        is_open = record and record.state is RowState.IN_BATCH and record.shard == shard.number
        return record if is_open else None

    def _finish(
        self,
        key: str,
        record: RowRecord,
        failure: Failure | None,
        attempts: int,
        row: OpenRow | None = None,
    ) -> Sequence[Decision]:
        record.state = RowState.COMPLETED if failure is None else RowState.FAILED
        record.is_fresh = True
        self._state.table.put(key, record)
        return self._state.finish(key, row, failure, attempts)

    def on_files_read(
        self,
        shard: Shard,
        lines: int,
        now: float,
        *,
        answers: int,
        broken: tuple[Failure, ...] = (),
    ) -> Sequence[Decision]:
        """Collect a shard if its files hold all results by `request_counts`.

        Args:
            shard: The shard.
            lines: Number of results, including unreadable ones.
            now: The time.
            answers: Number of results in the file of answers, including unreadable ones.
            broken: The unreadable lines.
        """
        self._on_response(shard)
        # Rows that a batch did not reach have lines too, which no count includes.
        is_missing = lines < shard.claimed or answers < shard.completed
        if is_missing and self._poll_again(shard, now):
            shard.move("incomplete")
            return ()
        left = shard.rows - shard.finished
        next_attempt = shard.kind.attempt + (shard.status != "cancelled")
        if left and broken and (left <= len(broken) or shard.claimed >= shard.rows):
            shard.failure = Failure("unreadable_result", f"{broken[0].message}; {_RETRY_FAILED}")
        elif left and is_missing:
            shard.failure = Failure(
                "result_missing",
                f"batch {shard.batch_id} reports {shard.claimed} results and its files hold "
                f"{lines}: this row may have been paid; {_RETRY_FAILED}",
            )
        elif next_attempt > self._state.options.max_retries + 1:
            shard.failure = Failure(
                "result_missing", f"batch {shard.batch_id} has no result for this row"
            )
        is_uncounted = lines < shard.rows and not shard.is_counted
        is_unconfirmed = is_missing or is_uncounted or bool(broken) or shard.has_unknown_usage
        perhaps = shard.reserved if is_unconfirmed else NOTHING
        return self._collect(shard, "collect", perhaps, 0 if shard.failure else next_attempt)

    def _on_rejected(
        self, shard: Shard, errors: tuple[tuple[int | None, Failure], ...], now: float
    ) -> Sequence[Decision]:
        """Process a batch that the service did not start because of its input file."""
        failures = [failure for _, failure in errors]
        is_last = shard.kind.attempt > self._state.options.max_retries or not failures
        message = "; ".join(dict.fromkeys(f"{f.code}: {f.message}" for f in failures[:5]))
        next_attempt = shard.kind.attempt + 1
        if any(failure.code == TOKEN_LIMIT for failure in failures):
            too_large = self.quota.on_rejected(shard, self.shards.values(), failures, now)
            next_attempt = shard.kind.attempt + too_large
            if too_large and is_last:
                shard.failure = Failure(TOKEN_LIMIT, message)
        else:
            shard.line_failures = {line: f for line, f in errors if line is not None}
            shard.failure = next((f for line, f in errors if line is None), None)
            if shard.failure is None and is_last:
                shard.failure = failures[0] if failures else Failure("batch_failed", "no reason")
        return self._collect(shard, "collect", NOTHING, 0 if shard.failure else next_attempt)

    def on_left_over(self, shard: Shard, row: OpenRow, line: int) -> Sequence[Decision]:
        """Fail a row of a collected shard that has no outcome, or queue it again.

        Args:
            shard: The shard.
            row: The row.
            line: Its line in the input file.
        """
        state = self._state
        record = self._open_record(shard, row.key)
        if record is None:
            return ()
        failure = shard.line_failures.get(line) or shard.failure
        if failure is not None:
            return self._finish(row.key, record, failure, shard.kind.attempt, row)
        if state.stopped is not None or self.is_cancelling:
            return ()
        record.state, record.shard, record.is_read = RowState.QUEUED, 0, False
        record.is_requeued = True
        if record.is_unconfirmed:
            row.is_unconfirmed = True
            state.retried_unconfirmed.append(row.key)
        state.table.put(row.key, record)
        row.attempts = shard.next_attempt
        state.enqueue(row)
        if shard.status != "not sent":
            state.retry(shard.status)
        return ()

    def on_swept(self, shard: Shard) -> Sequence[Decision]:
        """Close a shard whose rows all have their outcome, or are queued again."""
        shard.is_busy = False
        shard.move("close")
        del self.shards[shard.number]
        entry = ShardClosed(shard.number, shard.status)
        return (Sync(), Record(entry), Sync(), Work(Task.DELETE_FILES, shard))
