"""Base class of faults: a layer around the sending of one request."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import ClassVar

from tunesmith.backends.base import Clock
from tunesmith.protocol.message import Request, Response

__all__ = ["Fault", "FaultInvocation", "Send"]

Send = Callable[[Request], AbstractAsyncContextManager[Response]]
"""Function that sends a request, as `Backend.send` does."""


@dataclass(slots=True)
class FaultInvocation:
    """One call that passes through a fault.

    Args:
        clock: The clock of the backend.
        applies: Whether the fault is declared for this call.
        fired: Whether the fault happened.
        reason: Why the fault did not happen.
    """

    clock: Clock
    applies: bool = True
    fired: bool = False
    reason: str = "another fault or the caller ended the call first"


class Fault(ABC):
    """A failure to inject into calls."""

    layer: ClassVar[int]
    """Position between the service (0) and the caller."""
    observes_all_calls: ClassVar[bool] = False
    """Whether calls that the fault does not apply to pass through it as well."""

    @abstractmethod
    def __str__(self) -> str:
        """Describe the fault in a few words."""

    @abstractmethod
    def send(
        self, send: Send, invocation: FaultInvocation, request: Request
    ) -> AbstractAsyncContextManager[Response]:
        """Send a request and inject the fault.

        Args:
            send: Function that sends the request through the layers nearer to the service.
            invocation: Where to record whether the fault happened.
            request: The request.
        """
