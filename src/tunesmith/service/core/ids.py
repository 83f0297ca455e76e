"""Ids in the forms of the real service, the same ones for the same seed."""

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
    "event",
    "file",
    "fine_tune",
    "job",
    "line_request",
    "model",
    "moderation",
    "part",
    "permission",
    "request",
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
    "event": ("ftevent-", 24, _ALPHANUMERIC),
    "file": ("file-", 24, _ALPHANUMERIC),
    "fine_tune": ("ft-", 24, _ALPHANUMERIC),
    "job": ("ftjob-", 24, _ALPHANUMERIC),
    "line_request": ("req_", 32, _HEX),
    "model": ("", 8, _ALPHANUMERIC),
    "moderation": ("modr-", 29, _ALPHANUMERIC),
    "part": ("part_", 24, _ALPHANUMERIC),
    "permission": ("cp_", 24, _ALPHANUMERIC),
    "request": ("req_", 32, _HEX),
    "tool_call": ("call_", 24, _ALPHANUMERIC),
    "upload": ("upload_", 32, _HEX),
}


class IdGenerator:
    """Makes ids; each kind has its own sequence, so that one does not disturb the others.

    Args:
        seed: The same seed gives the same ids.

    Example:
        ```python
        from tunesmith.service.core.ids import IdGenerator

        assert IdGenerator(seed=1).new("file") == IdGenerator(seed=1).new("file")
        ```
    """

    def __init__(self, seed: int = 0) -> None:
        self._seed = seed
        self._drawn: dict[IdKind, int] = {}

    @property
    def counters(self) -> Mapping[IdKind, int]:
        """How far each sequence is: how much was drawn from it."""
        return dict(self._drawn)

    def restore_counters(self, drawn: Mapping[IdKind, int]) -> None:
        """Let each sequence go on from where it was when `drawn` was looked at, or further."""
        for kind, number in drawn.items():
            self._drawn[kind] = max(number, self._drawn.get(kind, 0))

    def new(self, kind: IdKind) -> str:
        """Make the next id of a kind."""
        prefix, length, alphabet = _FORMATS[kind]
        return prefix + "".join(self._rng(kind).choices(alphabet, k=length))

    def number(self, kind: IdKind, limit: int) -> int:
        """Draw a number from 0 up to, but without, a limit."""
        return self._rng(kind).randrange(limit)

    def _rng(self, kind: IdKind) -> random.Random:
        # Each draw has a seed of its own, so that a sequence's state is a number.
        self._drawn[kind] = number = self._drawn.get(kind, 0) + 1
        return random.Random(f"{self._seed}:{kind}:{number}")  # noqa: S311 - no secrets
