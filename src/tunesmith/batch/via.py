"""How the rows of a job are sent."""

from dataclasses import dataclass
from typing import Literal

from tunesmith.batch.shards import BatchLimits

__all__ = ["ProviderOptions", "Via", "patience_s"]

Via = Literal["live", "batch", "auto"]
"""One request each, by batches, or by batches as long as the deadline allows."""

_SHORTEST_FOR_BATCHES_S = 3600.0
_FOR_BATCHES = 0.75


@dataclass(frozen=True, slots=True)
class ProviderOptions:
    """How batches are made.

    Args:
        limits: How much the service takes.
        poll_s: Seconds between two looks at the batches.
        patience_s: Seconds after which what is not done is taken back; None for never.
    """

    limits: BatchLimits
    poll_s: float
    patience_s: float | None = None


def patience_s(via: Via, deadline_s: float | None) -> float | None:
    """How long batches may take, so that the rest can go live in time; None for any time.

    Args:
        via: How rows are sent.
        deadline_s: Seconds that the job may take.
    """
    if via != "auto" or deadline_s is None:
        return None
    return deadline_s * _FOR_BATCHES if deadline_s >= _SHORTEST_FOR_BATCHES_S else 0.0
