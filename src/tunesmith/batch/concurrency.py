"""Adaptive number of requests in flight."""

from math import inf

__all__ = ["MAX_CONCURRENCY", "AdaptiveConcurrency"]

MAX_CONCURRENCY = 256
"""Maximum of `auto`."""

_INITIAL = 16
_MIN_GAIN = 1.1
"""Minimum gain of throughput that justifies twice as many requests in flight."""

_ROUNDS_BETWEEN_PROBES = 8
_PROBE = 1.5
"""Number of rounds between probes, and the factor of a probe."""

_CAUTION_S = 5.0
_MAX_CAUTION_S = 60.0
_KNEE_SHARE = 0.85
"""Time after an overload during which the limit stays below this share of the overloaded level."""


class AdaptiveConcurrency:
    """Limit of requests in flight.

    `auto` doubles it with each round of answers as long as that brings more of them, and probes
    upward for ever. After an overload it is halved, and climbs back within seconds; where overloads
    follow each other it keeps below the level at which they happen for longer and longer.

    Args:
        maximum: The fixed limit, or `auto`.
    """

    def __init__(self, maximum: int | str) -> None:
        self._is_auto = maximum == "auto"
        self._has_worked = False
        self.maximum = MAX_CONCURRENCY if isinstance(maximum, str) else maximum
        self._limit = float(min(_INITIAL, self.maximum) if self._is_auto else self.maximum)
        self._cut_at = -inf
        self._knee = inf
        self._caution_s = _CAUTION_S
        self._recover_to = 0.0
        self._round_began_at: float | None = None
        self._answers = 0
        self._best = 0.0
        self._rounds = 0
        self._before_probe: float | None = None

    @property
    def limit(self) -> int:
        """Current maximum number of requests in flight."""
        return max(int(self._limit), 1)

    def on_success(self, now: float, in_flight: int) -> None:
        """Count a successful response.

        Args:
            now: The time.
            in_flight: Number of requests in flight, including this one.
        """
        self._has_worked = True
        if not self._is_auto and self._limit >= self.maximum:
            return
        if self._round_began_at is None:
            self._round_began_at = now
            return
        self._answers += 1
        # A round in which the limit was not used up proves nothing.
        if self._answers < 2 * self.limit or 2 * in_flight < self.limit:
            return
        took = now - self._round_began_at
        rate = self._answers / took if took > 0 else inf
        self._round_began_at, self._answers = now, 0
        self._end_round(now, rate)

    def on_overload(self, sent_at: float, now: float) -> None:
        """Halve the limit after an overload. Requests in flight together count once.

        While a service refuses everything, fewer requests would not help.
        """
        if sent_at < self._cut_at or not self._has_worked:
            return
        self._has_worked = False
        calm_s = now - self._cut_at
        self._caution_s = (
            min(self._caution_s * 2, _MAX_CAUTION_S) if calm_s < 2 * self._caution_s else _CAUTION_S
        )
        self._cut_at = now
        self._knee = self._limit
        self._recover_to = self._limit if self._is_auto else self.maximum
        self._limit = max(self._limit / 2, 1.0)
        self._best, self._rounds, self._before_probe = 0.0, 0, None
        self._round_began_at, self._answers = now, 0

    def _end_round(self, now: float, rate: float) -> None:
        ceiling = float(self.maximum)
        if now - self._cut_at < self._caution_s:
            ceiling = max(self._knee * _KNEE_SHARE, 1.0)
        if self._limit < self._recover_to:
            # It was good before: no proof is needed, only care.
            self._limit = min(max(self._limit * 1.5, self._limit + 1), self._recover_to, ceiling)
            return
        self._recover_to = 0.0
        if self._before_probe is not None and rate < self._best * _MIN_GAIN:
            self._limit, self._before_probe, self._rounds = self._before_probe, None, 0
        elif rate >= self._best * _MIN_GAIN:
            self._best, self._before_probe, self._rounds = rate, None, 0
            self._limit = min(self._limit * 2, ceiling)
        else:
            self._best += (rate - self._best) / 4
            self._rounds += 1
            if self._rounds >= _ROUNDS_BETWEEN_PROBES and self._limit < ceiling:
                self._before_probe = self._limit
                self._limit = min(self._limit * _PROBE, ceiling)
