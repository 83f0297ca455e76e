"""Outcomes of attempts to send a row."""

from dataclasses import dataclass
from enum import StrEnum

from tunesmith.batch.core.ledger import Usage
from tunesmith.batch.core.states import Failure

__all__ = ["AttemptOutcome", "OutcomeKind"]


_NO_FAILURE = Failure("", "")


class OutcomeKind(StrEnum):
    """Consequences of an attempt for its row and for the job."""

    COMPLETED = "completed"
    INVALID = "invalid"
    """The answer was paid, but is not a valid one."""
    RATE_LIMITED = "rate_limited"
    UNREACHABLE = "unreachable"
    """No connection was established: the request never arrived."""
    UNAVAILABLE = "unavailable"
    """The service is down for a while, and announced how long."""
    TRANSIENT = "transient"
    FINAL = "final"
    QUOTA = "quota"
    FATAL = "fatal"
    """Every other request would fail the same way, such as for a wrong key."""


@dataclass(slots=True)
class AttemptOutcome:
    """Outcome of an attempt.

    Args:
        kind: The consequences.
        now: Monotonic time in seconds.
        usage: The tokens that were paid; None if the service did not report them.
        failure: The cause of anything but `COMPLETED`.
        is_final: Whether a retry of an `INVALID` answer would not help.
        may_be_paid: Whether the service may have charged for a failed attempt.
        retry_after_s: The wait that the service requested.
        backoff_s: The wait otherwise.
    """

    kind: OutcomeKind
    now: float
    usage: Usage | None = None
    failure: Failure = _NO_FAILURE
    is_final: bool = False
    may_be_paid: bool = False
    retry_after_s: float | None = None
    backoff_s: float = 0.5
