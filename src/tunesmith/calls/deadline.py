"""The end of a call, and the time that is left until then."""

from contextlib import AbstractContextManager, nullcontext
from types import TracebackType

from tunesmith.backends.base import Clock, is_marked_unsent
from tunesmith.errors import APITimeoutError, DeadlineExceededError

__all__ = ["Deadline", "TimeLimitError"]

_TIMERS_EARLY_S = 0.02
"""A limit may be found out so much before its time: the clock of uvloop counts whole milliseconds,
and stands still while a step of the loop takes. With less left, nothing would be done in time.
"""


class TimeLimitError(Exception):
    """A scope of `Deadline` has expired, unlike a TimeoutError of the user's own code.

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
    def remaining_s(self) -> float | None:
        """Seconds that are left; None without a limit."""
        return None if self._at is None else self._at - self.clock.monotonic()

    def scope(self, timeout_s: float | None) -> AbstractContextManager[object]:
        """Raise TimeLimitError in a block once the timeout, or the whole call's time, is over.

        Args:
            timeout_s: Seconds that the block may take; None for no limit of its own.
        """
        left = self.remaining_s
        if left is not None and (timeout_s is None or left < timeout_s):
            timeout_s = max(left, 0)
        return nullcontext() if timeout_s is None else _Scope(self.clock.fail_after(timeout_s))

    def error(
        self, timeout_s: float | None, attempts: int, *, progress: str = "no answer"
    ) -> APITimeoutError | DeadlineExceededError:
        """Tell which of the two limits has passed, and what came meanwhile."""
        left = self.remaining_s
        if timeout_s is None or (left is not None and left <= _TIMERS_EARLY_S):
            return self.exceeded("waiting for the service", attempts)
        return APITimeoutError(
            f"{self.operation}: {progress} within the timeout of {timeout_s:g} s; a longer one is "
            "set by `timeout`",
            operation=self.operation,
            attempts=attempts,
        )

    def exceeded(self, activity: str, attempts: int = 0) -> DeadlineExceededError:
        """Make the error that says what was being done when the time was up."""
        return DeadlineExceededError(
            f"{self.operation}: the deadline of {self.seconds:g} s passed while {activity}",
            operation=self.operation,
            deadline=self.seconds,
            attempts=attempts,
        )

    async def sleep(self, seconds: float, *, activity: str, attempts: int = 0) -> None:
        """Wait; a wait that would outlast the deadline is not begun.

        Args:
            seconds: How long to wait.
            activity: What the wait is for, for the error: "waiting to retry".
            attempts: How many times the request was sent.

        Raises:
            DeadlineExceededError: The time would be up before.
        """
        left = self.remaining_s
        if left is not None and seconds >= left:
            raise self.exceeded(activity, attempts)
        await self.clock.sleep(seconds)
