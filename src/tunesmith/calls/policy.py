"""What holds for every call of a client."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from tunesmith.protocol.retry import RetryPolicy

__all__ = ["DEFAULT_TIMEOUT_S", "CallPolicy"]

DEFAULT_TIMEOUT_S = 600.0
"""The official SDK's: a long completion takes minutes."""


@dataclass(frozen=True, slots=True)
class CallPolicy:
    """What holds for every call of a client.

    Args:
        timeout_s: Seconds that one attempt may take: to the end of the answer, or in a stream to
            the next event. None for no limit.
        deadline_s: Seconds that a whole call may take: attempts, pauses, polls and stream reads
            together. None for no limit.
        retry: Which failures are tried again, and after what pause.
        headers: Headers to send with every call, names in lower case.
    """

    timeout_s: float | None = DEFAULT_TIMEOUT_S
    deadline_s: float | None = None
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
