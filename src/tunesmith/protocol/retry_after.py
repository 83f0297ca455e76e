"""How long a service asks to wait."""

from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime

__all__ = ["parse_retry_after_s"]


def parse_retry_after_s(headers: Mapping[str, str], now: float) -> float | None:
    """Read `retry-after-ms` or `Retry-After`: seconds, whole or not, or an HTTP date.

    Args:
        headers: The answer's headers, names in lower case.
        now: The time in Unix seconds.

    Returns:
        Seconds, not below 0; None if the service asks for nothing that can be understood.
    """
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return max(milliseconds / 1000, 0.0)
    value = headers.get("retry-after")
    seconds = _number(value)
    if seconds is not None or value is None:
        return None if seconds is None else max(seconds, 0.0)
    try:
        at = parsedate_to_datetime(value)
    except (OverflowError, ValueError):
        return None
    return max((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() - now, 0.0)


def _number(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if number == number and abs(number) != float("inf") else None  # noqa: PLR0124
