"""States of rows and shards, and the transitions between them.

The core changes a state only by these tables; the diagrams in the documentation are generated from
them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from tunesmith.batch.core.ledger import NOTHING, Ledger, Usage

__all__ = [
    "FINISHED",
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
    "format_transitions",
]


class RowState(StrEnum):
    """Progress of a row."""

    QUEUED = "queued"
    PARKED = "parked"
    """It waits for a time of its own, while other rows are sent."""
    IN_FLIGHT = "in_flight"
    IN_BATCH = "in_batch"
    PENDING = "pending"
    """It has no outcome in this run, and is open for the next one."""
    COMPLETED = "completed"
    FAILED = "failed"


class ShardState(StrEnum):
    """Progress of the rows of one provider batch."""

    WRITTEN = "written"
    """Its input file is safe on disk."""
    UPLOADED = "uploaded"
    CREATING = "creating"
    """The batch is being created, and may exist."""
    UNCONFIRMED = "unconfirmed"
    """The response to the creation was lost: the batch is looked up."""
    RUNNING = "running"
    ENDED = "ended"
    """The batch is over, and its result files are read."""
    COLLECTED = "collected"
    """Its results are written; rows without one are moved to other shards."""
    CLOSED = "closed"


ROW_TRANSITIONS: Mapping[RowState, Mapping[str, RowState]] = {
    RowState.QUEUED: {
        "send": RowState.IN_FLIGHT,
        "add to shard": RowState.IN_BATCH,
        "reject": RowState.FAILED,
        "stop": RowState.PENDING,
    },
    RowState.PARKED: {"due": RowState.QUEUED, "stop": RowState.PENDING},
    RowState.IN_FLIGHT: {
        "complete": RowState.COMPLETED,
        "fail": RowState.FAILED,
        "retry": RowState.PARKED,
        "abandon": RowState.PENDING,
    },
    RowState.IN_BATCH: {
        "complete": RowState.COMPLETED,
        "fail": RowState.FAILED,
        "retry": RowState.QUEUED,
    },
    RowState.PENDING: {},
    RowState.COMPLETED: {},
    RowState.FAILED: {},
}

SHARD_TRANSITIONS: Mapping[ShardState, Mapping[str, ShardState]] = {
    ShardState.WRITTEN: {"upload": ShardState.UPLOADED, "reclaim": ShardState.COLLECTED},
    ShardState.UPLOADED: {"create": ShardState.CREATING, "reclaim": ShardState.COLLECTED},
    ShardState.CREATING: {
        "created": ShardState.RUNNING,
        "refused": ShardState.UPLOADED,
        "response lost": ShardState.UNCONFIRMED,
        "reclaim": ShardState.COLLECTED,
    },
    ShardState.UNCONFIRMED: {
        "found": ShardState.RUNNING,
        "not found": ShardState.UPLOADED,
        "gone": ShardState.COLLECTED,
    },
    ShardState.RUNNING: {"ended": ShardState.ENDED, "gone": ShardState.COLLECTED},
    ShardState.ENDED: {"collect": ShardState.COLLECTED, "incomplete": ShardState.RUNNING},
    ShardState.COLLECTED: {"close": ShardState.CLOSED},
    ShardState.CLOSED: {},
}

FINISHED = frozenset({RowState.COMPLETED, RowState.FAILED})


@dataclass(frozen=True, slots=True)
class Failure:
    """Cause of a failure.

    Args:
        code: Code of the service or of the job.
        message: Message of the service or of the job.
    """

    code: str
    message: str


class TransitionError(AssertionError):
    """Transition that the tables do not have: a bug of the core or of its shell."""


@dataclass(slots=True)
class OpenRow:
    """Row without an outcome that this run has read.

    Args:
        key: Its key in all files.
        number: Its position in the source, counted from 0.
        cost: Its maximum cost; None if unbounded.
        tokens: Estimated input tokens.
        max_completion: Maximum output tokens; None if unbounded.
        size_bytes: Size of the request.
        payload: The request itself; opaque here.
        body: Body of the request; it changes when an answer is to be corrected.
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
    is_unconfirmed: bool = False

    def move(self, transition: str) -> None:
        """Change the state by a transition of the table."""
        try:
            self.state = ROW_TRANSITIONS[self.state][transition]
        except KeyError:
            raise TransitionError(f"row {self.key!r}: {self.state} and {transition!r}") from None


@dataclass(slots=True)
class RowRecord:
    """Record of a key from the journal, the output files and the shards.

    Args:
        state: `QUEUED` for a row that may be sent.
        is_sent: Whether an attempt has started whose end is not in the journal.
        is_unconfirmed: Whether an attempt may have been paid without an outcome.
        is_fresh: Whether it got its outcome in this run.
        reserved: What was reserved for the attempt that `is_sent`.
        shard: The shard of a row that is `IN_BATCH`.
        is_read: Whether a result of that shard was read and paid, and the row is retried.
        is_requeued: Whether this run took it from a shard; the source contains it again.
    """

    state: RowState = RowState.QUEUED
    is_sent: bool = False
    is_unconfirmed: bool = False
    is_fresh: bool = False
    reserved: Usage = NOTHING
    shard: int = 0
    is_read: bool = False
    is_requeued: bool = False


@dataclass(frozen=True, slots=True)
class ShardKind:
    """Common properties of all rows of a shard."""

    url: str
    model: str
    attempt: int = 1


@dataclass(slots=True)
class Shard:
    """Rows of one provider batch.

    Args:
        number: Its number within the job.
        kind: Common properties of its rows.
        rows: Number of rows.
        tokens: Estimated input tokens of all rows.
        reserved: Reserved for those of its rows that have no outcome.
        written_at: Unix time in seconds of its file.
    """

    number: int
    kind: ShardKind
    rows: int
    tokens: int
    reserved: Usage = NOTHING
    written_at: float = 0.0
    state: ShardState = ShardState.WRITTEN
    file_id: str | None = None
    batch_id: str | None = None
    output_file_id: str | None = None
    error_file_id: str | None = None
    status: str = ""
    finished: int = 0
    """Rows that were open and got their outcome."""
    vain_polls: int = 0
    """Polls of a batch that is gone, or whose files are incomplete."""
    lookups: int = 0
    claimed: int = 0
    """Number of results by `request_counts`."""
    completed: int = 0
    """Number of answers among them."""
    is_counted: bool = False
    is_cancelling: bool = False
    is_busy: bool = False
    """Whether the shell works on it."""
    owed: Usage = NOTHING
    """Reserved again before the next creation: the previous one was perhaps paid."""
    creates: int = 0
    checks: int = 0
    """Remaining look-ups for duplicates."""
    not_before: float = 0.0
    has_unknown_usage: bool = False
    """Whether an answer has no usage."""
    next_attempt: int = 0
    """Attempt number of the rows that are retried; 0 if all of them fail."""
    failure: Failure | None = None
    """Cause of failure of rows without a result."""
    line_failures: dict[int, Failure] = field(default_factory=dict[int, "Failure"])
    """Cause of failure of lines of the input file, by line number."""

    def move(self, transition: str) -> None:
        """Change the state by a transition of the table."""
        try:
            self.state = SHARD_TRANSITIONS[self.state][transition]
        except KeyError:
            raise TransitionError(f"shard {self.number}: {self.state} and {transition!r}") from None

    def pay(self, ledger: Ledger, usage: Usage) -> None:
        """Pay for a row from the reservation of the shard."""
        reserved = usage.capped(self.reserved)
        ledger.pay(reserved, usage)
        self.reserved -= reserved


def format_transitions(transitions: Mapping[Any, Mapping[str, Any]]) -> str:
    """Return a table of transitions as Markdown."""
    lines = ["| State | Event → next state |", "|---|---|"]
    for state, following in transitions.items():
        events = [f"{label} → `{after}`" for label, after in following.items()]
        lines.append(f"| `{state}` | {'; '.join(events) or 'final'} |")
    return "\n".join(lines) + "\n"
