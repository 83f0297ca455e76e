"""Progress and report of a run."""

from collections.abc import Mapping
from typing import Any, Protocol

from tunesmith.backends.base import Clock
from tunesmith.batch.budget import BudgetTracker
from tunesmith.batch.core.core import JobCore
from tunesmith.batch.core.decisions import StopReason
from tunesmith.batch.dispatch import Dispatcher
from tunesmith.batch.metrics import JobMetrics
from tunesmith.batch.options import RunOptions
from tunesmith.batch.output import JobPaths
from tunesmith.batch.report import BatchReport, Progress

__all__ = ["RunFacts", "make_progress", "make_report"]

_STOP_MESSAGES: Mapping[StopReason, str] = {
    "interrupted": "Interrupted",
    "error": "An error ended the job",
    "failures": "Too many rows failed",
    "budget": "The next row could exceed the budget",
    "deadline": "The deadline was reached",
    "quota": "The account's quota is exhausted",
    "cancelled": "Batches were cancelled",
}
_RESUME_ADVICE: Mapping[StopReason, str] = {
    "budget": ", a larger budget",
    "failures": " and retry_failed=True",
}


class RunFacts(Protocol):
    """Parts of a run that its report is made of."""

    core: JobCore
    metrics: JobMetrics
    budget: BudgetTracker
    clock: Clock
    total: int | None
    paths: JobPaths
    options: RunOptions
    dispatcher: Dispatcher

    @property
    def is_untouched(self) -> bool:
        """Whether nothing was sent or finished."""
        ...

    @property
    def in_batches(self) -> int:
        """Rows in batches at the service."""
        ...


def make_progress(run: RunFacts) -> Progress:
    """Return the progress of a run."""
    now = run.clock.monotonic()
    state, limiter = run.core.state, run.options.pacing
    return Progress(
        **_counts(run),
        total=state.seen if state.source_ended else run.total,
        in_flight=len(run.core.live.in_flight),
        concurrency=state.throttle.concurrency.limit,
        rows_per_second=run.metrics.rate(now, state.done + state.failed),
        requests_per_minute=limiter.requests.per_minute,
        tokens_per_minute=limiter.tokens.per_minute,
        pause=limiter.paused_s(now),
        latency=run.metrics.recent_latency_s(),
    )


def make_report(run: RunFacts) -> BatchReport:
    """Return the report of a run."""
    state, counts = run.core.state, _counts(run)
    rows = state.seen if state.source_ended or run.total is None else run.total
    is_known = state.source_ended or run.total is not None
    finished = state.done + state.failed + state.skipped
    remaining = max(rows - finished, 0) if is_known else None
    stopped = None if state.source_ended and not remaining else state.stopped
    return BatchReport(
        **counts,
        output=str(run.paths.output),
        errors=str(run.paths.errors),
        journal=str(run.paths.journal),
        rows=rows,
        remaining=remaining,
        outcome_unknown=tuple(dict.fromkeys([*state.retried_unconfirmed, *state.unconfirmed])),
        perhaps_paid=run.core.ledger.perhaps_paid,
        duplicate_batches=tuple(state.duplicates),
        stopped=stopped,
        resume_hint=_resume_hint(run, stopped),
        started_at=run.clock.time() - counts["elapsed"],
        options=run.options.to_dict(),
    )


def _counts(run: RunFacts) -> dict[str, Any]:
    """Return the fields of `RunCounts`."""
    state, metrics = run.core.state, run.metrics
    return {
        "done": state.done,
        "failed": state.failed,
        "skipped": state.skipped,
        "in_batches": run.in_batches,
        "requests": state.requests,
        "refused": state.refused,
        "retried": state.retried,
        "last_retry_reason": state.last_retry_reason,
        "usage": metrics.usage,
        "usd": run.budget.usd(metrics.usage),
        "elapsed": metrics.elapsed_s(run.clock.monotonic()),
        "latency_p50": metrics.latency_s(0.5),
        "latency_p95": metrics.latency_s(0.95),
        "latency_max": metrics.latency_s(1.0),
        "causes": metrics.causes(),
    }


def _resume_hint(run: RunFacts, stopped: StopReason | None) -> str:
    if stopped == "error" and run.is_untouched:
        return "An error ended the job before anything was sent."
    if stopped is not None:
        message = run.dispatcher.message
        cause = f" ({message})" if message else ""
        note = " Its batches continue at the service." if run.in_batches else ""
        if stopped == "failures" and not run.core.state.done:
            note += " To change the model, template or parameters, choose another output."
        return (
            f"{_STOP_MESSAGES[stopped]}{cause}. Finished rows are kept; resume with resume=True"
            f"{_RESUME_ADVICE.get(stopped, '')} and the same output, {run.paths.output}.{note}"
        )
    if run.core.state.failed:
        return (
            f"Causes are in {run.paths.errors}; retry these rows with resume=True and "
            "retry_failed=True."
        )
    return ""
