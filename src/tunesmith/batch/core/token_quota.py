"""Quota of enqueued input tokens of the batches of a model."""

import re
from collections import Counter
from collections.abc import Iterable

from tunesmith.batch.core.states import Failure, Shard, ShardState

__all__ = ["TOKEN_LIMIT", "EnqueuedTokenQuota"]

TOKEN_LIMIT = "token_limit_exceeded"  # noqa: S105 - tokens of another kind

_LIMIT_PATTERN = re.compile(r"[Ll]imit: ([\d,]{1,20})")
_IN_QUEUE = frozenset({ShardState.CREATING, ShardState.UNCONFIRMED, ShardState.RUNNING})


class EnqueuedTokenQuota:
    """Limit of each model, learned from rejected batches.

    Args:
        maximum: The limit, if it is known.
        pause_s: Seconds to wait while the queue is full of batches of others.
    """

    def __init__(self, maximum: int | None, pause_s: float) -> None:
        self._maximum = maximum
        self._pause_s = pause_s
        self._learned: dict[str, int] = {}
        self._rejected_alone = Counter[str]()
        self._not_before: dict[str, float] = {}

    def limit(self, model: str) -> int | None:
        """Return the limit of a model; None if it is not known."""
        return self._learned.get(model, self._maximum)

    def allows(self, shard: Shard, shards: Iterable[Shard], now: float) -> bool:
        """Return whether a batch may be created.

        Args:
            shard: The shard.
            shards: All shards of the job.
            now: The time.
        """
        model = shard.kind.model
        if now < self._not_before.get(model, now):
            return False
        limit, enqueued = self.limit(model), _enqueued(shard, shards)
        return limit is None or not enqueued or enqueued + shard.tokens <= limit

    def on_accepted(self, shard: Shard) -> None:
        """Record that the service started a batch."""
        self._rejected_alone.pop(shard.kind.model, None)

    def on_rejected(
        self, shard: Shard, shards: Iterable[Shard], errors: Iterable[Failure], now: float
    ) -> bool:
        """Record that the service rejected a batch because of its tokens.

        Returns:
            Whether it was too large though it has one row and no other batch was there.
        """
        model, enqueued = shard.kind.model, _enqueued(shard, shards)
        match = next((m for e in errors if (m := _LIMIT_PATTERN.search(e.message))), None)
        limit = int(match[1].replace(",", "") or 0) if match else None
        if limit is not None and shard.tokens > limit:
            self._learned[model] = limit
            return shard.rows == 1
        if enqueued:
            self._learned[model] = max(enqueued, shard.tokens)
            return False
        # Others may fill the queue, or there is more in the shard than it seems: tokens are
        # estimated.
        self._rejected_alone[model] += 1
        self._not_before[model] = now + self._pause_s
        if self._rejected_alone[model] == 1:
            return False
        self._learned[model] = max(shard.tokens // 2, 1)
        return shard.rows == 1


def _enqueued(shard: Shard, shards: Iterable[Shard]) -> int:
    """Return the tokens of other batches of the same model at the service."""
    model = shard.kind.model
    return sum(
        s.tokens
        for s in shards
        if s.state in _IN_QUEUE and s.kind.model == model and s is not shard
    )
