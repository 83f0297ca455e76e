"""Part of the core that processes rows by provider batches."""

from collections.abc import Sequence
from math import inf

from tunesmith.batch.core.decisions import (
    CancelDuplicate,
    CloseFiles,
    Decision,
    Record,
    Sync,
    Task,
    WaitUntil,
    Work,
    WriteToShard,
)
from tunesmith.batch.core.entries import (
    BatchAbsent,
    BatchCreated,
    BatchCreating,
    BatchDuplicate,
    ShardUploaded,
    ShardWritten,
)
from tunesmith.batch.core.ledger import NOTHING
from tunesmith.batch.core.shard_results import ShardResults
from tunesmith.batch.core.states import Failure, OpenRow, RowRecord, RowState, Shard, ShardState

__all__ = ["ShardBook"]

_LOOKUP_DELAYS_S = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
"""Delays of the look-ups of a batch without a response, before it is created again."""


class ShardBook(ShardResults):
    """Shards from the first row to the last outcome."""

    def advance(self, now: float) -> Sequence[Decision]:  # noqa: C901 - one pass over shards
        """Return the work that is due, rows to write, and the time until which to wait."""
        state = self._state
        if state.stopped is not None:
            return ()
        if now >= state.options.deadline:
            return state.stop("deadline")
        is_leaving = self.is_leaving(now)
        decisions = [] if is_leaving else self._write_rows(now)
        if state.is_stopped:
            return decisions
        has_all = state.source_ended or state.is_held_up
        is_drained = is_leaving or (has_all and not state.queue)
        if self.unsealed and is_drained:
            decisions.append(CloseFiles())
        wake = state.options.deadline if is_leaving else state.options.batches_until
        for shard in list(self.shards.values()):
            if shard.is_busy:
                continue
            if shard.not_before > now:
                wake = min(wake, shard.not_before)
                continue
            work = self._work(shard, now, is_leaving)
            decisions += work
            shard.is_busy = bool(work) and isinstance(work[-1], Work)
            if work and not shard.is_busy:  # it is reclaimed, or waits for a sync
                wake = now
            elif not work:  # the service's queue is full
                shard.not_before = now + state.options.poll_s * self._backoff
                wake = min(wake, shard.not_before)
        if is_drained and not (self.shards or self.unsealed or state.is_held_up):
            return [*decisions, *self._end(is_leaving)]
        if any(isinstance(decision, CloseFiles | WaitUntil) for decision in decisions):
            wake = now
        wake = min(wake, state.options.deadline)
        return [*decisions, WaitUntil(None if wake == inf else wake)]

    def _end(self, is_leaving: bool) -> Sequence[Decision]:
        """End the part that batches do."""
        self.is_over = True
        if self.is_cancelling and is_leaving:
            return self._state.stop("cancelled")
        return (WaitUntil(None),)

    def _write_rows(self, now: float) -> list[Decision]:
        state, decisions = self._state, list[Decision]()
        while state.queue:
            row = state.queue[0]
            cost = row.cost or NOTHING
            if not state.ledger.can_reserve(cost):
                if self.unsealed:
                    decisions.append(CloseFiles())
                elif state.ledger.returning.total:
                    decisions += [Sync(), WaitUntil(now)]
                elif not self.shards:
                    decisions += state.stop("budget")
                break
            state.dequeue()
            state.ledger.reserve(cost)
            row.reserved = cost
            row.move("add to shard")
            self.unsealed += 1
            self._unsealed_reserved += cost
            decisions.append(WriteToShard(row, max(row.attempts, 1)))
        return decisions

    def _work(self, shard: Shard, now: float, is_leaving: bool) -> Sequence[Decision]:  # noqa: C901, PLR0912
        match shard.state:
            case ShardState.WRITTEN | ShardState.UPLOADED if is_leaving:
                shard.status = "not sent"
                return self._collect(shard, "reclaim", NOTHING, shard.kind.attempt)
            case ShardState.WRITTEN | ShardState.UPLOADED if not self.quota.allows(
                shard, self.shards.values(), now
            ):
                return ()
            case ShardState.WRITTEN:
                task = Task.UPLOAD
            case ShardState.UPLOADED:
                return self._create(shard)
            case ShardState.CREATING:  # an earlier run died then
                shard.move("response lost")
                task = Task.LOOK_UP
            case ShardState.UNCONFIRMED:
                task = Task.LOOK_UP
            case ShardState.RUNNING if shard.checks > 1:
                shard.checks = 1
                task = Task.LOOK_UP
            case ShardState.ENDED if shard.checks:
                shard.checks = 0
                task = Task.LOOK_UP
            case ShardState.RUNNING if is_leaving and not shard.is_cancelling:
                shard.is_cancelling = True
                task = Task.CANCEL
            case ShardState.RUNNING:
                task = Task.POLL
            case ShardState.ENDED:
                task = Task.DOWNLOAD
            case ShardState.COLLECTED:
                task = Task.SWEEP
            case ShardState.CLOSED:
                return ()
        return (Work(task, shard),)

    def _create(self, shard: Shard) -> Sequence[Decision]:
        ledger, owed = self._state.ledger, shard.owed
        if not ledger.can_reserve(owed):
            if ledger.returning.total:
                return (Sync(), WaitUntil(None))
            others = (s for s in self.shards.values() if s is not shard)
            is_waiting = self.unsealed or any(s.is_busy or s.batch_id for s in others)
            return () if is_waiting else self._state.stop("budget")
        ledger.reserve(owed)
        shard.reserved += owed
        shard.owed = NOTHING
        shard.move("create")
        shard.creates += 1
        return (Record(BatchCreating(shard.number, owed)), Sync(), Work(Task.CREATE, shard))

    def on_row_written(self, row: OpenRow, number: int) -> None:
        """Store in which shard a row is."""
        record = self._state.table.get(row.key) or RowRecord()
        record.state, record.shard, record.is_read = RowState.IN_BATCH, number, False
        self._state.table.put(row.key, record)

    def on_written(self, entry: ShardWritten) -> Sequence[Decision]:
        """Process a shard whose file is safe."""
        self.unsealed -= entry.rows
        self._unsealed_reserved -= entry.reserved
        self._backoff = 1.0
        self.add(entry)
        return (Record(entry),)

    def discard_open(self) -> None:
        """Leave the rows in open files to the next run."""
        self._state.ledger.refund(self._unsealed_reserved)
        self._unsealed_reserved = NOTHING
        self.unsealed = 0

    def on_uploaded(self, shard: Shard, file_id: str) -> Sequence[Decision]:
        """Process the upload of an input file."""
        self._on_response(shard)
        shard.file_id = file_id
        shard.move("upload")
        return (Record(ShardUploaded(shard.number, file_id)),)

    def on_created(self, shard: Shard, batch_id: str, now: float) -> Sequence[Decision]:
        """Process the creation of a batch."""
        self._on_response(shard)
        return self._run(shard, batch_id, "created", now)

    def on_create_failed(
        self, shard: Shard, failure: Failure, now: float, *, may_exist: bool
    ) -> Sequence[Decision]:
        """Process a creation that was refused, or got no response."""
        shard.is_busy = False
        if may_exist:
            shard.move("response lost")
            shard.lookups = 0
            shard.not_before = now
            return ()
        shard.move("refused")
        shard.not_before = now + self._state.options.poll_s
        return (Record(BatchAbsent(shard.number)), *self._on_failure(failure, now))

    def on_listed(self, shard: Shard, batch_ids: tuple[str, ...], now: float) -> Sequence[Decision]:
        """Process the batches that the service lists for a shard: none, one, or duplicates."""
        self._on_response(shard)
        decisions: list[Decision] = []
        ids = list(batch_ids)
        if shard.state is ShardState.UNCONFIRMED:
            if not ids:
                return self._on_absent(shard, now)
            decisions += self._run(shard, ids.pop(0), "found", now)
        for batch_id in ids:
            if batch_id != shard.batch_id and batch_id not in self._state.duplicates:
                self._state.duplicates.append(batch_id)
                entry = BatchDuplicate(shard.number, batch_id)
                decisions += [Record(entry), CancelDuplicate(batch_id)]
        return decisions

    def _on_absent(self, shard: Shard, now: float) -> Sequence[Decision]:
        if shard.lookups < len(_LOOKUP_DELAYS_S):
            shard.not_before = now + _LOOKUP_DELAYS_S[shard.lookups]
            shard.lookups += 1
            return ()
        if shard.finished:  # the batch existed: a second one would be paid for finished rows, too
            return self._on_lost(shard)
        shard.move("not found")
        # It may turn up all the same: its cost stays reserved, and the next one is added.
        shard.owed, shard.reserved = shard.reserved, NOTHING
        self._state.ledger.hold(shard.owed)
        failure = Failure("not_created", "the creation of a batch got no response")
        return (
            Record(BatchAbsent(shard.number, shard.owed)),
            *self._on_failure(failure, now),
        )

    def _run(self, shard: Shard, batch_id: str, transition: str, now: float) -> Sequence[Decision]:
        shard.move(transition)
        shard.batch_id = batch_id
        shard.not_before = now
        # The list may be late: a batch that was not found can still turn up.
        shard.checks = 2 if shard.creates > 1 else 0
        self._state.requests += shard.rows
        return (Record(BatchCreated(shard.number, batch_id)),)

    def on_call_failed(self, shard: Shard, failure: Failure, now: float) -> Sequence[Decision]:
        """Retry a call for a shard after a transient failure that changed nothing."""
        shard.is_busy = False
        shard.not_before = now + self._state.options.poll_s
        return self._on_failure(failure, now)
