"""State of a job that the parts of its core share."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from math import inf
from typing import Protocol

from tunesmith.batch.core.decisions import Decision, Finish, Stop, StopReason
from tunesmith.batch.core.ledger import Ledger
from tunesmith.batch.core.states import Failure, OpenRow, RowRecord
from tunesmith.batch.core.throttle import Throttle

__all__ = ["CoreOptions", "JobState", "RowTable"]

_MAX_QUEUED_ROWS = 256
_MAX_QUEUED_BYTES = 8 << 20


class RowTable(Protocol):
    """Records of all keys. They may be many, so they are stored outside of the core."""

    def get(self, key: str) -> RowRecord | None:
        """Return the record of a key; None if there is none."""
        ...

    def put(self, key: str, record: RowRecord) -> None:
        """Store the record of a key."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class CoreOptions:
    """Options that decisions depend on.

    Args:
        max_retries: Retries of a row after transient failures.
        max_failed: Failed rows after which the job stops; None never stops.
        deadline: When the job must end.
        uses_batches: Whether rows go to provider batches.
        falls_back: Whether rows that are not done by `batches_until` are sent one by one.
        batches_until: When batches are abandoned.
        poll_s: Seconds between two polls of a batch.
        enqueued_tokens: Maximum of enqueued input tokens of a model; None to learn it.
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
    """Queue, ledger, throttle and counts of a job, and why it stops.

    Args:
        options: Options of the job.
        ledger: Its accounts.
        throttle: Its throttle.
        table: Records of all keys.
    """

    options: CoreOptions
    ledger: Ledger
    throttle: Throttle
    table: RowTable
    queue: deque[OpenRow] = field(default_factory=deque[OpenRow])
    queued_bytes: int = 0
    parked: list[tuple[float, int, OpenRow]] = field(
        default_factory=list[tuple[float, int, OpenRow]]
    )
    """Heap of rows by the time when they are due."""
    source_ended: bool = False
    is_held_up: bool = False
    """Whether reading waits until an early row has its outcome."""
    stopped: StopReason | None = None
    done: int = 0
    failed: int = 0
    skipped: int = 0
    seen: int = 0
    requests: int = 0
    refused: int = 0
    retried: int = 0
    last_retry_reason: str | None = None
    retried_unconfirmed: list[str] = field(default_factory=list[str])
    """Rows of earlier runs that were perhaps paid and are retried."""
    unconfirmed: list[str] = field(default_factory=list[str])
    """Rows that were perhaps paid, and have no outcome in this run."""
    duplicates: list[str] = field(default_factory=list[str])
    """Duplicate batches, which were cancelled."""
    _parkings: int = 0

    @property
    def is_stopped(self) -> bool:
        """Whether no further request is started."""
        return self.stopped is not None

    @property
    def wants_rows(self) -> bool:
        """Whether another row of the source may be read."""
        is_full = len(self.queue) >= _MAX_QUEUED_ROWS or self.queued_bytes >= _MAX_QUEUED_BYTES
        return self.stopped is None and not is_full

    @property
    def needs_rows(self) -> bool:
        """Whether at most half of the rows that are read ahead are left."""
        is_short = len(self.queue) <= _MAX_QUEUED_ROWS // 2
        is_low = is_short and self.queued_bytes <= _MAX_QUEUED_BYTES // 2
        return self.stopped is None and is_low

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
        """Count retried rows."""
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
        """Hold a row until a time."""
        self._parkings += 1
        heappush(self.parked, (due, self._parkings, row))

    def unpark(self, now: float) -> None:
        """Move due rows to the front of the queue."""
        while self.parked and self.parked[0][0] <= now:
            row = heappop(self.parked)[2]
            row.move("due")
            self.queue.appendleft(row)
            self.queued_bytes += row.size_bytes

    def leave(self, row: OpenRow) -> None:
        """Leave a row that is not in flight to the next run."""
        row.move("stop")
        if row.is_unconfirmed:
            self.unconfirmed.append(row.key)

    def finish(
        self, key: str, row: OpenRow | None, failure: Failure | None, attempts: int
    ) -> Sequence[Decision]:
        """Write the outcome of a row, and stop after too many failures."""
        finish = Finish(key, row, failure, attempts)
        if failure is None:
            self.done += 1
            return (finish,)
        self.failed += 1
        is_last = self.failed == self.options.max_failed
        return (finish, *(self.stop("failures") if is_last else ()))
