"""Progress of a batch job: a line that fits any terminal, or timestamped lines in a log."""

import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from math import ceil
from typing import TYPE_CHECKING

from tunesmith.cli.messages import clean, to_option_names
from tunesmith.cli.output import echo

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.text import Text

    from tunesmith.batch import Progress

__all__ = ["format_duration", "progress_reporter"]

_LOG_INTERVAL_RATIO = 0.1
_MAX_LOG_INTERVAL_S = 300.0
"""The interval between log lines grows with the elapsed time, up to this."""

_MIN_BAR, _MAX_BAR = 8, 40
_MILLION = 1_000_000
_ESSENTIAL = 5
"""Number of facts that fit any terminal: count, percentage, failures, rate, ETA."""


@contextmanager
def progress_reporter() -> Generator[Callable[["Progress"], None]]:
    """Yield a function that shows a job's progress until the context is left.

    Nothing is shown before the first row has an outcome or the first request was sent.
    """
    if not sys.stderr.isatty():
        yield _LogReporter()
        return
    from rich.live import Live

    from tunesmith.cli.console import CleanConsole

    display = ProgressDisplay()
    live = Live(display, console=CleanConsole(stderr=True), refresh_per_second=4)

    def show(progress: "Progress") -> None:
        display.progress = progress
        if progress.requests or progress.in_batches or progress.finished:
            live.start()
            live.refresh()

    try:
        yield show
    finally:
        live.stop()


class ProgressDisplay:
    """Progress as one line, with causes of delay on a second one."""

    def __init__(self) -> None:
        self.progress: Progress | None = None

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "RenderResult":
        """Render as many facts as fit the width, the most important first."""
        from rich.text import Text

        if self.progress is None:
            return
        is_unicode = options.encoding.startswith("utf")
        yield _line(self.progress, options.max_width, *("━━" if is_unicode else "#-"))
        if delay := format_delay(self.progress):
            line = Text(clean(delay), style="yellow", no_wrap=True)
            line.truncate(options.max_width, overflow="ellipsis" if is_unicode else "crop")
            yield line


def _line(progress: "Progress", width: int, filled: str, empty: str) -> "Text":
    from rich.text import Text

    facts = Text()
    is_long = len("  ".join(fact for fact, _ in _facts(progress)[:_ESSENTIAL])) > width
    for fact, style in _facts(progress, format_count=_format_short if is_long else None):
        separator = "  " if facts else ""
        if len(facts) + len(separator) + len(fact) <= width:
            facts.append(separator).append(fact, style=style)
    bar = min(width - len(facts) - 2, _MAX_BAR)
    if bar < _MIN_BAR or not progress.total:
        return facts
    full = min(progress.finished * bar // progress.total, bar)
    line = Text(filled * full, style="green").append(empty * (bar - full), style="bright_black")
    return line.append("  ").append(facts)


def _facts(
    progress: "Progress",
    *,
    format_count: Callable[[int], str] | None = None,
) -> list[tuple[str, str]]:
    """Return facts with their style, the most important first."""
    count = format_count or "{:,}".format
    finished, total = progress.finished, progress.total
    facts = [
        (
            f"{count(finished)} rows" if total is None else f"{count(finished)}/{count(total)}",
            "bold",
        )
    ]
    if total is not None:
        # 100 % only when every row has an outcome.
        facts.append((f"{finished * 100 // (total or 1)}%", ""))
    if progress.failed:
        facts.append((f"{count(progress.failed)} failed", "red"))
    if progress.rows_per_second:  # in memory no time passes
        facts.append((f"{progress.rows_per_second:,.1f}/s", ""))
    if progress.eta is not None:
        facts.append((f"ETA {format_duration(progress.eta)}", "cyan"))
    if progress.in_batches:
        facts.append((f"{progress.in_batches:,} in batches", ""))
    if progress.usd is not None:
        facts.append((f"${progress.usd:,.4f}", ""))
    if progress.concurrency:  # unknown to `status --watch`
        facts.append((f"{progress.in_flight} in flight", "bright_black"))
    facts.append((f"{progress.usage.total:,} tokens", "bright_black"))
    for limit, unit in (
        (progress.requests_per_minute, "requests"),
        (progress.tokens_per_minute, "tokens"),
    ):
        if limit is not None:
            facts.append((f"limit {limit:,.0f} {unit}/min", "bright_black"))
    return facts


def format_delay(progress: "Progress") -> str:
    """Return why requests wait or were retried; empty if none was."""
    reason = " ".join(to_option_names(progress.last_retry_reason or "").split())
    if progress.pause > 0:
        # The wait comes first: a narrow terminal cuts the reason.
        return f"retrying in {ceil(progress.pause)} s: {reason or 'rate limited'}"
    return f"{progress.retried:,} retried, last: {reason}" if progress.retried else ""


class _LogReporter:
    """Log lines at growing intervals, so that the log of a night fits on a page."""

    def __init__(self) -> None:
        self._next_s = 0.0

    def __call__(self, progress: "Progress") -> None:
        if not (progress.requests or progress.in_batches or progress.finished):
            return
        if progress.elapsed < self._next_s and progress.remaining != 0:
            return
        interval_s = min(progress.elapsed * _LOG_INTERVAL_RATIO, _MAX_LOG_INTERVAL_S)
        self._next_s = progress.elapsed + interval_s
        facts = [fact for fact, _ in _facts(progress)]
        if delay := format_delay(progress):
            facts.append(delay)
        echo(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}  {'  '.join(facts)}", err=True)


def format_duration(seconds: float) -> str:
    """Write a duration as h:mm:ss."""
    minutes, seconds = divmod(ceil(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{seconds:02}"


def _format_short(count: int) -> str:
    return f"{count / 1e6:.1f}M" if count >= _MILLION else f"{count:,}"
