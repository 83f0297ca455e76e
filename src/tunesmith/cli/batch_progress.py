"""Progress of a batch job: a bar on a terminal, lines in a log."""

import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tunesmith.cli.messages import to_option_names
from tunesmith.cli.output import clean, echo

if TYPE_CHECKING:
    from tunesmith.batch import Progress

__all__ = ["format_progress", "progress_reporter"]

_LOG_INTERVAL_RATIO = 0.1
_MAX_LOG_INTERVAL_S = 300.0
"""The interval between log lines grows with the elapsed time, up to this."""


@contextmanager
def progress_reporter() -> Generator[Callable[["Progress"], None]]:
    """Yield a function that shows a job's progress until the context is left."""
    if not sys.stderr.isatty():
        yield _LogReporter()
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    with Bar(
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.description}", markup=False),
        console=Console(stderr=True),
    ) as bar:
        task = bar.add_task("", total=None)

        def show(progress: "Progress") -> None:
            bar.update(
                task,
                total=progress.total,
                completed=_finished(progress),
                description=clean(format_progress(progress)),
            )

        yield show


class _LogReporter:
    """Log lines at growing intervals, so that the log of a night fits on a page."""

    def __init__(self) -> None:
        self._next_s = 0.0

    def __call__(self, progress: "Progress") -> None:
        if progress.elapsed_s < self._next_s and progress.remaining != 0:
            return
        interval_s = min(progress.elapsed_s * _LOG_INTERVAL_RATIO, _MAX_LOG_INTERVAL_S)
        self._next_s = progress.elapsed_s + interval_s
        echo(_line(progress), err=True)


def format_progress(progress: "Progress") -> str:
    """Write a job's rate, limits, failures and cost as one line."""
    parts = [f"{progress.rows_per_s:,.1f} rows/s", f"{progress.in_flight} in flight"]
    if progress.in_batches:
        parts.append(f"{progress.in_batches:,} in batches")
    if progress.failed:
        parts.append(f"{progress.failed:,} failed")
    if progress.retried:
        reason = to_option_names(progress.last_retry_reason or "")
        parts.append(f"{progress.retried:,} retried ({reason})")
    for limit, unit in (
        (progress.requests_per_minute, "requests"),
        (progress.tokens_per_minute, "tokens"),
    ):
        if limit is not None:
            parts.append(f"limit {limit:,.0f} {unit}/min")
    if progress.paused_s > 0:
        parts.append(f"paused {progress.paused_s:.0f} s")
    parts.append(f"{progress.usage.total:,} tokens")
    if progress.usd is not None:
        parts.append(f"${progress.usd:,.4f}")
    return ", ".join(parts)


def _line(progress: "Progress") -> str:
    total = "?" if progress.total is None else f"{progress.total:,}"
    left = "" if progress.eta_s is None else f", {progress.eta_s:,.0f} s left"
    return f"{_finished(progress):,} of {total} rows, {format_progress(progress)}{left}"


def _finished(progress: "Progress") -> int:
    return progress.done + progress.failed + progress.skipped
