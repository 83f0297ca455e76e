"""Deadlines of calls."""

from contextlib import AbstractContextManager, nullcontext
from types import TracebackType

from tunesmith.backends.base import Clock, is_marked_unsent
from tunesmith.errors import APITimeoutError, DeadlineExceededError

__all__ = ["Deadline", "TimeLimitError"]

_TIMERS_EARLY_S = 0.02
"""Timers may expire this much early: the clock of uvloop has a resolution of milliseconds, and does
not advance during an iteration of the loop.
"""


class TimeLimitError(Exception):
    """Expired scope of a `Deadline`, unlike a TimeoutError of the user's code.

    Args:
        unsent: Whether the backend marked the cancellation as raised before anything was sent.
    """

    def __init__(self, *, unsent: bool) -> None:
        super().__init__()
        self.unsent = unsent


class _Scope:
    """Time limit of a block that raises `TimeLimitError`."""

    __slots__ = ("_limit",)

    def __init__(self, limit: AbstractContextManager[object]) -> None:
        self._limit = limit

    def __enter__(self) -> None:
        self._limit.__enter__()

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        try:
            return self._limit.__exit__(exc_type, exc, traceback)
        except TimeoutError:
            raise TimeLimitError(unsent=is_marked_unsent(exc)) from None


class Deadline:
    """Deadline of a call, including its attempts, pauses, polls and stream reads.

    Args:
        clock: The clock.
        seconds: Seconds until the deadline; None for no deadline.
        operation: Name of the operation, for errors.
    """

    __slots__ = ("_end", "clock", "operation", "seconds")

    def __init__(self, clock: Clock, seconds: float | None, operation: str) -> None:
        self.clock = clock
        self.seconds = seconds
        self.operation = operation
        self._end = None if seconds is None else clock.monotonic() + seconds

    @property
    def remaining_s(self) -> float | None:
        """Seconds left; None without a deadline."""
        return None if self._end is None else self._end - self.clock.monotonic()

    def scope(self, timeout_s: float | None) -> AbstractContextManager[object]:
        """Raise TimeLimitError in a block when the timeout or the deadline passes.

        Args:
            timeout_s: Seconds the block may take; None for no timeout.
        """
        remaining_s = self.remaining_s
        if remaining_s is not None:
            timeout_s = max(0, remaining_s if timeout_s is None else min(remaining_s, timeout_s))
        return nullcontext() if timeout_s is None else _Scope(self.clock.fail_after(timeout_s))

    def error(
        self, timeout_s: float | None, attempts: int, *, progress: str = "no response"
    ) -> APITimeoutError | DeadlineExceededError:
        """Return the error for an expired scope, depending on which limit passed."""
        remaining_s = self.remaining_s
        if timeout_s is None or (remaining_s is not None and remaining_s <= _TIMERS_EARLY_S):
            return self._exceeded("waiting for the service", attempts)
        return APITimeoutError(
            f"{self.operation}: {progress} within the timeout of {timeout_s:g} s; to wait longer, "
            "set timeout=",
            operation=self.operation,
            attempts=attempts,
        )

    def _exceeded(self, activity: str, attempts: int) -> DeadlineExceededError:
        return DeadlineExceededError(
            f"{self.operation}: the deadline of {self.seconds:g} s passed while {activity}",
            operation=self.operation,
            deadline=self.seconds,
            attempts=attempts,
        )

    async def sleep(self, seconds: float, *, activity: str, attempts: int = 0) -> None:
        """Sleep, or raise an error at once if the deadline would pass meanwhile.

        Args:
            seconds: Seconds to sleep.
            activity: Purpose of the pause, for the error, such as "waiting to retry".
            attempts: Number of times the request was sent.

        Raises:
            DeadlineExceededError: The deadline would pass.
        """
        remaining_s = self.remaining_s
        if remaining_s is not None and seconds >= remaining_s:
            raise self._exceeded(activity, attempts)
        await self.clock.sleep(seconds)
