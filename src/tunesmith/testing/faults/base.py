"""What a fault is: a layer around the sending of one request."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import ClassVar

from tunesmith.backends.base import Clock
from tunesmith.protocol.message import Request, Response

__all__ = ["Fault", "FaultInvocation", "Send"]

Send = Callable[[Request], AbstractAsyncContextManager[Response]]
"""Sends a request, as `Backend.send` does."""


@dataclass(slots=True)
class FaultInvocation:
    """One call that a fault is to strike.

    Args:
        clock: The time of the backend.
        applies: Whether this call is to be struck at all.
        fired: Whether it was.
        reason: Why it was not.
    """

    clock: Clock
    applies: bool = True
    fired: bool = False
    reason: str = "the call never came so far"

    def mark_fired(self) -> None:
        """Note that it struck."""
        self.fired = True

    def mark_skipped(self, reason: str) -> None:
        """Note why it did not."""
        self.reason = reason


class Fault(ABC):
    """Something that goes wrong."""

    layer: ClassVar[int]
    """Where it happens between the service, at 0, and the caller."""
    observes_all_calls: ClassVar[bool] = False
    """Whether it looks at the calls that it does not strike as well."""

    @abstractmethod
    def __str__(self) -> str:
        """Say what goes wrong, in a few words."""

    @abstractmethod
    def wrap(self, send: Send, strike: FaultInvocation) -> Send:
        """Let it go wrong.

        Args:
            send: Sends the request, with what goes wrong nearer to the service.
            strike: Is told whether it did go wrong.
        """
