"""The core of a batch job: one state machine, without files, network, clocks or chance.

Events go in, decisions come out. The journal is its event log: `replay` brings a new core to the
state that an earlier one had, as far as it outlives a crash.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tunesmith.batch.core import entries as log
from tunesmith.batch.core import events as on
from tunesmith.batch.core.batches import ShardBook
from tunesmith.batch.core.decisions import Decision, Finish, Record, Skip, WaitUntil
from tunesmith.batch.core.ledger import NOTHING, Ledger, Usage
from tunesmith.batch.core.live import LiveRows
from tunesmith.batch.core.state import JobState
from tunesmith.batch.core.states import RowRecord, RowState, Shard, ShardState

__all__ = ["JobCore"]


class JobCore:
    """The whole truth of a job.

    Args:
        state: Options, money, pace, and the table of keys.
    """

    def __init__(self, state: JobState) -> None:
        self.state = state
        self.live = LiveRows(state)
        self.batches = ShardBook(state)
        self._is_live = not state.options.uses_batches
        self._handlers: Mapping[type, Callable[[Any], Sequence[Decision]]] = {
            on.RowRead: self._row_read,
            on.RowRejected: self._row_rejected,
            on.SourceEnded: self._source_ended,
            on.RowAnswered: self.live.answered,
            on.RowUnfit: self.live.unfit,
            on.RowFailed: self.live.failed,
            on.RowCutOff: self.live.cut_off,
            on.RowUnwritten: self._row_unwritten,
            on.RowShelved: self.batches.row_shelved,
            on.ShardCut: self.batches.shard_cut,
            on.ShardDropped: lambda _: self.batches.shards_dropped(),
            on.ShardUploaded: self.batches.uploaded,
            on.BatchCreated: self.batches.created,
            on.CreateFailed: self.batches.create_failed,
            on.BatchFound: self.batches.found,
            on.WorkFailed: self.batches.work_failed,
            on.BatchPolled: self.batches.polled,
            on.BatchEnded: self.batches.ended,
            on.BatchGone: self.batches.gone,
            on.ResultRead: self.batches.result_read,
            on.FilesRead: self.batches.files_read,
            on.FilesFailed: self.batches.files_failed,
            on.RowLeftOver: self.batches.row_left_over,
            on.ShardSwept: self.batches.swept,
            on.TimePassed: self._time_passed,
            on.Synced: self._synced,
            on.PollAsked: self._poll_asked,
            on.CancelAsked: self._cancel_asked,
            on.StopAsked: lambda event: state.stop(event.reason, event.message),
        }

    def handle(self, event: on.Event) -> Sequence[Decision]:
        """Take in an event, and return what is to be done, in order."""
        return self._handlers[type(event)](event)

    @property
    def ledger(self) -> Ledger:
        """The job's money."""
        return self.state.ledger

    @property
    def is_live_idle(self) -> bool:
        """Whether no row is sent, or waits to be sent, one by one."""
        waits_for_others = self.live.in_flight or self.state.parked
        return not waits_for_others and not (self._is_live and self.state.queue)

    @property
    def is_over(self) -> bool:
        """Whether nothing is left to be done in this run."""
        state = self.state
        if self.live.in_flight:
            return False
        if state.stopped is not None:
            return True
        is_idle = state.source_ended and not (state.queue or state.parked)
        is_batching = state.options.uses_batches and not self.batches.is_over
        return is_idle and not is_batching

    # --- the source and the job ---

    def _row_read(self, event: on.RowRead) -> Sequence[Decision]:
        state, row = self.state, event.row
        state.seen += 1
        record = state.table.get(row.key)
        if record is None:
            state.enqueue(row)
            return ()
        if record.state is RowState.QUEUED and not record.is_at_hand:
            state.enqueue(row)
            if not (record.is_sent or record.is_doubtful):
                return ()
            row.is_doubtful = record.is_doubtful = True
            state.sent_again.append(row.key)
            if not record.is_sent:
                return ()
            record.is_sent, record.reserved = False, NOTHING
            state.table.put(row.key, record)
            return (Record(log.RowLost(row.key)),)
        is_finished = record.state in {RowState.ANSWERED, RowState.FAILED}
        if is_finished and not record.is_fresh:
            state.skipped += 1
        return (Skip(row, is_finished),)

    def _row_rejected(self, event: on.RowRejected) -> Sequence[Decision]:
        state, row = self.state, event.row
        record = state.table.get(row.key)
        if record is not None and record.state in {RowState.ANSWERED, RowState.FAILED}:
            return self._row_read(on.RowRead(row))
        state.seen += 1
        row.move("rejected")
        return (Finish(row.key, row, event.failure, 0), *state.fail())

    def _row_unwritten(self, event: on.RowUnwritten) -> Sequence[Decision]:
        state = self.state
        if event.is_answer:
            state.done -= 1
        else:
            state.failed -= 1
        state.unknown.append(event.key)
        return ()

    def _source_ended(self, _: on.SourceEnded) -> Sequence[Decision]:
        self.state.source_ended = True
        return ()

    def _time_passed(self, event: on.TimePassed) -> Sequence[Decision]:
        options = self.state.options
        if not options.uses_batches or self.batches.is_over:
            return self.live.time_passed(event.now)
        decisions = self.batches.time_passed(event.now)
        goes_live = options.falls_back and not self.batches.is_cancelling
        self._is_live = goes_live and self.batches.is_leaving(event.now)
        if self._is_live or (goes_live and self.batches.is_over):
            decisions = [*decisions, *self.live.time_passed(event.now)]
            waits = [d for d in decisions if isinstance(d, WaitUntil)]
            times = [wait.time for wait in waits if wait.time is not None]
            others = [d for d in decisions if not isinstance(d, WaitUntil)]
            return [*others, WaitUntil(min(times, default=None))]
        return decisions

    def _synced(self, event: on.Synced) -> Sequence[Decision]:
        self.ledger.release(event.returning)
        return ()

    def _poll_asked(self, _: on.PollAsked) -> Sequence[Decision]:
        for shard in self.batches.shards.values():
            if shard.state is ShardState.RUNNING:
                shard.not_before = 0.0
        return ()

    def _cancel_asked(self, _: on.CancelAsked) -> Sequence[Decision]:
        if not self.state.options.uses_batches or self.batches.is_over:
            return self.state.stop("interrupted")
        self.batches.is_cancelling = True
        return self._poll_asked(on.PollAsked())

    # --- what earlier runs wrote ---

    def replay(self, entry: log.Entry) -> None:  # noqa: C901 - one case an entry
        """Take in an entry of the journal; all of them come before files are restored."""
        shards, ledger = self.batches.shards, self.ledger
        match entry:
            case log.RowSent(key, reserved):
                record = self._record(key)
                if record.is_sent:  # the attempt before has no end
                    ledger.doubt(record.reserved)
                    record.is_doubtful = True
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
                shard = shards.get(number)
                reserved = usage.capped(shard.reserved) if shard else NOTHING
                ledger.pay(reserved, usage)
                record = self._record(key)
                record.is_read, record.shard = True, number
                self.state.table.put(key, record)
                if shard:
                    shard.reserved -= reserved
            case log.ShardCut(number, kind, rows, tokens, reserved, cut_at):
                ledger.reserve(reserved)
                shards[number] = Shard(number, kind, rows, tokens, reserved, cut_at)
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
                self.ledger.doubt(perhaps)
                shard.reserved -= perhaps
                shard.owed = perhaps
                shard.state = ShardState.UPLOADED
            case log.BatchCreated(_, batch_id):
                shard.batch_id, shard.state = batch_id, ShardState.RUNNING
            case log.ShardSettled(_, status, perhaps, next_attempt, failure):
                self.ledger.doubt(perhaps.capped(shard.reserved))
                self.ledger.give_back(shard.reserved - perhaps.capped(shard.reserved))
                shard.reserved, shard.status, shard.state = NOTHING, status, ShardState.SETTLED
                shard.next_attempt, shard.failure = next_attempt, failure
            case log.ShardClosed():
                self.ledger.give_back(shard.reserved)
                del self.batches.shards[shard.number]
            case _:
                pass

    def restore_shard_row(self, shard: Shard, key: str) -> None:
        """Take in a row of a shard that is not closed; shards come in the order of numbers."""
        record = self._record(key)
        record.is_read = record.is_read and record.shard == shard.number
        record.state, record.shard = RowState.IN_BATCH, shard.number
        self.state.table.put(key, record)

    def restore_outcome(
        self, key: str, usage: Usage | None, *, is_answer: bool
    ) -> Sequence[Record]:
        """Take in a line of the output file or of the error file.

        Args:
            key: The row.
            usage: The usage that the line tells; None if it does not.
            is_answer: Whether it is a line of the output file.

        Returns:
            What a crash kept out of the journal.
        """
        missing: tuple[Record, ...] = ()
        record, ledger = self._record(key), self.ledger
        shard = self.batches.shards.get(record.shard)
        is_repeated = record.state in {RowState.ANSWERED, RowState.FAILED}
        if record.state is RowState.IN_BATCH and shard is not None:
            shard.finished += 1
            if is_answer and usage is None:
                shard.has_unknown_usage = True
            if usage is not None and (is_answer or not record.is_read):
                reserved = usage.capped(shard.reserved)
                ledger.pay(reserved, usage)
                shard.reserved -= reserved
                if not is_answer and usage.total:
                    missing = (Record(log.RowPaid(key, usage, shard.number)),)
        elif is_answer and not is_repeated:
            reserved = record.reserved if record.is_sent else NOTHING
            ledger.pay(reserved, reserved if usage is None else usage)
        elif record.is_sent:
            ledger.doubt(record.reserved)
        record.state = RowState.ANSWERED if is_answer else RowState.FAILED
        record.is_sent, record.reserved = False, NOTHING
        self.state.table.put(key, record)
        return missing

    def reopen(self, key: str) -> None:
        """Take in that a row which failed is sent again."""
        record = self._record(key)
        record.state, record.is_doubtful = RowState.QUEUED, False
        self.state.table.put(key, record)

    def restored(self) -> None:
        """Finish the restoration: what no entry ended was perhaps paid. The files are synced."""
        reserved = sum((shard.reserved for shard in self.batches.shards.values()), NOTHING)
        self.ledger.doubt(self.ledger.reserved - reserved)
        self.ledger.release(self.ledger.returning)

    def _end_attempt(self, key: str, usage: Usage | None, *, is_lost: bool = False) -> None:
        record, ledger = self._record(key), self.ledger
        if usage is not None:
            ledger.pay(record.reserved, usage)
        elif is_lost:
            ledger.doubt(record.reserved)
            record.is_doubtful = True
        else:
            ledger.give_back(record.reserved)
        record.is_sent, record.reserved = False, NOTHING
        self.state.table.put(key, record)

    def _record(self, key: str) -> RowRecord:
        return self.state.table.get(key) or RowRecord()
