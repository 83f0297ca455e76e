"""Ids in the forms of the real service, the same ones for the same seed."""

import random
import string
from collections.abc import Mapping
from typing import Literal

__all__ = ["Ids", "Kind"]

Kind = Literal[
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

_FORMS: dict[Kind, tuple[str, int, str]] = {
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


class Ids:
    """Makes ids; each kind has its own sequence, so that one does not disturb the others.

    Args:
        seed: The same seed gives the same ids.

    Example:
        ```python
        from tunesmith.service.core.ids import Ids

        assert Ids(seed=1).new("file") == Ids(seed=1).new("file")
        ```
    """

    def __init__(self, seed: int = 0) -> None:
        self._seed = seed
        self._drawn: dict[Kind, int] = {}

    @property
    def drawn(self) -> Mapping[Kind, int]:
        """How far each sequence is: how much was drawn from it."""
        return dict(self._drawn)

    def go_on_from(self, drawn: Mapping[Kind, int]) -> None:
        """Let each sequence go on from where it was when `drawn` was looked at, or further."""
        for kind, number in drawn.items():
            self._drawn[kind] = max(number, self._drawn.get(kind, 0))

    def new(self, kind: Kind) -> str:
        """Make the next id of a kind."""
        prefix, length, alphabet = _FORMS[kind]
        return prefix + "".join(self._chance(kind).choices(alphabet, k=length))

    def number(self, kind: Kind, limit: int) -> int:
        """Draw a number from 0 up to, but without, a limit."""
        return self._chance(kind).randrange(limit)

    def _chance(self, kind: Kind) -> random.Random:
        # Each draw has a seed of its own, so that a sequence's state is a number.
        self._drawn[kind] = number = self._drawn.get(kind, 0) + 1
        return random.Random(f"{self._seed}:{kind}:{number}")  # noqa: S311 - no secrets
