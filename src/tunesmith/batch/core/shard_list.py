"""Open shards of a job."""

from collections.abc import Sequence
from math import inf

from tunesmith.batch.core.decisions import Decision, Record, Sync
from tunesmith.batch.core.entries import ShardCollected, ShardWritten
from tunesmith.batch.core.ledger import NOTHING, Usage
from tunesmith.batch.core.state import JobState
from tunesmith.batch.core.states import Failure, Shard, ShardKind, ShardState
from tunesmith.batch.core.token_quota import EnqueuedTokenQuota

__all__ = ["ShardList"]

_MAX_VAIN_POLLS = 6
"""Polls of a batch that is gone, or whose files are incomplete."""

_MAX_UNANSWERED_S = 4 * 3600.0
"""A Batch API that fails for so long ends the job."""


class ShardList:
    """Shards that are not closed, and how their outcome is recorded.

    Args:
        state: State that the core shares.
    """

    def __init__(self, state: JobState) -> None:
        self._state = state
        self.quota = EnqueuedTokenQuota(state.options.enqueued_tokens, state.options.poll_s)
        self.shards: dict[int, Shard] = {}
        self.last_inherited = 0
        """Number of the last shard of an earlier run; resuming continues after a cancellation."""
        self.is_cancelling = False
        self.is_over = False
        self.unsealed = 0
        """Rows in open files."""
        self._unsealed_reserved = NOTHING
        self._backoff = 1.0
        self._failing_since: float | None = None
        self._failures = 0
        self._has_worked = False

    def is_leaving(self, now: float) -> bool:
        """Return whether no further rows are processed by batches."""
        return self.is_cancelling or now >= self._state.options.batches_until

    @property
    def running(self) -> list[Shard]:
        """Shards that have a batch at the service."""
        return [
            s for s in self.shards.values() if s.batch_id and s.state is not ShardState.COLLECTED
        ]

    def add(self, entry: ShardWritten) -> None:
        """Add a shard whose file is safe."""
        kind = ShardKind(entry.url, entry.model, entry.attempt)
        self.shards[entry.number] = Shard(
            entry.number, kind, entry.rows, entry.tokens, entry.reserved, entry.written_at
        )

    def _unblock(self) -> None:
        """Resume shards that wait for others to end."""
        for shard in self.shards.values():
            if shard.state in {ShardState.WRITTEN, ShardState.UPLOADED} and not shard.is_busy:
                shard.not_before = -inf

    def _on_response(self, shard: Shard) -> None:
        """Record that the Batch API works."""
        shard.is_busy = False
        self._has_worked = True
        self._failing_since = None
        self._failures = 0

    def _on_failure(self, failure: Failure, now: float) -> Sequence[Decision]:
        """Count failures of the Batch API: one that never worked ends the job early."""
        self._failures += 1
        if self._failing_since is None:
            self._failing_since = now
        is_hopeless = (
            now - self._failing_since > _MAX_UNANSWERED_S
            if self._has_worked
            else self._failures > self._state.options.max_retries
        )
        return self._state.stop("error", failure.message) if is_hopeless else ()

    def _poll_again(self, shard: Shard, now: float) -> bool:
        """Return whether to poll once more, after a while."""
        shard.vain_polls += 1
        delay_s = min(self._state.options.poll_s, 60.0) * 2.0 ** (shard.vain_polls - 1)
        shard.not_before = now + delay_s
        return shard.vain_polls < _MAX_VAIN_POLLS

    def _collect(
        self, shard: Shard, transition: str, perhaps: Usage, next_attempt: int
    ) -> Sequence[Decision]:
        """Record that the results of a shard are written, and end its reservation."""
        state = self._state
        state.ledger.hold(perhaps)
        state.ledger.refund(shard.reserved - perhaps)
        shard.reserved = NOTHING
        shard.move(transition)
        shard.next_attempt = next_attempt
        self._unblock()
        shard.not_before = -inf
        shard.vain_polls = 0
        entry = ShardCollected(shard.number, shard.status, perhaps, next_attempt, shard.failure)
        is_own = shard.number > self.last_inherited and not shard.is_cancelling
        is_cancelled = shard.status == "cancelled" and is_own
        return (Sync(), Record(entry), *(state.stop("cancelled") if is_cancelled else ()))
