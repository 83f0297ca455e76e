"""How quickly requests may be sent: limits that are given or learned, and pauses for all."""

from collections.abc import Mapping
from math import inf

from tunesmith.errors import ConfigurationError
from tunesmith.types.rate_limits import RateLimits

__all__ = ["RateLimiter", "TokenBucket"]

_BURST_S = 0.1
"""Services count a limit of a minute in shorter periods, such as a second: so what may be sent in a
minute is spread evenly, and no more than this much of it is sent at once.

Source: https://platform.openai.com/docs/guides/rate-limits
"""

_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 8.0
"""Pauses where the service refuses and does not say for how long: each twice the one before."""

_EPSILON = 1e-6
"""Less than this is missing only because numbers are rounded."""


class TokenBucket:
    """A limit, as services keep it: it fills steadily, and what is sent takes from it.

    Args:
        per_minute: The limit, if it is given; else it is learned.

    Raises:
        ConfigurationError: The limit is not above 0.

    Attributes:
        rate: How much comes back in a second; None as long as no limit is known.
    """

    def __init__(self, per_minute: float | None = None) -> None:
        if per_minute is not None and not per_minute > 0:
            raise ConfigurationError(f"a limit is a number above 0, not {per_minute}")
        self.given = per_minute is not None
        self.rate = per_minute / 60 if per_minute else None
        self._capacity = self._burst()
        self._level = self._capacity
        self._at = 0.0
        self._under_way = 0.0

    @property
    def per_minute(self) -> float | None:
        """The limit in force; None as long as none is known."""
        return None if self.rate is None else self.rate * 60

    def wait_s(self, cost: float, now: float) -> float:
        """Seconds until so much may be sent."""
        if self.rate is None:
            return 0.0
        self._fill(now)
        # What is larger than the bucket waits for a full one, and leaves it below zero.
        missing = min(cost, self._capacity) - self._level
        return missing / self.rate if missing > _EPSILON else 0.0

    def take(self, cost: float) -> None:
        """Send so much."""
        self._level -= cost
        self._under_way += cost

    def settle(self, cost: float, actual: float) -> None:
        """Note that what was sent is answered, and what it really took."""
        self._under_way -= cost
        self._level = min(self._level + cost - actual, self._capacity)

    def update_from_headers(
        self, limit: int | None, remaining: int | None, reset_s: float | None, now: float
    ) -> None:
        """Learn from an answer's headers: the limit, what is left, and when it is full again."""
        if self.given or not limit or remaining is None:
            return
        self._fill(now)
        used = limit - remaining
        if used > 0 and reset_s:
            self.rate = used / reset_s
        if self.rate is None:
            self.rate = limit / 60
            self._level = inf
        if self._capacity > limit or self._capacity <= 0:
            self._capacity = limit
        # What is under way may not be counted yet.
        self._level = min(self._level, remaining - self._under_way, self._capacity)

    def disable_burst(self) -> None:
        """Send evenly from now on: a burst was refused though the limit allowed it."""
        if self.rate is not None:
            self._capacity = min(self._capacity, self._burst())
            self._level = min(self._level, 0.0)

    def _burst(self) -> float:
        return inf if self.rate is None else max(self.rate * _BURST_S, 1.0)

    def _fill(self, now: float) -> None:
        if self.rate is not None:
            self._level = min(self._level + (now - self._at) * self.rate, self._capacity)
        self._at = now


class RateLimiter:
    """The pace of a job, or of several: requests and tokens a minute, pauses that hold for all.

    Args:
        requests_per_minute: The limit of requests, if it is known; else it is learned.
        tokens_per_minute: The limit of tokens, if it is known; else it is learned.

    Example:
        ```python
        from tunesmith.batch import BatchJob, RateLimiter

        pacing = RateLimiter(requests_per_minute=3000)
        prompts = ["Space is", "Time is"]
        async with BatchJob(prompts, "a.jsonl", client=client, model="m", pacing=pacing) as job:
            await job.run()  # and others at the same time
        ```
    """

    def __init__(
        self, requests_per_minute: float | None = None, tokens_per_minute: float | None = None
    ) -> None:
        self.requests = TokenBucket(requests_per_minute)
        self.tokens = TokenBucket(tokens_per_minute)
        self._paused_until = 0.0
        self._cut_at = -inf
        self._refusals = 0

    @property
    def has_limits(self) -> bool:
        """Whether a limit of requests or tokens is known."""
        return self.requests.rate is not None or self.tokens.rate is not None

    def wait_s(self, tokens: float, now: float) -> float:
        """Seconds until a request of so many tokens may be sent; if 0, `sent` is called next."""
        return max(
            self._paused_until - now, self.requests.wait_s(1, now), self.tokens.wait_s(tokens, now)
        )

    def waits_for_tokens(self, tokens: float, now: float) -> bool:
        """Whether it is the limit of tokens that holds up a request of so many."""
        others_s = max(self._paused_until - now, self.requests.wait_s(1, now))
        return self.tokens.wait_s(tokens, now) > others_s

    def paused_s(self, now: float) -> float:
        """Seconds that are left of a pause."""
        return max(self._paused_until - now, 0.0)

    def sent(self, tokens: float) -> None:
        """Note that a request is sent, with the tokens it is estimated to take."""
        self.requests.take(1)
        self.tokens.take(tokens)

    def settle(self, tokens: float, actual: float) -> None:
        """Note that a request is answered, and the tokens it really took."""
        self.requests.settle(1, 1)
        self.tokens.settle(tokens, actual)

    def update_from_headers(self, headers: Mapping[str, str], now: float) -> None:
        """Learn the limits from an answer's headers."""
        if "x-ratelimit-limit-requests" in headers or "x-ratelimit-limit-tokens" in headers:
            told = RateLimits.from_headers(headers)
            self.requests.update_from_headers(
                told.limit_requests, told.remaining_requests, told.reset_requests, now
            )
            self.tokens.update_from_headers(
                told.limit_tokens, told.remaining_tokens, told.reset_tokens, now
            )

    def on_success(self, sent_at: float) -> None:
        """Note that the service took a request, so that pauses begin short again."""
        if sent_at >= self._cut_at:
            self._refusals = 0

    def on_rate_limited(self, sent_at: float, retry_after_s: float | None, now: float) -> bool:
        """Slow the whole job down for a request that was refused.

        Args:
            sent_at: When the request was sent.
            retry_after_s: How long the service asks to wait.
            now: The time.

        Returns:
            Whether this is news: requests that were under way when the job was slowed down are
            refused for the same reason, and do not slow it down again.
        """
        if sent_at < self._cut_at:
            if retry_after_s:
                self._paused_until = max(self._paused_until, now + retry_after_s)
            return False
        pause_s = retry_after_s or min(_FIRST_PAUSE_S * 2.0**self._refusals, _LONGEST_PAUSE_S)
        self._paused_until = max(self._paused_until, now + pause_s)
        self._cut_at = now
        self._refusals = min(self._refusals + 1, 10)
        self.requests.disable_burst()
        return True

    def pause(self, seconds: float, now: float) -> None:
        """Let the whole job wait."""
        self._paused_until = max(self._paused_until, now + seconds)
