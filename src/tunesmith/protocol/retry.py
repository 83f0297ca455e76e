"""Whether a call that failed is tried again, and after what pause."""

from collections.abc import Mapping
from dataclasses import dataclass

from tunesmith.errors import BackendError
from tunesmith.protocol.retry_after import parse_retry_after_s

__all__ = ["RetryPolicy", "may_have_been_processed", "retry_delay"]

_MAX_RETRY_AFTER_S = 120.0
"""A service that asks for a longer pause is not waited for."""

_MAX_DOUBLINGS = 60
"""Any pause is at `max_s` long before; further doublings would overflow a float."""

_RETRYABLE_STATUSES = frozenset({408, 409, 429})


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Which pauses are made between attempts.

    Args:
        max_retries: How often a call is tried again.
        initial_s: The first pause, in seconds; each further one is twice as long.
        max_s: The longest pause, in seconds.
        jitter: The share of a pause that chance may take away, so that many callers spread.
    """

    max_retries: int = 2
    initial_s: float = 0.5
    max_s: float = 8.0
    jitter: float = 0.25


def retry_delay(
    policy: RetryPolicy,
    attempt: int,
    *,
    status: int | None = None,
    code: str | None = None,
    headers: Mapping[str, str] | None = None,
    error: BackendError | None = None,
    now: float,
    random: float,
) -> float | None:
    """Decide whether a failed attempt is followed by another.

    Args:
        policy: The pauses.
        attempt: How many attempts there were.
        status: The status of the answer, if one came.
        code: The service's error code.
        headers: The answer's headers, names in lower case.
        error: Why no answer came, if none did.
        now: The time in Unix seconds, for dates in `Retry-After`.
        random: A number from 0 to 1.

    Returns:
        The pause in seconds; None if there shall be no other attempt.

    Example:
        ```python
        from tunesmith.protocol.retry import RetryPolicy, retry_delay

        assert retry_delay(RetryPolicy(), 1, status=503, now=0.0, random=0.0) == 0.5
        assert retry_delay(RetryPolicy(), 1, status=404, now=0.0, random=0.0) is None
        ```
    """
    if attempt > policy.max_retries or code == "insufficient_quota":
        return None
    headers = headers or {}
    advice = headers.get("x-should-retry")
    passing = (
        status in _RETRYABLE_STATUSES or (status or 0) >= 500  # noqa: PLR2004
        if error is None
        else _is_transient(error)
    )
    if advice == "false" or not (passing or advice == "true"):
        return None
    asked_s = parse_retry_after_s(headers, now)
    # Zero, or a date that has passed, asks for no pause: many callers at once still need one.
    if asked_s:
        return asked_s if asked_s <= _MAX_RETRY_AFTER_S else None
    pause_s = min(policy.initial_s * 2.0 ** min(attempt - 1, _MAX_DOUBLINGS), policy.max_s)
    return pause_s * (1 - policy.jitter * random)


def may_have_been_processed(
    *, status: int | None = None, error: BackendError | None = None
) -> bool:
    """Tell whether a service may have done what was asked, though no answer says so.

    Args:
        status: The status of the answer, if one came.
        error: Why no answer came, if none did.
    """
    if error is not None:
        return error.phase not in {"connect", "connect_timeout", "closed"}
    return status in {408, 500, 502, 504}


def _is_transient(error: BackendError) -> bool:
    return error.phase != "closed"
