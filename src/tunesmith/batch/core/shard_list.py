"""Shards of a job, and what holds for each of them."""

from collections.abc import Sequence
from math import inf

from tunesmith.batch.core.decisions import (
    Decision,
    Record,
    Sync,
)
from tunesmith.batch.core.entries import (
    ShardSettled,
)
from tunesmith.batch.core.ledger import NOTHING, Usage
from tunesmith.batch.core.state import JobState
from tunesmith.batch.core.states import Failure, Shard, ShardState
from tunesmith.batch.core.token_quota import EnqueuedTokenQuota

__all__ = ["ShardList"]

_MAX_LOOKS = 6
"""So many looks at a batch that is gone, or whose files are not whole."""
_MAX_UNANSWERED_S = 4 * 3600.0
"""A service whose Batch API fails for so long ends the job."""


class ShardList:
    """Shards that are not closed.

    Args:
        state: The part that the whole core shares.
    """

    def __init__(self, state: JobState) -> None:
        self._state = state
        self.quota = EnqueuedTokenQuota(state.options.enqueued_tokens, state.options.poll_s)
        self.shards: dict[int, Shard] = {}
        self.is_cancelling = False
        self.is_over = False
        self.shelved = 0
        """Rows in open files."""
        self._shelved_reserved = NOTHING
        self._backoff = 1.0
        self._failing_since: float | None = None
        self._failures = 0
        self._has_worked = False

    def is_leaving(self, now: float) -> bool:
        """Return whether nothing more is to be done by batches."""
        return self.is_cancelling or now >= self._state.options.batches_until

    @property
    def running(self) -> list[Shard]:
        """The shards that have a batch at the service."""
        return [s for s in self.shards.values() if s.batch_id and s.state is not ShardState.SETTLED]

    def _take(self, number: int) -> Shard:
        shard = self.shards[number]
        shard.is_busy = False
        return shard

    def _unblock(self) -> None:
        """Let shards go on that wait for others to end."""
        for shard in self.shards.values():
            if shard.state in {ShardState.CUT, ShardState.UPLOADED} and not shard.is_busy:
                shard.not_before = -inf

    def _works(self) -> None:
        self._has_worked = True
        self._failing_since = None
        self._failures = 0

    def _fails(self, failure: Failure, now: float) -> Sequence[Decision]:
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

    def _look_again(self, shard: Shard, now: float) -> bool:
        """Return whether to look once more, after a while."""
        shard.looks += 1
        shard.not_before = now + min(self._state.options.poll_s, 60.0) * 2.0 ** (shard.looks - 1)
        return shard.looks < _MAX_LOOKS

    def _settle(
        self, shard: Shard, how: str, perhaps: Usage, next_attempt: int
    ) -> Sequence[Decision]:
        ledger = self._state.ledger
        ledger.doubt(perhaps)
        ledger.give_back(shard.reserved - perhaps)
        shard.reserved = NOTHING
        shard.move(how)
        shard.next_attempt = next_attempt
        self._unblock()
        shard.not_before = -inf
        shard.looks = 0
        entry = ShardSettled(shard.number, shard.status, perhaps, next_attempt, shard.failure)
        decisions: list[Decision] = [Sync(), Record(entry)]
        if shard.status == "cancelled" and not shard.is_cancelling:
            decisions += self._state.stop("cancelled")
        return decisions
