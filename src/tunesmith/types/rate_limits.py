"""How many requests and tokens are left, as the service tells in its headers."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

__all__ = ["RateLimits", "parse_reset_s"]

_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_PIECE = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")


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

    Source: https://platform.openai.com/docs/guides/rate-limits
    """

    limit_requests: int | None = None
    remaining_requests: int | None = None
    reset_requests_s: float | None = None
    limit_tokens: int | None = None
    remaining_tokens: int | None = None
    reset_tokens_s: float | None = None

    @classmethod
    def from_headers(cls, headers: Mapping[str, str]) -> Self:
        """Read the headers `x-ratelimit-*`.

        Args:
            headers: An answer's headers, names in lower case.
        """

        def count(name: str) -> int | None:
            text = headers.get(f"x-ratelimit-{name}", "")
            # Proxies count below zero when a limit is overdrawn.
            return max(int(text), 0) if text.removeprefix("-").isdecimal() else None

        return cls(
            limit_requests=count("limit-requests"),
            remaining_requests=count("remaining-requests"),
            reset_requests_s=parse_reset_s(headers.get("x-ratelimit-reset-requests")),
            limit_tokens=count("limit-tokens"),
            remaining_tokens=count("remaining-tokens"),
            reset_tokens_s=parse_reset_s(headers.get("x-ratelimit-reset-tokens")),
        )


def parse_reset_s(text: str | None) -> float | None:
    """Read a duration as the service writes it: `1s`, `6m0s`, `120ms`, `2m59.56s`.

    Args:
        text: The header's value.

    Returns:
        Seconds; None if it is no duration.

    Example:
        ```python
        from tunesmith.types.rate_limits import parse_reset_s

        assert parse_reset_s("6m0s") == 360
        assert parse_reset_s("soon") is None
        ```
    """
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        pieces = _PIECE.findall(text)
        if "".join(number + unit for number, unit in pieces) != text:
            return None
        return sum(float(number) * _UNITS_S[unit] for number, unit in pieces)
    return seconds if 0 <= seconds < float("inf") else None
