"""Decisions of the core, which its shell executes in order.

They are not frozen: each row needs several, and creating a frozen one takes four times as long.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from tunesmith.batch.core.entries import Entry
from tunesmith.batch.core.states import Failure, OpenRow, Shard

__all__ = [
    "CancelDuplicate",
    "CloseFiles",
    "Decision",
    "Finish",
    "Record",
    "Send",
    "Skip",
    "Stop",
    "StopReason",
    "Sync",
    "Task",
    "WaitUntil",
    "Work",
    "WriteToShard",
]

StopReason = Literal["interrupted", "error", "failures", "budget", "deadline", "quota", "cancelled"]
"""Why a job ended early: it was stopped, an error ended it, too many rows failed, the next row
could exceed the budget, its deadline passed, the account has no quota left, or its batches were
cancelled."""


@dataclass(slots=True)
class Record:
    """Append an entry to the journal."""

    entry: Entry


@dataclass(slots=True)
class Sync:
    """Sync the output files, and then the journal, before the next decision."""


@dataclass(slots=True)
class Send:
    """Append `RowSent` to the journal, then send the row."""

    row: OpenRow


@dataclass(slots=True)
class Finish:
    """Write the outcome of a row: an answer, or a failure."""

    key: str
    row: OpenRow | None
    failure: Failure | None
    attempts: int


@dataclass(slots=True)
class Skip:
    """Pass over a row of the source that has its outcome, or is in a batch."""


@dataclass(slots=True)
class WaitUntil:
    """Wait until a time, or for another event if it is None; an event may come earlier."""

    time: float | None


@dataclass(slots=True)
class Stop:
    """Start no further request; those in flight are finished."""

    reason: StopReason
    message: str = ""


@dataclass(slots=True)
class WriteToShard:
    """Write a row to the open file of a shard."""

    row: OpenRow
    attempt: int


@dataclass(slots=True)
class CloseFiles:
    """Close all open files of shards."""


@dataclass(slots=True)
class CancelDuplicate:
    """Cancel a second batch of a shard."""

    batch_id: str


class Task(StrEnum):
    """Work on a shard."""

    UPLOAD = "upload"
    CREATE = "create"
    """Create the batch, with one attempt."""
    LOOK_UP = "look_up"
    """Find the batches of the shard in the service's list."""
    POLL = "poll"
    CANCEL = "cancel"
    DOWNLOAD = "download"
    """Read the result files."""
    SWEEP = "sweep"
    """Read the rows of the shard, and report those without an outcome."""
    DELETE_FILES = "delete_files"


@dataclass(slots=True)
class Work:
    """Start work on a shard."""

    task: Task
    shard: Shard


Decision = (
    Record
    | Sync
    | Send
    | Finish
    | Skip
    | WaitUntil
    | Stop
    | WriteToShard
    | CloseFiles
    | CancelDuplicate
    | Work
)
