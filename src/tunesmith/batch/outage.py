"""Whether the service is out of reach: then the whole job waits, and no row is given up."""

from math import inf

__all__ = ["OutageTracker"]

_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 30.0
"""Each pause is twice the one before."""

_LONGEST_S = 600.0
"""A service that was reached before may be gone for so long: a restart, a night's maintenance."""


class OutageTracker:
    """Keeps count of how often, and for how long, no connection came about.

    Such a request has never arrived, so it is no failure of its row.

    Args:
        max_attempts: How often it is tried again where the service was never reached: it may be an
            address that is wrong.
    """

    def __init__(self, max_attempts: int) -> None:
        self._tries = max_attempts
        self._missed = 0
        self._was_reached = False
        self._began_at: float | None = None
        self._cut_at = -inf

    def on_reachable(self) -> None:
        """Note that the service has answered, whatever it said."""
        self._was_reached = True
        self._began_at = None
        self._missed = 0

    def on_unreachable(self, sent_at: float, now: float) -> float | None:
        """Note a request that did not arrive.

        Args:
            sent_at: When it was sent; those that were under way together count once.
            now: The time.

        Returns:
            For how many seconds the job is to wait; None if it is to end.
        """
        if sent_at < self._cut_at:
            return 0.0
        if self._began_at is None:
            self._began_at = now
        self._missed += 1
        self._cut_at = now
        if self._was_reached:
            is_hopeless = now - self._began_at > _LONGEST_S
        else:
            is_hopeless = self._missed > self._tries
        if is_hopeless:
            return None
        return min(_FIRST_PAUSE_S * 2.0 ** min(self._missed - 1, 10), _LONGEST_PAUSE_S)
