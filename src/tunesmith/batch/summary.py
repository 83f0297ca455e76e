"""Progress and report of a run."""

from collections.abc import Mapping
from typing import Protocol

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
    "interrupted": "It was interrupted",
    "error": "An error ended it",
    "failures": "Too many rows failed",
    "budget": "The next row could break the budget",
    "deadline": "The deadline leaves no time for more",
    "quota": "The account's quota is used up",
    "cancelled": "Its batches were cancelled",
}
_RESUME_ADVICE: Mapping[StopReason, str] = {
    "budget": ", a larger budget",
    "failures": ", retry_failed=True",
}


class RunFacts(Protocol):
    """The parts of a run that its report is made of."""

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
    """Return how far it is."""
    now = run.clock.monotonic()
    state, metrics, limiter = run.core.state, run.metrics, run.options.pacing
    return Progress(
        total=state.seen if state.source_ended else run.total,
        done=state.done,
        failed=state.failed,
        skipped=state.skipped,
        in_flight=len(run.core.live.in_flight),
        concurrency=state.throttle.concurrency.limit,
        requests=state.requests,
        refused=state.refused,
        retried=state.retried,
        last_retry_reason=state.last_retry_reason,
        usage=metrics.usage,
        usd=run.budget.usd(metrics.usage),
        elapsed_s=metrics.elapsed_s(now),
        rows_per_s=metrics.rate(now, state.done + state.failed),
        requests_per_minute=limiter.requests.per_minute,
        tokens_per_minute=limiter.tokens.per_minute,
        paused_s=limiter.paused_s(now),
        in_batches=run.in_batches,
        latency_s=metrics.recent_latency_s(),
    )


def make_report(run: RunFacts) -> BatchReport:
    """Return how it ended."""
    state, metrics = run.core.state, run.metrics
    outcomes = state.done + state.failed + state.skipped
    rows = state.seen if state.source_ended or run.total is None else run.total
    is_known = state.source_ended or run.total is not None
    remaining = max(rows - outcomes, 0) if is_known else None
    stopped = None if state.source_ended and not remaining else state.stopped
    return BatchReport(
        output=str(run.paths.output),
        errors=str(run.paths.errors),
        journal=str(run.paths.journal),
        rows=rows,
        done=state.done,
        failed=state.failed,
        skipped=state.skipped,
        remaining=remaining,
        outcome_unknown=tuple(dict.fromkeys([*state.retried_unconfirmed, *state.unconfirmed])),
        requests=state.requests,
        refused=state.refused,
        retried=state.retried,
        last_retry_reason=state.last_retry_reason,
        usage=metrics.usage,
        usd=run.budget.usd(metrics.usage),
        perhaps_paid=run.core.ledger.perhaps_paid,
        duplicate_batches=tuple(state.duplicates),
        elapsed_s=metrics.elapsed_s(run.clock.monotonic()),
        latency_p50_s=metrics.latency_s(0.5),
        latency_p95_s=metrics.latency_s(0.95),
        latency_max_s=metrics.latency_s(1.0),
        in_batches=run.in_batches,
        stopped=stopped,
        resume_hint=_resume_hint(run, stopped),
        causes=metrics.causes(),
    )


def _resume_hint(run: RunFacts, stopped: StopReason | None) -> str:
    if stopped == "error" and run.is_untouched:
        return "An error ended it before anything was sent."
    if stopped is not None:
        message = run.dispatcher.message
        cause = f" ({message})" if message else ""
        return (
            f"{_STOP_MESSAGES[stopped]}{cause}: nothing that was finished is lost. Resume with "
            f"resume=True{_RESUME_ADVICE.get(stopped, '')} and the same output, "
            f"{run.paths.output}."
            + (" The service continues its batches meanwhile." if run.in_batches else "")
        )
    if run.core.state.failed:
        return (
            f"Why each failed is in {run.paths.errors}; send them again with resume=True "
            "and retry_failed=True."
        )
    return ""
