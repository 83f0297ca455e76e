"""Progress of a running batch job."""

import io
import re
import sys

import pytest

from tunesmith.batch import Progress, Usage
from tunesmith.cli.batch_progress import ProgressDisplay, format_duration, progress_reporter
from tunesmith.cli.console import CleanConsole


def progress(**changes):
    facts = {
        "total": 1000,
        "done": 240,
        "failed": 0,
        "skipped": 10,
        "in_flight": 32,
        "concurrency": 64,
        "requests": 272,
        "refused": 0,
        "retried": 0,
        "usage": Usage(2000, 1000),
        "usd": None,
        "elapsed": 10.0,
        "rows_per_second": 25.0,
    }
    return Progress(**facts | changes)


def display(width, monkeypatch, **changes):
    """Render a progress for a terminal of this width."""
    monkeypatch.setenv("COLUMNS", str(width))
    shown = ProgressDisplay()
    shown.progress = progress(**changes)
    console = CleanConsole()
    with console.capture() as capture:
        console.print(shown)
    return capture.get().rstrip("\n").split("\n")


TROUBLE = {
    "done": 123_456,
    "total": 1_000_000,
    "failed": 1234,
    "retried": 2,
    "last_retry_reason": "The server had an error while processing your request. " * 3,
    "usd": 12.5,
    "requests_per_minute": 1500,
}


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_count_percent_rate_eta_and_failures_fit_any_width(monkeypatch, width):
    line, delay = display(width, monkeypatch, **TROUBLE)
    assert len(line) <= width
    for fact in ("124,700/1,000,000", "12%", "25.0/s", "ETA 9:43:32", "1,234 failed"):
        assert fact in line
    assert len(delay) <= width
    assert delay.startswith("2 retried, last: The server had an error")


def test_large_counts_are_shortened_where_they_do_not_fit(monkeypatch):
    line, _ = display(60, monkeypatch, **{**TROUBLE, "done": 12_345_678, "total": 100_000_000})
    assert line.startswith("12.3M/100.0M  12%  1,234 failed  25.0/s  ETA ")


def test_a_wide_terminal_shows_more(monkeypatch):
    (line,) = display(120, monkeypatch, usd=0.25)
    assert line.endswith("250/1,000  25%  25.0/s  ETA 0:00:30  $0.2500  32 in flight  3,000 tokens")
    assert line.startswith("━")


def test_a_pause_is_shown_on_its_own_line_before_its_reason(monkeypatch):
    _, delay = display(80, monkeypatch, pause=6.2, last_retry_reason="service unreachable")
    assert delay == "retrying in 7 s: service unreachable"
    _, delay = display(60, monkeypatch, pause=6.2, last_retry_reason="unreachable " * 9)
    assert delay.startswith("retrying in 7 s: unreachable")


def test_log_lines_have_a_time_a_percentage_and_an_eta(capsys):
    with progress_reporter() as show:
        show(progress())
        show(progress(elapsed=10.5))
        show(progress(elapsed=11.5, total=None))
    first, second = capsys.readouterr().err.splitlines()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ  250/1,000  25%  .*", first)
    assert first.endswith("25.0/s  ETA 0:00:30  32 in flight  3,000 tokens")
    assert second.endswith("Z  250 rows  25.0/s  32 in flight  3,000 tokens")


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00:00"), (59.2, "0:01:00"), (3600, "1:00:00"), (1e5, "27:46:40")]
)
def test_durations_are_hours_minutes_and_seconds(seconds, text):
    assert format_duration(seconds) == text


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self):
        return True


def test_a_terminal_gets_a_bar(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with progress_reporter() as show:
        show(progress(done=990))
    assert "1,000/1,000" in terminal.getvalue()


def test_nothing_is_shown_before_the_first_request(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with progress_reporter() as show:
        show(progress(done=0, skipped=0, requests=0))
    assert terminal.getvalue() == ""


def test_a_log_has_no_line_before_the_first_request_and_no_rate_without_time(capsys):
    with progress_reporter() as show:
        show(progress(done=0, skipped=0, requests=0))
        show(progress(elapsed=0.0, done=990, rows_per_second=0.0))
    (line,) = capsys.readouterr().err.splitlines()
    assert "1,000/1,000" in line
    assert "/s" not in line


@pytest.mark.slow
def test_the_log_of_a_night_is_short_and_has_its_end(capsys):
    with progress_reporter() as show:
        for second in range(8 * 3600):
            show(progress(elapsed=float(second)))
        show(progress(elapsed=8 * 3600.0, done=990))
    lines = capsys.readouterr().err.splitlines()
    assert 50 < len(lines) < 250
    assert "1,000/1,000" in lines[-1]
