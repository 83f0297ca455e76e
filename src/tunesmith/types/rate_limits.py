"""How many requests and tokens are left, as the service tells in its headers."""

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self

__all__ = ["RateLimits", "parse_reset_s"]

_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_COUNT = re.compile(r"-?\d{1,18}", re.ASCII)
_NUMBER = re.compile(r"\d+(?:\.\d+)?", re.ASCII)
_PIECE = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)", re.ASCII)


@dataclass(frozen=True, slots=True)
class RateLimits:
    """How many requests and tokens are left; None where the service does not tell.

    Args:
        limit_requests: Requests allowed in the service's period, mostly a minute.
        remaining_requests: Requests that are left.
        reset_requests_s: Seconds until all of them are there again.
        limit_tokens: Tokens allowed in the period.
        remaining_tokens: Tokens that are left.
        reset_tokens_s: Seconds until all of them are there again.
        limit_project_tokens: Tokens allowed to the project in the period.
        remaining_project_tokens: Tokens of the project that are left.
        reset_project_tokens_s: Seconds until all of them are there again.

    Source: https://platform.openai.com/docs/guides/rate-limits
    """

    limit_requests: int | None = None
    remaining_requests: int | None = None
    reset_requests_s: float | None = None
    limit_tokens: int | None = None
    remaining_tokens: int | None = None
    reset_tokens_s: float | None = None
    limit_project_tokens: int | None = None
    remaining_project_tokens: int | None = None
    reset_project_tokens_s: float | None = None

    @classmethod
    def from_headers(cls, headers: Mapping[str, str], now: float | None = None) -> Self:
        """Read the headers `x-ratelimit-*`.

        Args:
            headers: An answer's headers, names in lower case.
            now: The time in Unix seconds, for resets given as a time; the system's if None.
        """

        def count(name: str) -> int | None:
            text = headers.get(f"x-ratelimit-{name}", "")
            # Proxies count below zero when a limit is overdrawn.
            return max(int(text), 0) if _COUNT.fullmatch(text) else None

        def reset_s(name: str) -> float | None:
            return parse_reset_s(headers.get(f"x-ratelimit-reset-{name}"), now)

        return cls(
            limit_requests=count("limit-requests"),
            remaining_requests=count("remaining-requests"),
            reset_requests_s=reset_s("requests"),
            limit_tokens=count("limit-tokens"),
            remaining_tokens=count("remaining-tokens"),
            reset_tokens_s=reset_s("tokens"),
            limit_project_tokens=count("limit-project-tokens"),
            remaining_project_tokens=count("remaining-project-tokens"),
            reset_project_tokens_s=reset_s("project-tokens"),
        )


def parse_reset_s(text: str | None, now: float | None = None) -> float | None:
    """Read a duration as services write it: `1s`, `6m0s`, `120ms`, `2m59.56s`, or a time.

    Args:
        text: The header's value.
        now: The time in Unix seconds, from which an RFC 3339 time counts; the system's if None.

    Returns:
        Seconds, not below 0; None if it is no duration.

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
        return _until_s(text, now)
    return seconds if seconds < float("inf") else None


def _until_s(text: str, now: float | None) -> float | None:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return max(at.timestamp() - (time.time() if now is None else now), 0.0)
