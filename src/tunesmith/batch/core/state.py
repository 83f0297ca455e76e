"""State of a job that all parts of its core share."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from math import inf
from typing import Protocol

from tunesmith.batch.core.decisions import Decision, Stop
from tunesmith.batch.core.events import StopReason
from tunesmith.batch.core.ledger import Ledger
from tunesmith.batch.core.pace import Pace
from tunesmith.batch.core.states import OpenRow, RowRecord

__all__ = ["CoreOptions", "JobState", "RowTable"]

_MAX_QUEUED_ROWS = 256
_MAX_QUEUED_BYTES = 8 << 20


class RowTable(Protocol):
    """Facts about keys. They may be many, so they are kept outside of the core."""

    def get(self, key: str) -> RowRecord | None:
        """Return what is known of a key."""
        ...

    def put(self, key: str, record: RowRecord) -> None:
        """Store what is known of a key."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class CoreOptions:
    """Options that decisions depend on.

    Args:
        max_retries: How often a row is repeated after a failure that may pass.
        max_failed: The job stops after so many failed rows; None never stops.
        deadline: When the job must end.
        uses_batches: Whether rows go to provider batches.
        falls_back: Whether rows go live that batches have not done by `batches_until`.
        batches_until: When batches are given up.
        poll_s: Seconds between two looks at a batch.
        enqueued_tokens: Input tokens that batches of a model may have at a time; None to learn it.
    """

    max_retries: int = 5
    max_failed: int | None = None
    deadline: float = inf
    uses_batches: bool = False
    falls_back: bool = False
    batches_until: float = inf
    poll_s: float = 30.0
    enqueued_tokens: int | None = None


@dataclass(slots=True)
class JobState:
    """The shared part of a core: rows at hand, money, pace, counts, and why the job stops.

    Args:
        options: What the job was given.
        ledger: Its money.
        pace: Its pace.
        table: Facts about keys.
    """

    options: CoreOptions
    ledger: Ledger
    pace: Pace
    table: RowTable
    queue: deque[OpenRow] = field(default_factory=deque[OpenRow])
    queued_bytes: int = 0
    parked: list[tuple[float, int, OpenRow]] = field(
        default_factory=list[tuple[float, int, OpenRow]]
    )
    """Heap of the rows that wait for a time of their own."""
    source_ended: bool = False
    is_held_up: bool = False
    """Whether no row is read until an early one has its outcome."""
    stopped: StopReason | None = None
    done: int = 0
    failed: int = 0
    skipped: int = 0
    seen: int = 0
    requests: int = 0
    refused: int = 0
    retried: int = 0
    last_retry_reason: str | None = None
    sent_again: list[str] = field(default_factory=list[str])
    """Rows of earlier runs that were perhaps paid, and are sent again."""
    unknown: list[str] = field(default_factory=list[str])
    """Rows that this run left, and that were perhaps paid."""
    duplicates: list[str] = field(default_factory=list[str])
    """Batches that were found twice, and cancelled."""
    _parkings: int = 0

    @property
    def is_stopped(self) -> bool:
        """Whether nothing more is to be begun."""
        return self.stopped is not None

    @property
    def wants_rows(self) -> bool:
        """Whether another row of the source may be read."""
        is_full = len(self.queue) >= _MAX_QUEUED_ROWS or self.queued_bytes >= _MAX_QUEUED_BYTES
        return self.stopped is None and not is_full

    def enqueue(self, row: OpenRow) -> None:
        """Add a row to the end of the queue."""
        self.queue.append(row)
        self.queued_bytes += row.size_bytes

    def dequeue(self) -> OpenRow:
        """Take the first row of the queue."""
        row = self.queue.popleft()
        self.queued_bytes -= row.size_bytes
        return row

    def retry(self, reason: str, rows: int = 1) -> None:
        """Count rows that are repeated."""
        self.retried += rows
        self.last_retry_reason = reason

    def stop(self, reason: StopReason, message: str = "") -> Sequence[Decision]:
        """Stop the job; only the first reason counts."""
        if self.stopped is not None:
            return ()
        self.stopped = reason
        while self.queue:
            self.leave(self.dequeue())
        while self.parked:
            self.leave(self.parked.pop()[2])
        return (Stop(reason, message),)

    def park(self, row: OpenRow, due: float) -> None:
        """Keep a row until a time."""
        self._parkings += 1
        heappush(self.parked, (due, self._parkings, row))

    def unpark(self, now: float) -> None:
        """Put rows whose time has come at the front of the queue."""
        while self.parked and self.parked[0][0] <= now:
            row = heappop(self.parked)[2]
            row.move("due")
            self.queue.appendleft(row)
            self.queued_bytes += row.size_bytes

    def leave(self, row: OpenRow) -> None:
        """Leave a row that is not in flight to the next run."""
        row.move("stopped")
        if row.is_doubtful:
            self.unknown.append(row.key)

    def fail(self) -> Sequence[Decision]:
        """Count a failed row, and stop after too many."""
        self.failed += 1
        return self.stop("failures") if self.failed == self.options.max_failed else ()
