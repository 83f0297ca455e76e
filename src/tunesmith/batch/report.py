"""Progress of a job, and the report of a run."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError
from pydantic_core import to_json

from tunesmith.batch.core.decisions import StopReason
from tunesmith.batch.results import Usage

__all__ = ["BatchReport", "FailureCause", "OnProgress", "Progress", "RunCounts", "StopReason"]

_MAX_CAUSES = 3


@dataclass(frozen=True, slots=True)
class FailureCause:
    """Cause of failed rows.

    Args:
        code: Code of their errors.
        message: Message of the first of these errors.
        rows: Number of rows.
    """

    code: str
    message: str
    rows: int

    def __str__(self) -> str:
        return f"{self.rows:,} by {self.code}: {self.message}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunCounts:
    """Row and request counts of one run, in progress or finished.

    Args:
        done: Rows that succeeded in this run.
        failed: Rows that failed in this run.
        skipped: Rows that earlier runs had finished.
        in_batches: Rows in batches at the service.
        requests: Requests sent, including retries.
        refused: Requests refused by rate limits.
        retried: Requests retried after other failures.
        last_retry_reason: Cause of the last retry; None without retries.
        usage: Tokens paid in this run.
        usd: Cost of these tokens; None without prices.
        elapsed: Seconds since the run began.
        latency_p50: Median latency in seconds; None without responses.
        latency_p95: 95th percentile of the latency in seconds.
        latency_max: Highest latency in seconds.
        causes: Causes of failed rows, the most frequent first.
    """

    done: int = 0
    failed: int = 0
    skipped: int = 0
    in_batches: int = 0
    requests: int = 0
    refused: int = 0
    retried: int = 0
    last_retry_reason: str | None = None
    usage: Usage = field(default_factory=Usage)
    usd: float | None = None
    elapsed: float = 0.0
    latency_p50: float | None = None
    latency_p95: float | None = None
    latency_max: float | None = None
    causes: tuple[FailureCause, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress(RunCounts):
    """Progress of a job.

    Args:
        total: Number of rows; None if unknown.
        in_flight: Requests in flight.
        concurrency: Maximum requests in flight.
        rows_per_second: Rows finished per second, lately.
        requests_per_minute: Current limit, set or learned; None if unknown.
        tokens_per_minute: Current limit, set or learned; None if unknown.
        pause: Seconds until the next request, after a refusal.
        latency: Mean latency in seconds since the last progress; None without responses.
    """

    total: int | None
    in_flight: int
    concurrency: int
    rows_per_second: float
    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    pause: float = 0.0
    latency: float | None = None

    @property
    def finished(self) -> int:
        """Rows with an outcome, of this run and earlier ones."""
        return self.done + self.failed + self.skipped

    @property
    def remaining(self) -> int | None:
        """Rows without an outcome; None if the total is unknown."""
        return None if self.total is None else max(self.total - self.finished, 0)

    @property
    def eta(self) -> float | None:
        """Seconds until the end at the current rate; None if unknown."""
        if self.remaining is None or not self.rows_per_second:
            return 0.0 if self.remaining == 0 else None
        return self.remaining / self.rows_per_second

    def __str__(self) -> str:
        total = "" if self.total is None else f" of {self.total:,}"
        eta = "" if self.eta is None else f", {self.eta:,.0f} s left"
        return (
            f"{self.finished:,}{total} rows, {self.failed:,} failed, {self.in_flight} in flight, "
            f"{self.rows_per_second:,.1f} rows/s{eta}"
        )

    def _repr_html_(self) -> str:
        """Return a bar and the facts, for notebooks."""
        from tunesmith._html import render_fragment, tag  # noqa: PLC0415 - notebooks only

        bar = tag("progress", value=self.finished, max=self.total) if self.total else ""
        return render_fragment(tag("p", bar, " ", str(self)))


OnProgress = Callable[[Progress], object]
"""Called regularly with the progress of a job, and once more at its end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchReport(RunCounts):
    """Report of a run.

    Args:
        output: The output file.
        errors: The file of failed rows.
        journal: The journal.
        rows: Rows of the source; as far as it was read, if their number is unknown.
        remaining: Rows without an outcome; None if unknown.
        outcome_unknown: Keys of rows that were sent without a known outcome: rows cut off in this
            run, and rows of earlier runs that were resent in this one.
        perhaps_paid: Tokens that may have been paid for requests with an unknown outcome, over all
            runs.
        duplicate_batches: Second batches of the same rows, which were cancelled.
        stopped: Reason why the run ended early; None if it did not. Of a run that `died`, only its
            start is known.
        resume_hint: The next step; empty if there is none.
        started_at: Start of the run in Unix seconds; None if unknown.
        options: Options of the run that were set, as plain data.
    """

    output: str
    errors: str
    journal: str
    rows: int
    remaining: int | None
    outcome_unknown: tuple[str, ...] = ()
    perhaps_paid: Usage = field(default_factory=Usage)
    duplicate_batches: tuple[str, ...] = ()
    stopped: StopReason | Literal["died"] | None = None
    resume_hint: str = ""
    started_at: float | None = None
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @classmethod
    def from_progress(
        cls, progress: Progress, output: str, options: Mapping[str, Any]
    ) -> "BatchReport":
        """Create the report of a run in progress.

        Args:
            progress: The progress.
            output: The output file.
            options: Options of the run.
        """
        counts = {entry.name: getattr(progress, entry.name) for entry in fields(RunCounts)}
        rows, remaining = progress.total or progress.finished, progress.remaining
        facts: dict[str, Any] = {"rows": rows, "remaining": remaining, "options": options}
        return cls(output=output, errors="", journal="", **facts, **counts)

    @classmethod
    def from_dict(cls, data: Any) -> "BatchReport | None":
        """Create a report from `to_dict`, as a journal has it; None if it is not one."""
        try:
            return TypeAdapter(cls).validate_python(data)
        except ValidationError:
            return None

    @property
    def complete(self) -> bool:
        """Whether every row has succeeded or failed."""
        return self.stopped is None and self.remaining == 0

    @property
    def rows_per_second(self) -> float:
        """Rows finished per second in this run."""
        return (self.done + self.failed) / self.elapsed if self.elapsed else 0.0

    @property
    def _duration(self) -> str:
        # In virtual time a run can take 0 s, which gives no rate.
        rate = f" ({self.rows_per_second:,.1f} rows/s)" if self.elapsed else ""
        return f"{self.elapsed:,.1f} s{rate}"

    def to_dict(self) -> dict[str, Any]:
        """Return plain data, for JSON."""
        return {**asdict(self), "complete": self.complete, "rows_per_second": self.rows_per_second}

    def to_json(self) -> str:
        """Return JSON."""
        return to_json(self.to_dict()).decode()

    @property
    def outcome(self) -> str:
        """Counts of rows by outcome, in words."""
        counts = {
            "answered": self.done,
            "failed": self.failed,
            "finished before": self.skipped,
            "in batches": self.in_batches,
            "not done": self.remaining or 0,
        }
        always = {"answered", "failed"}
        return ", ".join(f"{n:,} {name}" for name, n in counts.items() if n or name in always)

    def __str__(self) -> str:
        parts = [self.outcome]
        if unknown := len(self.outcome_unknown):
            reason = "retried (outcome of the first attempt unknown)"
            parts += [f"{unknown:,} {reason if self.complete else 'sent with unknown outcome'}"]
        if self.duplicate_batches:
            parts += [f"duplicate batches cancelled: {', '.join(self.duplicate_batches)}"]
        text = f"{', '.join(parts)} in {self._duration}"
        reason = f" (last: {self.last_retry_reason})" if self.last_retry_reason else ""
        text += f"; {self.requests:,} requests, {self.refused:,} rate limited, {self.retried:,} "
        text += f"retried{reason}; {self.usage.prompt:,} input tokens, "
        text += f"{self.usage.completion:,} output tokens"
        text += "." if self.usd is None else f", ${self.usd:,.4f}."
        if self.causes:
            causes = "; ".join(str(cause) for cause in self.causes[:_MAX_CAUSES])
            text += f" Failed: {causes}{'' if causes.endswith(('.', '?', '!')) else '.'}"
        return f"{text} {self.resume_hint}".strip()

    def _repr_html_(self) -> str:
        """Return the facts as a table, for notebooks."""
        from tunesmith._html import render_facts, render_fragment  # noqa: PLC0415 - notebooks only

        facts = {
            "Output": self.output,
            "Outcome": self.outcome,
            "Stopped": self.stopped,
            "Failed": "; ".join(str(cause) for cause in self.causes[:_MAX_CAUSES]),
            "Duration": self._duration,
            "Tokens": f"{self.usage.prompt:,} input, {self.usage.completion:,} output",
            "Cost": None if self.usd is None else f"${self.usd:,.4f}",
            "Next": self.resume_hint,
        }
        return render_fragment(render_facts(facts))
