"""Rate limits, given or learned, and pauses, shared by all workers of one or several jobs."""

from collections.abc import Mapping
from math import inf

from tunesmith.errors import ConfigurationError
from tunesmith.types.rate_limits import RateLimits

__all__ = ["RateLimiter", "TokenBucket"]

_BURST_S = 0.1
"""Services count a limit per minute in shorter periods, such as a second. Requests are spread
evenly, and at most this many seconds' worth of them is sent at once.

Source: https://platform.openai.com/docs/guides/rate-limits
"""

_INITIAL_PAUSE_S = 0.5
_MAX_PAUSE_S = 8.0
"""Pauses after refusals without `Retry-After`; each is twice the previous one."""

MAX_WAIT_S = 3600.0
"""Longest wait that a service can request."""

_MAX_RESET_S = 86_400.0
"""Longest plausible time until a limit is full again."""

_MIN_MEASURED_S = 0.5
_MIN_MEASURED = 10
"""Seconds and accepted requests between two refusals from which a rate can be measured."""

_CAUTION_S = 5.0
_MAX_CAUTION_S = 60.0
"""Seconds after a refusal before a measured rate grows; doubled after each growth in vain."""

_GROWTH = 1.1
"""Growth of a measured rate per second."""

_EPSILON = 1e-6
"""Tolerance for rounding."""


class TokenBucket:
    """Token bucket as services use it: it fills steadily, and each request takes from it.

    Args:
        per_minute: The limit; None to learn it.

    Raises:
        ConfigurationError: The limit is not above 0.

    Attributes:
        rate: Refill per second; None as long as no limit is known.
    """

    def __init__(self, per_minute: float | None = None) -> None:
        if per_minute is not None and not per_minute > 0:
            raise ConfigurationError(f"a limit must be a number above 0, not {per_minute}")
        self.is_given = per_minute is not None
        self.rate = per_minute / 60 if per_minute else None
        self._capacity = self._burst()
        self._level = self._capacity
        self._filled_at = 0.0
        self._in_flight = 0.0

    @property
    def per_minute(self) -> float | None:
        """The current limit; None as long as none is known."""
        return None if self.rate is None else self.rate * 60

    def wait_s(self, cost: float, now: float) -> float:
        """Return the seconds until an amount may be sent."""
        if self.rate is None:
            return 0.0
        self._fill(now)
        # What is larger than the bucket waits for a full one, and leaves it below zero.
        missing = min(cost, self._capacity) - self._level
        return missing / self.rate if missing > _EPSILON else 0.0

    def take(self, cost: float) -> None:
        """Take an amount."""
        self._in_flight += cost
        if self.rate is not None:
            self._level -= cost

    def record_usage(self, cost: float, actual: float) -> None:
        """Replace an estimate by the actual amount."""
        self._in_flight -= cost
        if self.rate is not None:
            self._level = min(self._level + cost - actual, self._capacity)

    def learn(
        self, limit: int | None, remaining: int | None, reset_s: float | None, now: float
    ) -> None:
        """Update the limit from headers: limit, remaining amount, and seconds until it is full."""
        if self.is_given or not limit or limit < 0 or remaining is None:
            return
        self._fill(now)
        remaining = min(max(remaining, 0), limit)
        used = limit - remaining
        if used > 0 and reset_s and 0 < reset_s <= _MAX_RESET_S:
            self.rate = used / reset_s
        if self.rate is None:
            self.rate = limit / 60
            self._level = inf
        if self._capacity > limit or self._capacity <= 0:
            self._capacity = limit
        # What is in flight may not be counted yet.
        self._level = min(self._level, remaining - self._in_flight, self._capacity)

    def set_rate(self, rate: float) -> None:
        """Set a rate that was measured."""
        self.rate = rate
        self._capacity = self._burst()
        self._level = min(self._level, 0.0)

    def grow(self, factor: float) -> None:
        """Raise a rate that was measured."""
        if self.rate is not None:
            self.rate *= factor
            self._capacity = self._burst()

    def disable_burst(self) -> None:
        """Send evenly from now on, since a burst was refused within the limit."""
        if self.rate is not None:
            self._capacity = min(self._capacity, self._burst())
            self._level = min(self._level, 0.0)

    def _burst(self) -> float:
        return inf if self.rate is None else max(self.rate * _BURST_S, 1.0)

    def _fill(self, now: float) -> None:
        if self.rate is not None:
            self._level = min(self._level + (now - self._filled_at) * self.rate, self._capacity)
        self._filled_at = now


class RateLimiter:
    """Rate limiter shared by all workers of one or several jobs.

    Args:
        requests_per_minute: The limit of requests; None to learn it from the service.
        tokens_per_minute: The limit of tokens; None to learn it from the service.

    Example:
        ```python
        from tunesmith.batch import BatchJob, RateLimiter

        limiter = RateLimiter(requests_per_minute=3000)
        prompts = ["Space is", "Time is"]
        async with BatchJob(
            prompts, "a.jsonl", client=client, model="m", pacing=limiter
        ) as job:
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
        self._accepted = 0
        self._is_measured = False
        self._caution_s = _CAUTION_S
        self._grown_at = inf

    @property
    def has_limits(self) -> bool:
        """Whether a limit of requests or tokens is known."""
        return self.requests.rate is not None or self.tokens.rate is not None

    def wait_s(self, tokens: float, now: float) -> float:
        """Return the seconds until a request of so many tokens may be sent.

        If it is 0, `sent` is called next.
        """
        if self._is_measured and now > self._grown_at:
            self.requests.grow(_GROWTH ** (now - self._grown_at))
            self._grown_at = now
        return max(
            self._paused_until - now, self.requests.wait_s(1, now), self.tokens.wait_s(tokens, now)
        )

    def paused_s(self, now: float) -> float:
        """Return the remaining seconds of a pause."""
        return max(self._paused_until - now, 0.0)

    def sent(self, tokens: float) -> None:
        """Take a request from the limits, with its estimated tokens."""
        self.requests.take(1)
        self.tokens.take(tokens)

    def record_usage(self, tokens: float, actual: float) -> None:
        """Replace the estimated tokens of a request by the actual ones."""
        self._accepted += actual > 0
        self.requests.record_usage(1, 1)
        self.tokens.record_usage(tokens, actual)

    def update_from_headers(self, headers: Mapping[str, str], now: float) -> None:
        """Update the limits from response headers."""
        if "x-ratelimit-limit-requests" in headers or "x-ratelimit-limit-tokens" in headers:
            limits = RateLimits.from_headers(headers)
            self.requests.learn(
                limits.limit_requests, limits.remaining_requests, limits.reset_requests, now
            )
            self.tokens.learn(
                limits.limit_tokens, limits.remaining_tokens, limits.reset_tokens, now
            )

    def on_success(self, sent_at: float) -> None:
        """Reset the backoff, since the service accepted a request."""
        if sent_at >= self._cut_at:
            self._refusals = 0

    def on_rate_limited(self, sent_at: float, retry_after_s: float | None, now: float) -> bool:
        """Pause all workers because a request was refused.

        Args:
            sent_at: When the request was sent.
            retry_after_s: The wait that the service requested.
            now: The time.

        Returns:
            Whether this is a new refusal: requests that were in flight at the last pause are
            refused for the same reason, and do not lengthen it.
        """
        if sent_at < self._cut_at:
            if retry_after_s:
                self.pause(retry_after_s, now)
            return False
        pause_s = retry_after_s or min(_INITIAL_PAUSE_S * 2.0**self._refusals, _MAX_PAUSE_S)
        self.pause(pause_s, now)
        self._measure(now - self._cut_at, now)
        self._cut_at = now
        self._refusals = min(self._refusals + 1, 10)
        self.requests.disable_burst()
        return True

    def _measure(self, elapsed_s: float, now: float) -> None:
        """Derive a limit of requests from those accepted since the last refusal."""
        accepted, self._accepted = self._accepted, 0
        is_unknown = self.requests.rate is None or self._is_measured
        if not is_unknown or self.tokens.rate is not None or accepted < _MIN_MEASURED:
            return
        if _MIN_MEASURED_S <= elapsed_s < inf:
            is_vain = elapsed_s < 2 * self._caution_s
            self._caution_s = min(self._caution_s * 2, _MAX_CAUTION_S) if is_vain else _CAUTION_S
            self._is_measured = True
            self.requests.set_rate(accepted / elapsed_s)
            self._grown_at = now + self._caution_s

    def pause(self, seconds: float, now: float) -> None:
        """Pause all workers."""
        self._paused_until = max(self._paused_until, now + min(seconds, MAX_WAIT_S))
