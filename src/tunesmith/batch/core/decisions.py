"""Decisions: everything that a core has its shell do, in order."""

from dataclasses import dataclass

from tunesmith.batch.core.entries import Entry
from tunesmith.batch.core.events import StopReason
from tunesmith.batch.core.states import Failure, OpenRow, Shard

__all__ = [
    "Cancel",
    "CancelDuplicate",
    "Create",
    "Decision",
    "DeleteFiles",
    "Download",
    "Finish",
    "LookUp",
    "Poll",
    "Record",
    "Seal",
    "Send",
    "Shelve",
    "Skip",
    "Stop",
    "Sweep",
    "Sync",
    "Upload",
    "WaitUntil",
]


@dataclass(frozen=True, slots=True)
class Record:
    """Append an entry to the journal."""

    entry: Entry


@dataclass(frozen=True, slots=True)
class Sync:
    """Make the output files and then the journal safe from a power loss, before going on."""


@dataclass(frozen=True, slots=True)
class Send:
    """Append the entry, then send the row."""

    row: OpenRow
    entry: Entry


@dataclass(frozen=True, slots=True)
class Finish:
    """Write the outcome of a row: an answer, or a failure."""

    key: str
    row: OpenRow | None
    failure: Failure | None
    attempts: int


@dataclass(frozen=True, slots=True)
class Skip:
    """Count a row that has its outcome, or is in a batch, as read."""

    row: OpenRow
    is_finished: bool


@dataclass(frozen=True, slots=True)
class WaitUntil:
    """Nothing can be sent before this time, or before another event if it is None."""

    time: float | None


@dataclass(frozen=True, slots=True)
class Stop:
    """The job ends; what is in flight is finished."""

    reason: StopReason
    message: str = ""


@dataclass(frozen=True, slots=True)
class Shelve:
    """Write a row to the open file of a shard."""

    row: OpenRow
    attempt: int


@dataclass(frozen=True, slots=True)
class Seal:
    """Cut all open files."""


@dataclass(frozen=True, slots=True)
class Upload:
    """Upload the input file of a shard."""

    shard: Shard


@dataclass(frozen=True, slots=True)
class Create:
    """Create the batch of a shard, with one attempt."""

    shard: Shard


@dataclass(frozen=True, slots=True)
class LookUp:
    """Find the batches of a shard in the service's list."""

    shard: Shard


@dataclass(frozen=True, slots=True)
class Poll:
    """Retrieve the batch of a shard."""

    shard: Shard


@dataclass(frozen=True, slots=True)
class Cancel:
    """Cancel the batch of a shard."""

    shard: Shard


@dataclass(frozen=True, slots=True)
class CancelDuplicate:
    """Cancel a second batch of a shard."""

    batch_id: str


@dataclass(frozen=True, slots=True)
class Download:
    """Read the result files of a shard."""

    shard: Shard


@dataclass(frozen=True, slots=True)
class Sweep:
    """Go through the rows of a shard that have no outcome."""

    shard: Shard


@dataclass(frozen=True, slots=True)
class DeleteFiles:
    """Delete a shard's local file, and its files at the service."""

    shard: Shard


Decision = (
    Record
    | Sync
    | Send
    | Finish
    | Skip
    | WaitUntil
    | Stop
    | Shelve
    | Seal
    | Upload
    | Create
    | LookUp
    | Poll
    | Cancel
    | CancelDuplicate
    | Download
    | Sweep
    | DeleteFiles
)
