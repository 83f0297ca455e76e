"""How many requests are under way at once: more as long as it helps, half after an overload."""

from math import inf

__all__ = ["MAX_CONCURRENCY", "AdaptiveConcurrency"]

MAX_CONCURRENCY = 256
"""The most that `auto` comes to."""

_START = 16
_MIN_GAIN = 1.1
"""Twice as many at once must bring a tenth more answers, or it was enough before."""


class AdaptiveConcurrency:
    """How many requests may be under way: additive increase, multiplicative decrease.

    Where it is to be found out, it first doubles with each round of answers, until an overload or
    until more at once bring no more answers a second.

    Args:
        maximum: The most; a number that the user gave, or `auto` to find it out.
    """

    def __init__(self, maximum: int | str) -> None:
        self._searching = maximum == "auto"
        self.most = MAX_CONCURRENCY if isinstance(maximum, str) else maximum
        self._limit = float(min(_START, self.most) if self._searching else self.most)
        self._cut_at = -inf
        self._round_at: float | None = None
        self._answers = 0
        self._best = 0.0

    @property
    def limit(self) -> int:
        """How many may be under way now."""
        return int(self._limit)

    def on_success(self, now: float, under_way: int) -> None:
        """Note a good answer.

        Args:
            now: The time.
            under_way: How many requests were under way, this one included.
        """
        if self._searching:
            self._search(now)
        elif self._limit < self.most and under_way >= self.limit:
            self._limit = min(self._limit + 1 / self._limit, self.most)

    def on_overload(self, sent_at: float, now: float) -> None:
        """Note that the service could not take a request; one overload counts once."""
        if sent_at < self._cut_at:
            return
        if self._searching:
            self._searching = False
            self.most = max(self.limit, 1)
        self._cut_at = now
        self._limit = max(self._limit / 2, 1.0)

    def _search(self, now: float) -> None:
        if self._round_at is None:
            self._round_at = now
            return
        self._answers += 1
        if self._answers < 2 * self.limit:
            return
        took = now - self._round_at
        rate = self._answers / took if took > 0 else inf
        if rate < self._best * _MIN_GAIN or self.limit >= self.most:
            self._searching = False
            self.most = self.limit
        else:
            self._best = rate
            self._limit = float(min(2 * self.limit, self.most))
        self._round_at, self._answers = now, 0
