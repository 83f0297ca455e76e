"""Retries: which failures are transient, and how long to wait."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from math import isfinite

from tunesmith.errors import BackendError

__all__ = ["RetryPolicy", "may_have_been_processed", "parse_retry_after", "retry_delay"]

_MAX_RETRY_AFTER_S = 120.0
"""Calls are not retried if the service asks for a longer pause."""

_MAX_DOUBLINGS = 60
"""Pauses reach `max_s` long before; more doublings would overflow a float."""

_RETRYABLE_STATUSES = frozenset({408, 409, 429})

_UNPROCESSED_STATUSES = frozenset({501, 521, 523, 525, 526})
"""5xx statuses of requests that were not processed: not implemented, or the origin unreachable."""

_NEVER_SENT = frozenset({"connect", "connect_timeout", "closed"})


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Number of retries, and pauses between them.

    Args:
        max_retries: Maximum number of retries of a call.
        initial_s: First pause in seconds, doubled for each further retry.
        max_s: Longest pause in seconds.
        jitter: Fraction of each pause that is random, to spread concurrent callers.
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
    """Return the pause before the next attempt of a failed call; None if it must not be retried.

    Args:
        policy: The retry policy.
        attempt: Number of attempts so far.
        status: The status of the response, if there was one.
        code: The service's error code.
        headers: The response headers, names in lower case.
        error: The connection error, if no response was received.
        now: Current Unix time, for dates in `Retry-After`.
        random: A random number from 0 to 1.

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
    if error is not None:
        is_transient = error.phase != "closed"
    else:
        is_transient = status is not None and (
            status in _RETRYABLE_STATUSES or (status >= 500 and status != 501)  # noqa: PLR2004
        )
    if advice == "false" or not (is_transient or advice == "true"):
        return None
    requested_s = parse_retry_after(headers, now)
    # 0 and dates in the past request no pause, but many concurrent callers still need one.
    if requested_s:
        return requested_s if requested_s <= _MAX_RETRY_AFTER_S else None
    pause_s = min(policy.initial_s * 2.0 ** min(attempt - 1, _MAX_DOUBLINGS), policy.max_s)
    return pause_s * (1 - policy.jitter * random)


def may_have_been_processed(
    *, status: int | None = None, error: BackendError | None = None
) -> bool:
    """Return whether the service may have processed a request although it failed.

    Args:
        status: The status of the response, if there was one.
        error: The connection error, if no response was received.
    """
    if error is not None:
        return error.phase not in _NEVER_SENT
    # Proxies answer for a service that may still finish, and 409 may come from a proxy's retry.
    return status is not None and (
        status in {408, 409} or (status >= 500 and status not in _UNPROCESSED_STATUSES)  # noqa: PLR2004
    )


def parse_retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Parse `retry-after-ms` or `Retry-After`: seconds, or an HTTP date.

    Args:
        headers: The response headers, names in lower case.
        now: Current Unix time.

    Returns:
        Seconds, at least 0; None if the headers are missing or invalid.
    """
    milliseconds = _parse_number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return max(milliseconds / 1000, 0.0)
    value = headers.get("retry-after")
    seconds = _parse_number(value)
    if seconds is not None or value is None:
        return None if seconds is None else max(seconds, 0.0)
    try:
        date = parsedate_to_datetime(value)
    except (OverflowError, ValueError):
        return None
    return max(date.replace(tzinfo=date.tzinfo or UTC).timestamp() - now, 0.0)


def _parse_number(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if isfinite(number) else None
