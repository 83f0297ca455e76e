"""How far a job is: a bar in a terminal, plain lines in a log."""

import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from tunesmith.cli.messages import to_option_names

if TYPE_CHECKING:
    from tunesmith.batch import Progress

__all__ = ["format_progress", "progress_reporter"]

_LOG_INTERVAL_RATIO = 0.1
_LONGEST_PAUSE_S = 300.0
"""The pause between two lines of a log grows with the time that a job has taken, up to this."""


@contextmanager
def progress_reporter() -> Generator[Callable[["Progress"], None]]:
    """Show how far a job is, for as long as the context is open; gives what is to be told."""
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

        def tell(progress: "Progress") -> None:
            bar.update(
                task,
                total=progress.total,
                completed=_finished(progress),
                description=format_progress(progress),
            )

        yield tell


class _LogReporter:
    """A line now and then: the longer a job takes, the more seldom, so that a night is a page."""

    def __init__(self) -> None:
        self._next_s = 0.0

    def __call__(self, progress: "Progress") -> None:
        if progress.elapsed_s < self._next_s and progress.remaining != 0:
            return
        pause_s = min(progress.elapsed_s * _LOG_INTERVAL_RATIO, _LONGEST_PAUSE_S)
        self._next_s = progress.elapsed_s + pause_s
        click.echo(_line(progress), err=True)


def format_progress(progress: "Progress") -> str:
    """Say in a line how quick a job is, what holds it up, and what it took."""
    parts = [f"{progress.rows_per_s:,.1f} rows/s", f"{progress.in_flight} under way"]
    if progress.in_batches:
        parts.append(f"{progress.in_batches:,} in batches")
    if progress.failed:
        parts.append(f"{progress.failed:,} failed")
    if progress.retried:
        trouble = to_option_names(progress.last_retry_reason or "")
        parts.append(f"{progress.retried:,} tried again ({trouble})")
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
