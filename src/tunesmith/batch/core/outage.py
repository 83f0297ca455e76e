"""Outages: the service is unavailable for a while, so the job waits and no row fails."""

from math import inf

__all__ = ["Outage"]

_INITIAL_PAUSE_S = 0.5
_MAX_PAUSE_S = 30.0
"""Each pause is twice the one before."""

_MAX_OUTAGE_S = 600.0
"""Maximum duration for a service that worked before, such as a restart."""

_MAX_ANNOUNCED_S = 3600.0
"""Maximum duration beyond the end that the service announced."""

_MIN_ROWS = 5
"""Number of consecutive rows that fail at their first attempt before that is an outage."""


class Outage:
    """Detection and length of an outage. While it lasts, one request at a time probes.

    Args:
        max_attempts: Attempts to reach a service that was never reached: its address may be wrong.
    """

    def __init__(self, max_attempts: int) -> None:
        self._max_attempts = max_attempts
        self._attempts = 0
        self._began_at: float | None = None
        self._cut_at = -inf
        self._announced_until = -inf
        self._suspects: set[str] = set()
        self.was_reached = False
        self.has_worked = False

    @property
    def is_on(self) -> bool:
        """Whether there is an outage."""
        return self._began_at is not None

    def on_answer(self) -> None:
        """End an outage: a row was answered or refused for good."""
        self.was_reached = self.has_worked = True
        self._end()

    def on_reachable(self) -> None:
        """Record that the service was reached."""
        self.was_reached = True

    def suspect(self, key: str, failures: int) -> bool:
        """Return whether the failure of a row belongs to an outage."""
        if self.is_on:
            return True
        if failures == 0 and self.has_worked:
            self._suspects.add(key)
        return len(self._suspects) >= _MIN_ROWS

    def on_failure(self, sent_at: float, now: float, announced_s: float | None) -> float | None:
        """Start or continue an outage.

        Args:
            sent_at: When the request was sent; those in flight together count once.
            now: The time.
            announced_s: Duration that the service announced.

        Returns:
            The seconds to wait; None if the job is to end.
        """
        if announced_s:
            self._announced_until = max(self._announced_until, now + announced_s)
        if sent_at < self._cut_at:
            return announced_s or 0.0
        if self._began_at is None:
            self._began_at = now
        self._attempts += 1
        self._cut_at = now
        if announced_s is not None:
            is_hopeless = now - self._began_at > max(announced_s, _MAX_ANNOUNCED_S)
        elif self.was_reached:
            is_hopeless = now - max(self._began_at, self._announced_until) > _MAX_OUTAGE_S
        else:
            is_hopeless = self._attempts > self._max_attempts
        if is_hopeless:
            return None
        pause_s = min(_INITIAL_PAUSE_S * 2.0 ** min(self._attempts - 1, 10), _MAX_PAUSE_S)
        return announced_s or pause_s

    def _end(self) -> None:
        self._began_at = None
        self._attempts = 0
        if self._suspects:
            self._suspects.clear()
