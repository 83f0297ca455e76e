"""Deterministic ids in the formats of the real service."""

import random
import string
from collections.abc import Mapping
from typing import Literal

__all__ = ["IdGenerator", "IdKind"]

IdKind = Literal[
    "batch",
    "batch_request",
    "chat_completion",
    "checkpoint",
    "completion",
    "custom_tool_call_item",
    "event",
    "file",
    "fine_tune",
    "function_call_item",
    "job",
    "line_request",
    "message_item",
    "model",
    "moderation",
    "part",
    "permission",
    "reasoning_item",
    "request",
    "response",
    "tool_call",
    "upload",
]

_ALPHANUMERIC = string.ascii_letters + string.digits
_HEX = "0123456789abcdef"

_FORMATS: dict[IdKind, tuple[str, int, str]] = {
    "batch": ("batch_", 32, _HEX),
    "batch_request": ("batch_req_", 32, _HEX),
    "chat_completion": ("chatcmpl-", 29, _ALPHANUMERIC),
    "checkpoint": ("ftckpt_", 24, _ALPHANUMERIC),
    "completion": ("cmpl-", 29, _ALPHANUMERIC),
    "custom_tool_call_item": ("ctc_", 48, _HEX),
    "event": ("ftevent-", 24, _ALPHANUMERIC),
    "file": ("file-", 24, _ALPHANUMERIC),
    "fine_tune": ("ft-", 24, _ALPHANUMERIC),
    "function_call_item": ("fc_", 48, _HEX),
    "job": ("ftjob-", 24, _ALPHANUMERIC),
    "line_request": ("req_", 32, _HEX),
    "message_item": ("msg_", 48, _HEX),
    "model": ("", 8, _ALPHANUMERIC),
    "moderation": ("modr-", 29, _ALPHANUMERIC),
    "part": ("part_", 24, _ALPHANUMERIC),
    "permission": ("cp_", 24, _ALPHANUMERIC),
    "reasoning_item": ("rs_", 48, _HEX),
    "request": ("req_", 32, _HEX),
    "response": ("resp_", 48, _HEX),
    "tool_call": ("call_", 24, _ALPHANUMERIC),
    "upload": ("upload_", 32, _HEX),
}


class IdGenerator:
    """Source of ids; each kind has a sequence of its own.

    Args:
        seed: Seed of all sequences.

    Example:
        ```python
        from tunesmith.service.core.ids import IdGenerator

        assert IdGenerator(seed=1).new("file") == IdGenerator(seed=1).new("file")
        ```
    """

    def __init__(self, seed: int = 0) -> None:
        self._seed = seed
        self._counters: dict[IdKind, int] = {}

    @property
    def counters(self) -> Mapping[IdKind, int]:
        """Number of draws from each sequence."""
        return dict(self._counters)

    def restore_counters(self, counters: Mapping[IdKind, int]) -> None:
        """Advance each sequence at least as far as in `counters`."""
        for kind, number in counters.items():
            self._counters[kind] = max(number, self._counters.get(kind, 0))

    def new(self, kind: IdKind) -> str:
        """Return the next id of a kind."""
        prefix, length, alphabet = _FORMATS[kind]
        return prefix + "".join(self._rng(kind).choices(alphabet, k=length))

    def number(self, kind: IdKind, limit: int) -> int:
        """Draw a number from 0 to `limit`, exclusive."""
        return self._rng(kind).randrange(limit)

    def _rng(self, kind: IdKind) -> random.Random:
        # A seed for each draw, so that the state of a sequence is one number.
        self._counters[kind] = number = self._counters.get(kind, 0) + 1
        return random.Random(f"{self._seed}:{kind}:{number}")  # noqa: S311 - not a secret
