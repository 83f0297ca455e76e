"""Throttle of a job: when a request may be sent, and how many at once."""

from collections.abc import Mapping

from tunesmith.batch.concurrency import AdaptiveConcurrency
from tunesmith.batch.rate_limiter import MAX_WAIT_S, RateLimiter

__all__ = ["Throttle"]

_WEIGHT = 0.04
"""Weight of one request in the share of refused ones."""

_MAX_NOISE = 0.25
"""Services refuse some requests at random; only a larger share of refusals is a limit."""

_INITIAL_PAUSE_S = 0.25
_MAX_PAUSE_S = 8.0
_MAX_DOUBLINGS = 10


class Throttle:
    """Limits, pauses and concurrency behind one interface.

    Args:
        limiter: Rate limits and pauses; several jobs may share it.
        concurrency: Requests in flight of this job.
    """

    def __init__(self, limiter: RateLimiter, concurrency: AdaptiveConcurrency) -> None:
        self.limiter = limiter
        self.concurrency = concurrency
        self._refused_share = 0.0

    def on_success(self, sent_at: float, now: float, in_flight: int) -> None:
        """Count a response to a request that the service accepted."""
        self._refused_share *= 1 - _WEIGHT
        self.limiter.on_success(sent_at)
        self.concurrency.on_success(now, in_flight)

    def on_rate_limited(
        self, sent_at: float, now: float, retry_after_s: float | None, refusals: int
    ) -> float:
        """Count a request refused by 429.

        Args:
            sent_at: When it was sent.
            now: The time.
            retry_after_s: The wait that the service requested.
            refusals: Number of consecutive refusals of its row, including this one.

        Returns:
            The seconds that its row waits; other rows are sent, unless this is a limit.
        """
        if self._is_limit():
            is_new = self.limiter.on_rate_limited(sent_at, retry_after_s, now)
            if is_new and not self.limiter.has_limits:
                self.concurrency.on_overload(sent_at, now)
            return 0.0
        if retry_after_s:
            return min(retry_after_s, MAX_WAIT_S)
        return min(_INITIAL_PAUSE_S * 2.0 ** min(refusals - 1, _MAX_DOUBLINGS), _MAX_PAUSE_S)

    def on_overload(self, sent_at: float, now: float) -> None:
        """Count a request that the service was too busy for."""
        if self._is_limit():
            self.concurrency.on_overload(sent_at, now)

    def learn(self, headers: Mapping[str, str], now: float) -> None:
        """Update the limits from response headers."""
        self.limiter.update_from_headers(headers, now)

    def _is_limit(self) -> bool:
        self._refused_share += (1 - self._refused_share) * _WEIGHT
        return self._refused_share > _MAX_NOISE
