"""The part of the core that has rows done by batches of the provider."""

from collections.abc import Sequence
from math import inf

from tunesmith.batch.core import events as on
from tunesmith.batch.core.decisions import (
    Cancel,
    CancelDuplicate,
    Create,
    Decision,
    Download,
    LookUp,
    Poll,
    Record,
    Seal,
    Shelve,
    Sweep,
    Sync,
    Upload,
    WaitUntil,
)
from tunesmith.batch.core.entries import (
    BatchAbsent,
    BatchCreated,
    BatchCreating,
    BatchDuplicate,
    ShardCut,
    ShardUploaded,
)
from tunesmith.batch.core.ledger import NOTHING
from tunesmith.batch.core.shard_results import ShardResults
from tunesmith.batch.core.states import Failure, RowRecord, RowState, Shard, ShardState

__all__ = ["ShardBook"]

_LOOKUP_DELAYS_S = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
"""A batch whose creation was not answered is looked up so often before it is created again."""


class ShardBook(ShardResults):
    """Shards on their way from rows to batches, and from batches to outcomes."""

    def time_passed(self, now: float) -> Sequence[Decision]:  # noqa: C901 - one pass over shards
        """Return the work that is due, rows to shelve, and until when to wait."""
        state = self._state
        if state.stopped is not None:
            return ()
        if now >= state.options.deadline:
            return state.stop("deadline")
        is_leaving = self.is_leaving(now)
        found = [] if is_leaving else self._shelve_rows(now)
        if self._state.is_stopped:
            return found
        has_all = state.source_ended or state.is_held_up
        is_drained = is_leaving or (has_all and not state.queue)
        if self.shelved and is_drained:
            found.append(Seal())
        wake = state.options.deadline if is_leaving else state.options.batches_until
        for shard in list(self.shards.values()):
            if shard.is_busy:
                continue
            if shard.not_before > now:
                wake = min(wake, shard.not_before)
                continue
            work = self._work(shard, now, is_leaving)
            found += work
            shard.is_busy = bool(work) and not isinstance(work[-1], Record | WaitUntil)
            if work and not shard.is_busy:  # it is reclaimed, or waits for money to be returned
                wake = now
            elif not work:  # the service's queue is full
                shard.not_before = now + state.options.poll_s * self._backoff
                wake = min(wake, shard.not_before)
        if is_drained and not (self.shards or self.shelved or state.is_held_up):
            return [*found, *self._end(is_leaving)]
        if any(isinstance(decision, Seal | WaitUntil) for decision in found):
            wake = now
        if not (self.shards or self.shelved or state.queue):
            return [*found, WaitUntil(None)]  # for the source
        wake = min(wake, state.options.deadline)
        return [*found, WaitUntil(None if wake == inf else wake)]

    def _end(self, is_leaving: bool) -> Sequence[Decision]:
        """End the part that batches do."""
        self.is_over = True
        if self.is_cancelling and is_leaving:
            return self._state.stop("cancelled")
        return (WaitUntil(None),)

    def _shelve_rows(self, now: float) -> list[Decision]:
        state, found = self._state, list[Decision]()
        while state.queue:
            row = state.queue[0]
            cost = row.cost or NOTHING
            if not state.ledger.can_reserve(cost):
                if self.shelved:
                    found.append(Seal())
                elif state.ledger.returning.total:
                    found += [Sync(), WaitUntil(now)]
                elif not self.shards:
                    found += state.stop("budget")
                break
            state.dequeue()
            state.ledger.reserve(cost)
            row.reserved = cost
            row.move("put in a shard")
            self.shelved += 1
            self._shelved_reserved += cost
            found.append(Shelve(row, max(row.attempts, 1)))
        return found

    def _work(self, shard: Shard, now: float, is_leaving: bool) -> list[Decision]:  # noqa: C901, PLR0911, PLR0912
        match shard.state:
            case ShardState.CUT | ShardState.UPLOADED if is_leaving:
                return self._reclaim(shard)
            case ShardState.CUT:
                allowed = self.quota.allows(shard, self.shards.values(), now)
                return [Upload(shard)] if allowed else []
            case ShardState.UPLOADED:
                if not self.quota.allows(shard, self.shards.values(), now):
                    return []
                return self._create(shard)
            case ShardState.CREATING:  # an earlier run died then
                shard.move("answer lost")
                return [LookUp(shard)]
            case ShardState.DOUBTFUL:
                return [LookUp(shard)]
            case ShardState.RUNNING if shard.checks > 1:
                shard.checks = 1
                return [LookUp(shard)]
            case ShardState.ENDED if shard.checks:
                shard.checks = 0
                return [LookUp(shard)]
            case ShardState.RUNNING if is_leaving and not shard.is_cancelling:
                shard.is_cancelling = True
                return [Cancel(shard)]
            case ShardState.RUNNING:
                return [Poll(shard)]
            case ShardState.ENDED:
                return [Download(shard)]
            case ShardState.SETTLED:
                return [Sweep(shard)]
            case _:
                return []

    def _create(self, shard: Shard) -> list[Decision]:
        ledger, owed = self._state.ledger, shard.owed
        if not ledger.can_reserve(owed):
            if ledger.returning.total:
                return [Sync(), WaitUntil(None)]
            others = (s for s in self.shards.values() if s is not shard)
            is_waiting = self.shelved or any(s.is_busy or s.batch_id for s in others)
            return [] if is_waiting else list(self._state.stop("budget"))
        ledger.reserve(owed)
        shard.reserved += owed
        shard.owed = NOTHING
        shard.move("creating")
        shard.creates += 1
        return [Record(BatchCreating(shard.number, owed)), Sync(), Create(shard)]

    def row_shelved(self, event: on.RowShelved) -> Sequence[Decision]:
        """Note in which shard a row is."""
        record = self._state.table.get(event.row.key) or RowRecord()
        record.state, record.shard, record.is_read = RowState.IN_BATCH, event.shard, False
        self._state.table.put(event.row.key, record)
        return ()

    def shard_cut(self, event: on.ShardCut) -> Sequence[Decision]:
        """Take over a shard whose file is safe."""
        self.shelved -= event.rows
        self._shelved_reserved -= event.reserved
        self._backoff = 1.0
        self.shards[event.number] = Shard(
            event.number,
            event.kind,
            event.rows,
            event.tokens,
            event.reserved,
            event.cut_at,
        )
        entry = ShardCut(
            event.number, event.kind, event.rows, event.tokens, event.reserved, event.cut_at
        )
        return (Record(entry),)

    def shards_dropped(self) -> Sequence[Decision]:
        """Give up the rows in open files: they are left to the next run."""
        self._state.ledger.give_back(self._shelved_reserved)
        self._shelved_reserved = NOTHING
        self.shelved = 0
        return ()

    def uploaded(self, event: on.ShardUploaded) -> Sequence[Decision]:
        """Take the id of an input file."""
        shard = self._take(event.shard)
        self._works()
        shard.file_id = event.file_id
        shard.move("uploaded")
        return (Record(ShardUploaded(shard.number, event.file_id)),)

    def created(self, event: on.BatchCreated) -> Sequence[Decision]:
        """Take the id of a batch."""
        shard = self._take(event.shard)
        self._works()
        return self._run(shard, event.batch_id, "created", event.now)

    def create_failed(self, event: on.CreateFailed) -> Sequence[Decision]:
        """Take a creation that was refused, or not answered."""
        shard = self._take(event.shard)
        if event.may_exist:
            shard.move("answer lost")
            shard.lookups = 0
            shard.not_before = event.now
            return ()
        shard.move("refused")
        shard.not_before = event.now + self._state.options.poll_s
        return (Record(BatchAbsent(shard.number)), *self._fails(event.failure, event.now))

    def found(self, event: on.BatchFound) -> Sequence[Decision]:
        """Take the batches that the service lists for a shard."""
        shard = self._take(event.shard)
        self._works()
        decisions: list[Decision] = []
        ids = list(event.batch_ids)
        if shard.state is ShardState.DOUBTFUL:
            if not ids:
                return self._not_found(shard, event.now)
            decisions += self._run(shard, ids.pop(0), "found", event.now)
        for batch_id in ids:
            if batch_id != shard.batch_id and batch_id not in self._state.duplicates:
                self._state.duplicates.append(batch_id)
                entry = BatchDuplicate(shard.number, batch_id)
                decisions += [Record(entry), CancelDuplicate(batch_id)]
        return decisions

    def _not_found(self, shard: Shard, now: float) -> Sequence[Decision]:
        if shard.lookups < len(_LOOKUP_DELAYS_S):
            shard.not_before = now + _LOOKUP_DELAYS_S[shard.lookups]
            shard.lookups += 1
            return ()
        shard.move("not found")
        # It may turn up all the same: its cost stays booked, and the next one is reserved anew.
        shard.owed, shard.reserved = shard.reserved, NOTHING
        self._state.ledger.doubt(shard.owed)
        return (
            Record(BatchAbsent(shard.number, shard.owed)),
            *self._fails(Failure("not_created", "the creation of a batch was not answered"), now),
        )

    def _run(self, shard: Shard, batch_id: str, how: str, now: float) -> Sequence[Decision]:
        shard.move(how)
        shard.batch_id = batch_id
        shard.not_before = now
        # The list may be late: a batch that was taken for absent can still turn up.
        shard.checks = 2 if shard.creates > 1 else 0
        self._state.requests += shard.rows
        return (Record(BatchCreated(shard.number, batch_id)),)

    def work_failed(self, event: on.WorkFailed) -> Sequence[Decision]:
        """Take a failed call for a shard; it is made again."""
        shard = self._take(event.shard)
        shard.not_before = event.now + self._state.options.poll_s
        return self._fails(event.failure, event.now)

    def _reclaim(self, shard: Shard) -> list[Decision]:
        shard.status = "not sent"
        return [*self._settle(shard, "reclaimed", NOTHING, shard.kind.attempt)]
