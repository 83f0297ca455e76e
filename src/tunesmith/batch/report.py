"""How far a job is, and how it ended."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from pydantic_core import to_json

from tunesmith.batch.core.decisions import StopReason
from tunesmith.batch.results import Usage

__all__ = ["BatchReport", "FailureCause", "OnProgress", "Progress", "StopReason"]

_CAUSES_TOLD = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a job is.

    Args:
        total: How many rows there are; None as long as nobody knows.
        done: Rows that were answered in this run.
        failed: Rows that failed in this run.
        skipped: Rows that earlier runs had finished.
        in_flight: Requests that are under way.
        concurrency: How many may be at once.
        requests: Requests that were sent, retries included.
        refused: Requests that were answered by 429.
        retried: Requests that were sent again after another failure.
        usage: Tokens that were paid in this run.
        usd: What they cost; None if no prices were given.
        elapsed_s: Seconds since the run began.
        rows_per_s: Rows that were answered or failed, a second, lately.
        requests_per_minute: The limit in force, given or learned; None if none is known.
        tokens_per_minute: The same for tokens.
        paused_s: Seconds until the next request may be sent, because the service refused one.
        in_batches: Rows in batches that the service works on.
        latency_s: Seconds that answers took on average since the look before; None if none came.
        last_retry_reason: Why a request was last sent again; None if none was.
    """

    total: int | None
    done: int
    failed: int
    skipped: int
    in_flight: int
    concurrency: int
    requests: int
    refused: int
    retried: int
    usage: Usage
    usd: float | None
    elapsed_s: float
    rows_per_s: float
    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    paused_s: float = 0.0
    in_batches: int = 0
    latency_s: float | None = None
    last_retry_reason: str | None = None

    @property
    def remaining(self) -> int | None:
        """Rows that have no outcome yet; None as long as nobody knows the total."""
        if self.total is None:
            return None
        return max(self.total - self.done - self.failed - self.skipped, 0)

    @property
    def eta_s(self) -> float | None:
        """Seconds until the end at the present rate; None if that cannot be told."""
        if self.remaining is None or not self.rows_per_s:
            return 0.0 if self.remaining == 0 else None
        return self.remaining / self.rows_per_s


@dataclass(frozen=True, slots=True)
class FailureCause:
    """Why rows failed.

    Args:
        code: The code of their errors.
        message: What the first one of these errors says.
        rows: How many rows failed for it.
    """

    code: str
    message: str
    rows: int

    def __str__(self) -> str:
        return f"{self.rows:,} by {self.code}: {self.message}"


OnProgress = Callable[[Progress], object]
"""Called now and then with how far the job is, and once more at its end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchReport:
    """How a run of a job ended.

    Args:
        output: The file of answers.
        errors: The file of rows that failed.
        journal: The journal.
        rows: Rows of the source; those that were seen, as long as nobody knows how many there are.
        done: Rows that were answered in this run.
        failed: Rows that failed in this run.
        skipped: Rows that earlier runs had finished.
        remaining: Rows that have no outcome; None if nobody knows how many there are.
        outcome_unknown: Keys of rows that were sent, and nobody knows what came of it: rows cut
            off in this run, and rows of earlier runs, which were sent again in this one.
        requests: Requests that were sent, retries included.
        refused: Requests that were answered by 429.
        retried: Requests that were sent again after another failure.
        usage: Tokens that were paid in this run.
        usd: What they cost; None if no prices were given.
        elapsed_s: Seconds that the run took.
        latency_p50_s: Half of all answers came within so many seconds; None if none came.
        latency_p95_s: The same for 95 of 100.
        latency_max_s: The longest that an answer took.
        perhaps_paid: Tokens that may have been paid for requests whose outcome is unknown, over all
            runs.
        duplicate_batches: Batches that were found to be a second one of the same rows, and were
            cancelled.
        in_batches: Rows in batches that the service goes on working on.
        stopped: Why it ended before all rows were done; None if it did not.
        last_retry_reason: Why a request was last sent again after a failure; None if none was.
        resume_hint: What to do next, in words; empty if there is nothing.
        causes: Why rows failed in this run, the most frequent cause first.
    """

    output: str
    errors: str
    journal: str
    rows: int
    done: int
    failed: int
    skipped: int
    remaining: int | None
    outcome_unknown: tuple[str, ...]
    requests: int
    refused: int
    retried: int
    usage: Usage = field(default_factory=Usage)
    usd: float | None = None
    elapsed_s: float = 0.0
    latency_p50_s: float | None = None
    latency_p95_s: float | None = None
    latency_max_s: float | None = None
    perhaps_paid: Usage = field(default_factory=Usage)
    duplicate_batches: tuple[str, ...] = ()
    in_batches: int = 0
    stopped: StopReason | None = None
    last_retry_reason: str | None = None
    resume_hint: str = ""
    causes: tuple[FailureCause, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether every row has an outcome, be it an answer or an error."""
        return self.stopped is None and self.remaining == 0

    @property
    def rows_per_s(self) -> float:
        """Rows that were answered or failed in this run, a second."""
        return (self.done + self.failed) / self.elapsed_s if self.elapsed_s else 0.0

    def to_dict(self) -> dict[str, Any]:
        """Give it as plain data, for JSON."""
        return {**asdict(self), "complete": self.complete, "rows_per_s": self.rows_per_s}

    def to_json(self) -> str:
        """Write it as JSON."""
        return to_json(self.to_dict()).decode()

    def __str__(self) -> str:
        causes = "; ".join(str(cause) for cause in self.causes[:_CAUSES_TOLD])
        parts = [f"{self.done:,} answered"]
        parts += [f"{self.failed:,} failed ({causes})" if causes else f"{self.failed:,} failed"]
        parts += [f"{self.skipped:,} done before"] if self.skipped else []
        parts += [f"{self.remaining:,} not done"] if self.remaining else []
        unknown = len(self.outcome_unknown)
        parts += [f"{self.in_batches:,} in batches"] if self.in_batches else []
        doubt = "sent again, the outcome of the first time unknown"
        doubt = doubt if self.complete else "sent, outcome unknown"
        parts += [f"{unknown:,} {doubt}"] if unknown else []
        tokens = f"{self.usage.prompt:,} tokens in questions, {self.usage.completion:,} in answers"
        tokens += "" if self.usd is None else f", ${self.usd:,.4f}"
        pace = f"{self.elapsed_s:,.1f} s ({self.rows_per_s:,.1f} rows/s)"
        why = f" (lately: {self.last_retry_reason})" if self.last_retry_reason else ""
        again = f"{self.refused:,} refused by rate limits, {self.retried:,} tried again{why}"
        if self.duplicate_batches:
            parts += [f"duplicate batches cancelled: {', '.join(self.duplicate_batches)}"]
        text = f"{', '.join(parts)} in {pace}; {self.requests:,} requests, {again}; {tokens}."
        return f"{text} {self.resume_hint}".strip()
