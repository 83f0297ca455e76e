"""How many tokens of questions the service lets batches of a model have at a time."""

import re
from collections import Counter
from collections.abc import Collection, Iterable

from tunesmith.batch.shards import Shard
from tunesmith.types.batches import BatchError

__all__ = ["TOKEN_LIMIT", "EnqueuedTokenQuota"]

TOKEN_LIMIT = "token_limit_exceeded"  # noqa: S105 - tokens of another kind

_LIMIT_PATTERN = re.compile(r"[Ll]imit: ([\d,]+)")


class EnqueuedTokenQuota:
    """Learns the limit of each model by what the service refuses.

    Args:
        limit: The limit, where it is known.
        pause_s: Seconds to wait where the service is full of batches of others.
    """

    def __init__(self, most: int | None, pause_s: float) -> None:
        self._given = most
        self._pause_s = pause_s
        self._learned: dict[str, int] = {}
        self._refused_alone = Counter[str]()
        self._not_before: dict[str, float] = {}

    def limit(self, model: str) -> int | None:
        """The limit of a model; None if it is not known."""
        return self._learned.get(model, self._given)

    def allows(self, shard: Shard, shards: Iterable[Shard], now: float) -> bool:
        """Whether a batch may be made of a shard.

        Args:
            shard: The shard.
            shards: All that are not over.
            now: The time.
        """
        if now < self._not_before.get(shard.model, now):
            return False
        most, under_way = self.limit(shard.model), _under_way(shard, shards)
        return most is None or not under_way or under_way + shard.tokens <= most

    def on_accepted(self, shard: Shard) -> None:
        """Note that the service has begun a batch."""
        self._refused_alone.pop(shard.model, None)

    def on_rejected(
        self, shard: Shard, shards: Iterable[Shard], errors: Collection[BatchError], now: float
    ) -> bool:
        """Note that the service has not begun a batch, because of its tokens.

        Returns:
            Whether it was too many though no other batch of the job was there, again and again.
        """
        model, under_way = shard.model, _under_way(shard, shards)
        told = next((m for e in errors if (m := _LIMIT_PATTERN.search(e.message or ""))), None)
        limit = int(told[1].replace(",", "")) if told else None
        if limit is not None and shard.tokens > limit:
            self._learned[model] = limit
            return shard.rows == 1
        if under_way:
            self._learned[model] = max(under_way, shard.tokens)
            return False
        # Others may fill the queue, or there is more in the shard than it seems: tokens are
        # estimated.
        self._refused_alone[model] += 1
        self._not_before[model] = now + self._pause_s
        if self._refused_alone[model] == 1:
            return False
        self._learned[model] = max(shard.tokens // 2, 1)
        return shard.rows == 1


def _under_way(shard: Shard, shards: Iterable[Shard]) -> int:
    """The tokens of the batches of the same model that the service works on."""
    return sum(s.tokens for s in shards if s.batch_id and s.model == shard.model and s is not shard)
