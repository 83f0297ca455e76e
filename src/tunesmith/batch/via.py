"""How the rows of a job are sent."""

from dataclasses import dataclass
from typing import Literal

from tunesmith.batch.shards import BatchLimits

__all__ = ["BatchApiOptions", "DispatchMode", "batch_timeout_s"]

DispatchMode = Literal["live", "batch", "auto"]
"""One request each, by batches, or by batches as long as the deadline allows."""

_SHORTEST_FOR_BATCHES_S = 3600.0
_BATCH_SHARE_OF_DEADLINE = 0.75


@dataclass(frozen=True, slots=True)
class BatchApiOptions:
    """How batches are made.

    Args:
        limits: How much the service takes.
        poll_s: Seconds between two looks at the batches.
        batch_timeout_s: Seconds after which what is not done is taken back; None for never.
    """

    limits: BatchLimits
    poll_s: float
    batch_timeout_s: float | None = None


def batch_timeout_s(via: DispatchMode, deadline_s: float | None) -> float | None:
    """How long batches may take, so that the rest can go live in time; None for any time.

    Args:
        via: How rows are sent.
        deadline_s: Seconds that the job may take.
    """
    if via != "auto" or deadline_s is None:
        return None
    return deadline_s * _BATCH_SHARE_OF_DEADLINE if deadline_s >= _SHORTEST_FOR_BATCHES_S else 0.0
