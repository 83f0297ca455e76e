"""The end of a call, and the time that is left until then."""

from contextlib import AbstractContextManager, nullcontext

from tunesmith.backends.base import Clock
from tunesmith.errors import APITimeoutError, DeadlineExceeded

__all__ = ["Deadline"]

_TIMERS_EARLY_S = 0.02
"""A limit may be found out so much before its time: the clock of uvloop counts whole milliseconds,
and stands still while a step of the loop takes. With less left, nothing would be done in time.
"""


class Deadline:
    """The end of a call: its attempts, pauses, polls and stream reads together.

    Args:
        clock: The clock to go by.
        seconds: How long the call may take; None for ever.
        operation: The operation's name, for the errors.
    """

    __slots__ = ("_at", "clock", "operation", "seconds")

    def __init__(self, clock: Clock, seconds: float | None, operation: str) -> None:
        self.clock = clock
        self.seconds = seconds
        self.operation = operation
        self._at = None if seconds is None else clock.monotonic() + seconds

    @property
    def left_s(self) -> float | None:
        """Seconds that are left; None without a limit."""
        return None if self._at is None else self._at - self.clock.monotonic()

    def limit(self, timeout_s: float | None) -> AbstractContextManager[object]:
        """Raise TimeoutError in a block once the timeout, or the whole call's time, is over.

        Args:
            timeout_s: Seconds that the block may take; None for no limit of its own.
        """
        left = self.left_s
        if left is not None and (timeout_s is None or left < timeout_s):
            timeout_s = max(left, 0)
        return nullcontext() if timeout_s is None else self.clock.fail_after(timeout_s)

    def error(
        self, timeout_s: float | None, attempts: int, *, what_came: str = "no answer"
    ) -> APITimeoutError | DeadlineExceeded:
        """Tell which of the two limits has passed, and what came meanwhile."""
        left = self.left_s
        if timeout_s is None or (left is not None and left <= _TIMERS_EARLY_S):
            return self.exceeded("waiting for the service", attempts)
        return APITimeoutError(
            f"{self.operation}: {what_came} within the timeout of {timeout_s:g} s; a longer one is "
            "set by `timeout`",
            operation=self.operation,
            attempts=attempts,
        )

    def exceeded(self, doing: str, attempts: int = 0) -> DeadlineExceeded:
        """Make the error that says what was being done when the time was up."""
        return DeadlineExceeded(
            f"{self.operation}: the deadline of {self.seconds:g} s passed while {doing}",
            operation=self.operation,
            deadline_s=self.seconds,
            attempts=attempts,
        )

    async def sleep(self, seconds: float, *, doing: str, attempts: int = 0) -> None:
        """Wait; a wait that would outlast the deadline is not begun.

        Args:
            seconds: How long to wait.
            doing: What the wait is for, for the error: "waiting to try again".
            attempts: How many times the request was sent.

        Raises:
            DeadlineExceeded: The time would be up before.
        """
        left = self.left_s
        if left is not None and seconds >= left:
            raise self.exceeded(doing, attempts)
        await self.clock.sleep(seconds)
