"""The states of rows and shards, and the transitions between them.

The core changes a state only by these tables, and the diagrams in the documentation are drawn
from them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from tunesmith.batch.core.ledger import NOTHING, Usage

__all__ = [
    "ROW_TRANSITIONS",
    "SHARD_TRANSITIONS",
    "Failure",
    "OpenRow",
    "RowRecord",
    "RowState",
    "Shard",
    "ShardKind",
    "ShardState",
    "TransitionError",
    "draw_diagram",
]


class RowState(StrEnum):
    """How far a row has come."""

    QUEUED = "queued"
    PARKED = "parked"
    """It waits for a time of its own: the others go on."""
    IN_FLIGHT = "in_flight"
    IN_BATCH = "in_batch"
    LEFT = "left"
    """It has no outcome in this run, and is open for the next one."""
    ANSWERED = "answered"
    FAILED = "failed"


class ShardState(StrEnum):
    """How far the rows of one provider batch have come."""

    CUT = "cut"
    """Its input file is safe on disk."""
    UPLOADED = "uploaded"
    CREATING = "creating"
    """The batch is being created, and may exist."""
    DOUBTFUL = "doubtful"
    """The answer to the creation was lost: the batch is looked up."""
    RUNNING = "running"
    ENDED = "ended"
    """The batch is over, and its result files are read."""
    SETTLED = "settled"
    """Its results are written; rows without one are moved to other shards."""
    CLOSED = "closed"


ROW_TRANSITIONS: Mapping[RowState, Mapping[str, RowState]] = {
    RowState.QUEUED: {
        "sent": RowState.IN_FLIGHT,
        "put in a shard": RowState.IN_BATCH,
        "rejected": RowState.FAILED,
        "stopped": RowState.LEFT,
    },
    RowState.PARKED: {"due": RowState.QUEUED, "stopped": RowState.LEFT},
    RowState.IN_FLIGHT: {
        "answered": RowState.ANSWERED,
        "refused for good": RowState.FAILED,
        "to be repeated": RowState.PARKED,
        "cut off": RowState.LEFT,
    },
    RowState.IN_BATCH: {
        "answered": RowState.ANSWERED,
        "refused for good": RowState.FAILED,
        "taken out": RowState.QUEUED,
    },
    RowState.LEFT: {},
    RowState.ANSWERED: {},
    RowState.FAILED: {},
}

SHARD_TRANSITIONS: Mapping[ShardState, Mapping[str, ShardState]] = {
    ShardState.CUT: {"uploaded": ShardState.UPLOADED, "reclaimed": ShardState.SETTLED},
    ShardState.UPLOADED: {"creating": ShardState.CREATING, "reclaimed": ShardState.SETTLED},
    ShardState.CREATING: {
        "created": ShardState.RUNNING,
        "refused": ShardState.UPLOADED,
        "answer lost": ShardState.DOUBTFUL,
        "reclaimed": ShardState.SETTLED,
    },
    ShardState.DOUBTFUL: {"found": ShardState.RUNNING, "not found": ShardState.UPLOADED},
    ShardState.RUNNING: {"over": ShardState.ENDED, "gone": ShardState.SETTLED},
    ShardState.ENDED: {"read": ShardState.SETTLED, "not whole": ShardState.RUNNING},
    ShardState.SETTLED: {"emptied": ShardState.CLOSED},
    ShardState.CLOSED: {},
}


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a row failed.

    Args:
        code: The service's code, or the job's own.
        message: The service's words, or the job's own.
    """

    code: str
    message: str


class TransitionError(AssertionError):
    """A transition that the tables do not have: a defect of the core or of its shell."""


@dataclass(slots=True)
class OpenRow:
    """A row without an outcome, as far as this run has read it.

    Args:
        key: Its name in all files.
        number: Its position in the source, counted from 0.
        cost: The most it can cost; None if nothing bounds that.
        tokens: Estimated input tokens.
        max_completion: Most output tokens; None if nothing bounds them.
        size_bytes: Size of the request.
        payload: The request itself; opaque here.
        body: What is sent; it changes when an answer is to be corrected.
    """

    key: str
    number: int
    cost: Usage | None = None
    tokens: int = 1
    max_completion: int | None = None
    size_bytes: int = 0
    payload: Any = None
    body: bytes = b""
    state: RowState = RowState.QUEUED
    attempts: int = 0
    failures: int = 0
    refusals: int = 0
    usage: Usage = NOTHING
    reserved: Usage = NOTHING
    estimate: float = 0.0
    sent_at: float = 0.0
    is_doubtful: bool = False

    def move(self, transition: str) -> None:
        """Change the state by a transition of the table."""
        try:
            self.state = ROW_TRANSITIONS[self.state][transition]
        except KeyError:
            raise TransitionError(f"row {self.key!r}: {self.state} and {transition!r}") from None


@dataclass(slots=True)
class RowRecord:
    """Facts about a key beyond the rows at hand: from the journal, the files and the shards.

    Args:
        state: `QUEUED` for a row that may be sent, else how far it has come.
        is_sent: Whether an attempt was begun whose end no entry records.
        is_doubtful: Whether an attempt may have been paid without an outcome.
        is_fresh: Whether it got its outcome in this run.
        reserved: What was reserved for the attempt that `is_sent`.
        shard: The shard of a row that is `IN_BATCH`.
        is_read: Whether a result of that shard was read and paid, and the row is to be repeated.
        is_at_hand: Whether this run took it from a shard, so that the source has it once more.
    """

    state: RowState = RowState.QUEUED
    is_sent: bool = False
    is_doubtful: bool = False
    is_fresh: bool = False
    reserved: Usage = NOTHING
    shard: int = 0
    is_read: bool = False
    is_at_hand: bool = False


@dataclass(frozen=True, slots=True)
class ShardKind:
    """What all rows of a shard have in common."""

    url: str
    model: str
    attempt: int = 1


@dataclass(slots=True)
class Shard:
    """The rows of one provider batch.

    Args:
        number: Its number within the job.
        kind: What its rows have in common.
        rows: How many rows it has.
        tokens: Estimated input tokens of all rows.
        reserved: Reserved for those of its rows that have no outcome.
        cut_at: When it was cut, in Unix seconds.
    """

    number: int
    kind: ShardKind
    rows: int
    tokens: int
    reserved: Usage = NOTHING
    cut_at: float = 0.0
    state: ShardState = ShardState.CUT
    file_id: str | None = None
    batch_id: str | None = None
    output_file_id: str | None = None
    error_file_id: str | None = None
    status: str = ""
    finished: int = 0
    """Rows that were open and got their outcome."""
    looks: int = 0
    """Looks in vain: at a batch that is gone, or at files that are not whole."""
    lookups: int = 0
    claimed: int = 0
    """Results that the service claims to have, by `request_counts`."""
    is_counted: bool = False
    is_cancelling: bool = False
    is_busy: bool = False
    """Whether the shell is at work on it."""
    owed: Usage = NOTHING
    """To be reserved again before the next creation: the last one was perhaps paid."""
    creates: int = 0
    checks: int = 0
    """Look-ups for duplicates that are still to be made."""
    not_before: float = 0.0
    has_unknown_usage: bool = False
    """Whether an answer did not tell its usage."""
    next_attempt: int = 0
    """Attempt number of the rows that are sent again; 0 if all of them fail."""
    failure: Failure | None = None
    """Why rows without a result fail."""
    line_failures: dict[int, Failure] = field(default_factory=dict[int, "Failure"])
    """Why single lines of the input file fail, by line number."""

    def move(self, transition: str) -> None:
        """Change the state by a transition of the table."""
        try:
            self.state = SHARD_TRANSITIONS[self.state][transition]
        except KeyError:
            raise TransitionError(f"shard {self.number}: {self.state} and {transition!r}") from None


def draw_diagram(transitions: Mapping[Any, Mapping[str, Any]]) -> str:
    """Return the Mermaid state diagram of a table of transitions."""
    lines = ["stateDiagram-v2"]
    for state, following in transitions.items():
        lines += [f"    {state} --> {after}: {label}" for label, after in following.items()]
        lines += [] if following else [f"    {state} --> [*]"]
    return "\n".join(lines) + "\n"
