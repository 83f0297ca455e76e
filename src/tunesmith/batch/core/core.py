"""Core of a batch job: a state machine without files, network, clock or randomness.

Each event is a method call, which returns decisions. The journal is the event log: `replay`
restores the part of the state that survives a crash.
"""

from collections.abc import Sequence

from tunesmith.batch.core import entries as log
from tunesmith.batch.core.batches import ShardBook
from tunesmith.batch.core.decisions import Decision, Record, Skip, WaitUntil
from tunesmith.batch.core.ledger import NOTHING, Ledger, Usage
from tunesmith.batch.core.live import LiveRows
from tunesmith.batch.core.state import JobState
from tunesmith.batch.core.states import (
    FINISHED,
    Failure,
    OpenRow,
    RowRecord,
    RowState,
    Shard,
    ShardState,
)

__all__ = ["JobCore"]


class JobCore:
    """Complete state of a job.

    Args:
        state: Options, ledger, throttle, and the table of keys.

    Attributes:
        live: Rows that are sent one by one.
        batches: Rows that are processed by provider batches.
    """

    def __init__(self, state: JobState) -> None:
        self.state = state
        self.live = LiveRows(state)
        self.batches = ShardBook(state)
        self._is_live = not state.options.uses_batches

    @property
    def ledger(self) -> Ledger:
        """The accounts of the job."""
        return self.state.ledger

    @property
    def is_live_idle(self) -> bool:
        """Whether no row is sent, or waits to be sent, one by one."""
        waits_for_others = self.live.in_flight or self.state.parked
        return not waits_for_others and not (self._is_live and self.state.queue)

    @property
    def is_over(self) -> bool:
        """Whether this run has nothing left to do."""
        state = self.state
        if self.live.in_flight:
            return False
        if state.stopped is not None:
            return True
        is_idle = state.source_ended and not (state.queue or state.parked)
        is_batching = state.options.uses_batches and not self.batches.is_over
        return is_idle and not is_batching

    # --- the source and the job ---

    def add_row(self, row: OpenRow) -> Sequence[Decision]:
        """Process a row of the source."""
        state = self.state
        state.seen += 1
        record = state.table.get(row.key)
        if record is None:
            state.enqueue(row)
            return ()
        if record.state is RowState.QUEUED and not record.is_requeued:
            state.enqueue(row)
            if not (record.is_sent or record.is_unconfirmed):
                return ()
            row.is_unconfirmed = record.is_unconfirmed = True
            state.retried_unconfirmed.append(row.key)
            if not record.is_sent:
                return ()
            record.is_sent, record.reserved = False, NOTHING
            state.table.put(row.key, record)
            return (Record(log.RowLost(row.key)),)
        if record.state in FINISHED and not record.is_fresh:
            state.skipped += 1
        return (Skip(),)

    def reject_row(self, row: OpenRow, failure: Failure) -> Sequence[Decision]:
        """Process a row of the source that is not a request."""
        record = self.state.table.get(row.key)
        if record is not None and record.state in FINISHED:
            return self.add_row(row)
        self.state.seen += 1
        row.move("reject")
        return self.state.finish(row.key, row, failure, 0)

    def on_unwritten(self, key: str, *, is_answer: bool) -> None:
        """Leave a row whose outcome could not be written to the next run."""
        if is_answer:
            self.state.done -= 1
        else:
            self.state.failed -= 1
        self.state.unconfirmed.append(key)

    def advance(self, now: float) -> Sequence[Decision]:
        """Return the work that is due, or the time until which to wait."""
        options = self.state.options
        if not options.uses_batches or self.batches.is_over:
            return self.live.advance(now)
        decisions = self.batches.advance(now)
        falls_back = options.falls_back and not self.batches.is_cancelling
        self._is_live = falls_back and self.batches.is_leaving(now)
        if self._is_live or (falls_back and self.batches.is_over):
            decisions = [*decisions, *self.live.advance(now)]
            waits = [d for d in decisions if isinstance(d, WaitUntil)]
            times = [wait.time for wait in waits if wait.time is not None]
            others = [d for d in decisions if not isinstance(d, WaitUntil)]
            return [*others, WaitUntil(min(times, default=None))]
        return decisions

    def poll_now(self) -> None:
        """Poll all batches at the next `advance`."""
        for shard in self.batches.shards.values():
            if shard.state is ShardState.RUNNING:
                shard.not_before = 0.0

    def cancel(self) -> Sequence[Decision]:
        """Cancel all batches, or stop a job without batches."""
        if not self.state.options.uses_batches or self.batches.is_over:
            return self.state.stop("interrupted")
        self.batches.is_cancelling = True
        self.poll_now()
        return ()

    # --- records of earlier runs ---

    def replay(self, entry: log.Entry) -> None:
        """Apply an entry of the journal; all entries come before the output files."""
        shards, ledger = self.batches.shards, self.ledger
        match entry:
            case log.RowSent(key, reserved):
                record = self._record(key)
                # A previous attempt without an end stays reserved, until `finish_restore`.
                record.is_unconfirmed = record.is_unconfirmed or record.is_sent
                ledger.reserve(reserved)
                record.is_sent, record.reserved = True, reserved
                record.state = RowState.QUEUED
                self.state.table.put(key, record)
            case log.RowRequeued(key) | log.RowLost(key):
                self._end_attempt(key, None, is_lost=isinstance(entry, log.RowLost))
            case log.RowPaid(key, usage, number):
                if number is None:
                    self._end_attempt(key, usage)
                    return
                if number in shards:
                    shards[number].pay(ledger, usage)
                else:
                    ledger.pay(NOTHING, usage)
                record = self._record(key)
                record.is_read, record.shard = True, number
                self.state.table.put(key, record)
            case log.ShardWritten():
                ledger.reserve(entry.reserved)
                self.batches.add(entry)
            case log.BatchDuplicate(_, batch_id):
                self.state.duplicates.append(batch_id)
            case log.JobBegun() | log.RunBegun() | log.RunEnded():
                pass
            case _:
                if entry.number in shards:
                    self._replay_shard(shards[entry.number], entry)

    def _replay_shard(self, shard: Shard, entry: log.Entry) -> None:
        match entry:
            case log.ShardUploaded(_, file_id):
                shard.file_id, shard.state = file_id, ShardState.UPLOADED
            case log.BatchCreating(_, reserved):
                self.ledger.reserve(reserved)
                shard.reserved += reserved
                shard.owed = NOTHING
                shard.creates += 1
                shard.state = ShardState.CREATING
            case log.BatchAbsent(_, perhaps):
                self.ledger.hold(perhaps)
                shard.reserved -= perhaps
                shard.owed = perhaps
                shard.state = ShardState.UPLOADED
            case log.BatchCreated(_, batch_id):
                shard.batch_id, shard.state = batch_id, ShardState.RUNNING
            case log.ShardCollected(_, status, perhaps, next_attempt, failure):
                perhaps = perhaps.capped(shard.reserved)
                self.ledger.hold(perhaps)
                self.ledger.refund(shard.reserved - perhaps)
                shard.reserved, shard.status, shard.state = NOTHING, status, ShardState.COLLECTED
                shard.next_attempt, shard.failure = next_attempt, failure
            case log.ShardClosed():
                self.ledger.refund(shard.reserved)
                del self.batches.shards[shard.number]
            case _:
                pass

    def requeue(self, key: str) -> Record:
        """Queue a failed row of an earlier run again, before its outcome is restored."""
        # An attempt whose end was lost in a crash may have been paid.
        is_lost = self._record(key).is_sent
        entry = log.RowLost(key) if is_lost else log.RowRequeued(key)
        self.replay(entry)
        return Record(entry)

    def restore_shard_row(self, shard: Shard, key: str) -> None:
        """Restore a row of a shard that is not closed; shards come in the order of numbers."""
        record = self._record(key)
        record.is_read = record.is_read and record.shard == shard.number
        record.state, record.shard = RowState.IN_BATCH, shard.number
        self.state.table.put(key, record)

    def restore_outcome(
        self, key: str, usage: Usage | None, *, is_answer: bool
    ) -> Sequence[Record]:
        """Restore the outcome of a row from a line of the output file or of the error file.

        Args:
            key: The row.
            usage: The usage of the line; None if it has none.
            is_answer: Whether it is a line of the output file.

        Returns:
            Entries that are missing in the journal because of a crash.
        """
        missing: tuple[Record, ...] = ()
        record, ledger = self._record(key), self.ledger
        shard = self.batches.shards.get(record.shard)
        if record.state is RowState.IN_BATCH and shard is not None:
            shard.finished += 1
            if is_answer and usage is None:
                shard.has_unknown_usage = True
            if usage is not None and (is_answer or not record.is_read):
                shard.pay(ledger, usage)
                if not is_answer and usage.total:
                    missing = (Record(log.RowPaid(key, usage, shard.number)),)
            record.is_read = record.is_read or usage is not None
        elif is_answer and record.state not in FINISHED:
            reserved = record.reserved if record.is_sent else NOTHING
            ledger.pay(reserved, reserved if usage is None else usage)
        elif record.is_sent:
            ledger.hold(record.reserved)
        record.state = RowState.COMPLETED if is_answer else RowState.FAILED
        record.is_sent, record.reserved = False, NOTHING
        self.state.table.put(key, record)
        return missing

    def finish_restore(self) -> None:
        """Hold reservations of attempts without an end. The files must be synced."""
        reserved = sum((shard.reserved for shard in self.batches.shards.values()), NOTHING)
        self.ledger.hold(self.ledger.reserved - reserved)
        self.ledger.release(self.ledger.returning)
        self.batches.last_inherited = max(self.batches.shards, default=0)

    def _end_attempt(self, key: str, usage: Usage | None, *, is_lost: bool = False) -> None:
        record, ledger = self._record(key), self.ledger
        if usage is not None:
            ledger.pay(record.reserved, usage)
        elif is_lost:
            ledger.hold(record.reserved)
            record.is_unconfirmed = True
        else:
            ledger.refund(record.reserved)
        record.is_sent, record.reserved = False, NOTHING
        self.state.table.put(key, record)

    def _record(self, key: str) -> RowRecord:
        return self.state.table.get(key) or RowRecord()
