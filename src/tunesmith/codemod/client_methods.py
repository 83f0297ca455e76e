"""Methods of the client, by which calls of the official SDK are recognised and checked."""

import inspect
from collections.abc import Sequence
from functools import cache
from typing import Any

from tunesmith._sdk_names import INSTEAD, find_hint
from tunesmith.client import AsyncClient

__all__ = ["NEW_CLIENT", "find_method", "find_method_suffix", "hint_for_member", "parameters_of"]

NEW_CLIENT = AsyncClient
"""Class of the client, whose parameters its constructor takes."""

_RAW = "with_raw_response"
_MIN_PARTS = 2


@cache
def _client() -> AsyncClient:
    return AsyncClient(api_key="none")


def find_method(parts: Sequence[str]) -> Any:
    """Return a method or resource of the client; None if there is none.

    Args:
        parts: Its names, such as `["chat", "completions", "create"]`.
    """
    value: Any = _client()
    for part in parts:
        if part != _RAW:
            value = getattr(value, part, None)
    return value if parts else None


def find_method_suffix(parts: Sequence[str]) -> list[str] | None:
    """Return the longest end of a dotted name that is a method of the client.

    Args:
        parts: The names, such as `["self", "api", "chat", "completions", "create"]`.
    """
    for start in range(1, len(parts) - _MIN_PARTS + 1):
        names = [part for part in parts[start:] if part != "beta"]
        if len(names) >= _MIN_PARTS and callable(find_method(names)):
            return list(parts[start:])
    return None


def hint_for_member(parts: Sequence[str]) -> str | None:
    """Return what to write instead of the first name that is missing; None if all are there.

    Args:
        parts: Names of a dotted name below the client.
    """
    if parts[0] == "beta" and len(parts) > 1:
        if INSTEAD["beta"].get(parts[1]) == f"client.{parts[1]}":
            return hint_for_member(parts[1:])
        return find_hint(("beta",), parts[1]) or find_hint(("client",), "beta")
    for depth, part in enumerate(parts):
        if part != _RAW and find_method(parts[: depth + 1]) is None:
            owners = ("client",) if depth == 0 else ("webhooks", "resource")
            return find_hint(owners, part) or f"the client has no {'.'.join(parts[: depth + 1])}"
    return None


def parameters_of(method: Any) -> frozenset[str]:
    """Return the parameters of a method."""
    return frozenset(inspect.signature(method).parameters)
