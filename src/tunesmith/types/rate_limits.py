"""Rate limits, read from response headers."""

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self

_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_COUNT = re.compile(r"-?\d{1,18}", re.ASCII)
_NUMBER = re.compile(r"\d+(?:\.\d+)?", re.ASCII)
_PIECE = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)", re.ASCII)


@dataclass(frozen=True, slots=True)
class RateLimits:
    """Remaining requests and tokens; None for values that the service omits.

    Args:
        limit_requests: Requests allowed per period, mostly a minute.
        remaining_requests: Requests left in the period.
        reset_requests: Seconds until the request limit resets.
        limit_tokens: Tokens allowed per period.
        remaining_tokens: Tokens left in the period.
        reset_tokens: Seconds until the token limit resets.
        limit_project_tokens: Tokens allowed to the project per period.
        remaining_project_tokens: Tokens left to the project.
        reset_project_tokens: Seconds until the project limit resets.

    Source: https://platform.openai.com/docs/guides/rate-limits
    """

    limit_requests: int | None = None
    remaining_requests: int | None = None
    reset_requests: float | None = None
    limit_tokens: int | None = None
    remaining_tokens: int | None = None
    reset_tokens: float | None = None
    limit_project_tokens: int | None = None
    remaining_project_tokens: int | None = None
    reset_project_tokens: float | None = None

    @classmethod
    def from_headers(cls, headers: Mapping[str, str], now: float | None = None) -> Self:
        """Read the headers `x-ratelimit-*`.

        Args:
            headers: Response headers, names in lower case.
            now: Current Unix time, for resets given as a time; the system clock if None.
        """

        def count(name: str) -> int | None:
            text = headers.get(f"x-ratelimit-{name}", "")
            # Proxies report negative numbers when a limit is exceeded.
            return max(int(text), 0) if _COUNT.fullmatch(text) else None

        def reset(name: str) -> float | None:
            return parse_reset_s(headers.get(f"x-ratelimit-reset-{name}"), now)

        return cls(
            limit_requests=count("limit-requests"),
            remaining_requests=count("remaining-requests"),
            reset_requests=reset("requests"),
            limit_tokens=count("limit-tokens"),
            remaining_tokens=count("remaining-tokens"),
            reset_tokens=reset("tokens"),
            limit_project_tokens=count("limit-project-tokens"),
            remaining_project_tokens=count("remaining-project-tokens"),
            reset_project_tokens=reset("project-tokens"),
        )


def parse_reset_s(text: str | None, now: float | None = None) -> float | None:
    """Parse a duration such as `1s`, `6m0s`, `120ms` or `2m59.56s`, or an RFC 3339 time.

    Args:
        text: The header value.
        now: Current Unix time, subtracted from a time; the system clock if None.

    Returns:
        Seconds, at least 0; None if the text cannot be parsed.

    Example:
        ```python
        from tunesmith.types.rate_limits import parse_reset_s

        assert parse_reset_s("6m0s") == 360
        assert parse_reset_s("soon") is None
        ```
    """
    text = (text or "").strip()
    pieces = _PIECE.findall(text)
    if _NUMBER.fullmatch(text):
        seconds = float(text)
    elif pieces and "".join(number + unit for number, unit in pieces) == text:
        seconds = sum(float(number) * _UNITS_S[unit] for number, unit in pieces)
    else:
        return _seconds_until(text, now)
    return seconds if seconds < float("inf") else None


def _seconds_until(text: str, now: float | None) -> float | None:
    try:
        time_of_reset = datetime.fromisoformat(text)
    except ValueError:
        return None
    if time_of_reset.tzinfo is None:
        time_of_reset = time_of_reset.replace(tzinfo=UTC)
    return max(time_of_reset.timestamp() - (time.time() if now is None else now), 0.0)
