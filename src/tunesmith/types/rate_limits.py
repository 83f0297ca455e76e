"""Placeholder until protocol's parser moves here."""

from collections.abc import Mapping


class RateLimits:
    @classmethod
    def from_headers(cls, headers: Mapping[str, str]) -> "RateLimits":
        return cls()
