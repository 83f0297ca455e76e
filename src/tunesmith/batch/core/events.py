"""Events: everything that happens to a job, as its core learns of it. `now` is monotonic time."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from tunesmith.batch.core.ledger import Usage
from tunesmith.batch.core.states import Failure, OpenRow, ShardKind

__all__ = [
    "BatchCreated",
    "BatchEnded",
    "BatchFound",
    "BatchGone",
    "BatchPolled",
    "CancelAsked",
    "CreateFailed",
    "Event",
    "FailureKind",
    "FilesFailed",
    "FilesRead",
    "PollAsked",
    "ResultRead",
    "RowAnswered",
    "RowCutOff",
    "RowFailed",
    "RowLeftOver",
    "RowRead",
    "RowRejected",
    "RowShelved",
    "RowUnfit",
    "RowUnwritten",
    "ShardCut",
    "ShardDropped",
    "ShardSwept",
    "ShardUploaded",
    "SourceEnded",
    "StopAsked",
    "StopReason",
    "Synced",
    "TimePassed",
    "WorkFailed",
]

StopReason = Literal["interrupted", "error", "failures", "budget", "deadline", "quota", "cancelled"]
"""Why a job ended before all rows were done: it was asked to, an error ended it, too many rows
failed, the next row could break the budget, its time was up, the account has no quota left, or its
batches were cancelled."""


class FailureKind(StrEnum):
    """What a failed attempt means for its row and for the job."""

    RATE_LIMITED = "rate_limited"
    UNREACHABLE = "unreachable"
    """No connection came about: the request never arrived."""
    UNAVAILABLE = "unavailable"
    """The service is down for a while, and says how long."""
    TRANSIENT = "transient"
    FINAL = "final"
    QUOTA = "quota"
    FATAL = "fatal"
    """Every other request would fail the same way, such as for a wrong key."""


# --- rows ---


@dataclass(frozen=True, slots=True)
class RowRead:
    """A row of the source."""

    row: OpenRow


@dataclass(frozen=True, slots=True)
class RowRejected:
    """A row of the source that is not a request."""

    row: OpenRow
    failure: Failure


@dataclass(frozen=True, slots=True)
class SourceEnded:
    """The source has no more rows."""


@dataclass(frozen=True, slots=True)
class RowAnswered:
    """An answer that counts; `usage` is None if the service did not tell it."""

    key: str
    usage: Usage | None
    now: float


@dataclass(frozen=True, slots=True)
class RowUnfit:
    """A paid answer that does not count; `is_final` if a repetition would not help."""

    key: str
    usage: Usage | None
    failure: Failure
    now: float
    is_final: bool = False


@dataclass(frozen=True, slots=True)
class RowFailed:
    """An attempt without an answer.

    Args:
        key: The row.
        kind: What it means.
        failure: Why it failed.
        now: The time.
        may_be_paid: Whether the service may have done it.
        retry_after_s: How long the service asks to wait.
        pause_s: How long to wait otherwise.
    """

    key: str
    kind: FailureKind
    failure: Failure
    now: float
    may_be_paid: bool = False
    retry_after_s: float | None = None
    pause_s: float = 0.5


@dataclass(frozen=True, slots=True)
class RowCutOff:
    """An attempt was abandoned; `was_sent` is False if it certainly never left."""

    key: str
    now: float
    was_sent: bool = True


@dataclass(frozen=True, slots=True)
class RowUnwritten:
    """The outcome of a row could not be written: it is left to the next run."""

    key: str
    is_answer: bool


# --- shards and their batches ---


@dataclass(frozen=True, slots=True)
class RowShelved:
    """A row was written to the open file of a shard."""

    row: OpenRow
    shard: int


@dataclass(frozen=True, slots=True)
class ShardCut:
    """The file of a shard is whole, and safe on disk."""

    number: int
    kind: ShardKind
    rows: int
    tokens: int
    reserved: Usage
    cut_at: float


@dataclass(frozen=True, slots=True)
class ShardDropped:
    """Rows in open files are given up, because the job stops."""


@dataclass(frozen=True, slots=True)
class ShardUploaded:
    """The service has the input file."""

    shard: int
    file_id: str
    now: float


@dataclass(frozen=True, slots=True)
class BatchCreated:
    """The service created the batch."""

    shard: int
    batch_id: str
    now: float


@dataclass(frozen=True, slots=True)
class CreateFailed:
    """The batch was refused, or its creation was not answered."""

    shard: int
    failure: Failure
    now: float
    may_exist: bool


@dataclass(frozen=True, slots=True)
class BatchFound:
    """The batches of a shard that the service lists: none, one, or duplicates."""

    shard: int
    batch_ids: tuple[str, ...]
    now: float


@dataclass(frozen=True, slots=True)
class WorkFailed:
    """A call for a shard failed, in a way that may pass; nothing was changed by it."""

    shard: int
    failure: Failure
    now: float


@dataclass(frozen=True, slots=True)
class BatchPolled:
    """The batch is not over."""

    shard: int
    now: float


@dataclass(frozen=True, slots=True)
class BatchEnded:
    """The batch is over.

    Args:
        shard: The shard.
        status: `completed`, `expired`, `cancelled` or `failed`.
        now: The time.
        output_file_id: The file of answers, if there is one yet.
        error_file_id: The file of failures, if there is one yet.
        completed: Answers that the service claims; None if it gives no counts.
        failed: Failures that it claims.
        errors: Why its input file was refused: line number or None for all, code and message.
    """

    shard: int
    status: str
    now: float
    output_file_id: str | None = None
    error_file_id: str | None = None
    completed: int | None = None
    failed: int = 0
    errors: tuple[tuple[int | None, Failure], ...] = ()


@dataclass(frozen=True, slots=True)
class BatchGone:
    """The service does not have the batch, or one of its result files."""

    shard: int
    now: float


@dataclass(frozen=True, slots=True)
class ResultRead:
    """A line of a result file, for a row of the shard.

    Args:
        shard: The shard.
        key: The row.
        usage: What was paid; None if the line does not tell.
        failure: Why it does not count; None for an answer that does.
        is_transient: Whether a repetition may help.
        is_paid: Whether the service answered.
    """

    shard: int
    key: str
    usage: Usage | None
    failure: Failure | None = None
    is_transient: bool = False
    is_paid: bool = True


@dataclass(frozen=True, slots=True)
class FilesRead:
    """The result files were read to their end; `lines` counts unreadable ones too."""

    shard: int
    lines: int
    now: float
    broken: tuple[Failure, ...] = ()


@dataclass(frozen=True, slots=True)
class FilesFailed:
    """A result file could not be downloaded whole."""

    shard: int
    failure: Failure
    now: float


@dataclass(frozen=True, slots=True)
class RowLeftOver:
    """A row of a settled shard that has no outcome; `line` is that of the input file."""

    shard: int
    row: OpenRow
    line: int


@dataclass(frozen=True, slots=True)
class ShardSwept:
    """All rows of a settled shard were gone through."""

    shard: int


# --- the job ---


@dataclass(frozen=True, slots=True)
class TimePassed:
    """It is `now`: something may be due, or there may be room for another request."""

    now: float


@dataclass(frozen=True, slots=True)
class Synced:
    """Everything that was written when `returning` was read is safe from a power loss."""

    returning: Usage


@dataclass(frozen=True, slots=True)
class PollAsked:
    """A webhook told of news: the batches are to be looked at now."""


@dataclass(frozen=True, slots=True)
class CancelAsked:
    """The batches are to be cancelled."""


@dataclass(frozen=True, slots=True)
class StopAsked:
    """The job is to end; what is in flight is finished."""

    reason: StopReason
    message: str = ""


Event = (
    RowRead
    | RowRejected
    | SourceEnded
    | RowAnswered
    | RowUnfit
    | RowFailed
    | RowCutOff
    | RowUnwritten
    | RowShelved
    | ShardCut
    | ShardDropped
    | ShardUploaded
    | BatchCreated
    | CreateFailed
    | BatchFound
    | WorkFailed
    | BatchPolled
    | BatchEnded
    | BatchGone
    | ResultRead
    | FilesRead
    | FilesFailed
    | RowLeftOver
    | ShardSwept
    | TimePassed
    | Synced
    | PollAsked
    | CancelAsked
    | StopAsked
)
