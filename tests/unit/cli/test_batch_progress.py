"""Progress of a running batch job."""

import io
import sys

import pytest

from tunesmith.batch import Progress, Usage
from tunesmith.cli.batch_progress import format_progress, progress_reporter


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
        "elapsed_s": 10.0,
        "rows_per_s": 25.0,
    }
    return Progress(**facts | changes)


def test_a_line_shows_rate_and_tokens_and_leaves_out_zeros():
    assert format_progress(progress()) == "25.0 rows/s, 32 in flight, 3,000 tokens"
    assert format_progress(
        progress(
            failed=3,
            in_batches=500,
            retried=2,
            last_retry_reason="cannot connect",
            requests_per_minute=1500,
            tokens_per_minute=90_000,
            paused_s=2.0,
            usd=0.25,
        )
    ) == (
        "25.0 rows/s, 32 in flight, 500 in batches, 3 failed, "
        "2 retried (cannot connect), limit 1,500 requests/min, "
        "limit 90,000 tokens/min, paused 2 s, 3,000 tokens, $0.2500"
    )


def test_log_lines_come_at_growing_intervals(capsys):
    with progress_reporter() as show:
        show(progress())
        show(progress(elapsed_s=10.5))
        show(progress(elapsed_s=11.5, total=None))
    assert capsys.readouterr().err.splitlines() == [
        "250 of 1,000 rows, 25.0 rows/s, 32 in flight, 3,000 tokens, 30 s left",
        "250 of ? rows, 25.0 rows/s, 32 in flight, 3,000 tokens",
    ]


def test_a_terminal_gets_a_bar(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with progress_reporter() as show:
        show(progress(done=990))
    assert "1000/1000" in terminal.getvalue()
    assert "25.0 rows/s, 32 in flight" in terminal.getvalue()


@pytest.mark.slow
def test_the_log_of_a_night_is_short_and_has_its_end(capsys):
    with progress_reporter() as show:
        for second in range(8 * 3600):
            show(progress(elapsed_s=float(second)))
        show(progress(elapsed_s=8 * 3600.0, done=990))
    lines = capsys.readouterr().err.splitlines()
    assert 50 < len(lines) < 250
    assert lines[-1].startswith("1,000 of 1,000 rows")
