"""What is shown of a job while it runs."""

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


def test_a_line_tells_rate_and_tokens_and_only_what_there_is_besides():
    assert format_progress(progress()) == "25.0 rows/s, 32 under way, 3,000 tokens"
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
        "25.0 rows/s, 32 under way, 500 in batches, 3 failed, "
        "2 tried again (cannot connect), limit 1,500 requests/min, "
        "limit 90,000 tokens/min, paused 2 s, 3,000 tokens, $0.2500"
    )


def test_a_log_gets_lines_the_more_seldom_the_longer_a_job_takes(capsys):
    with progress_reporter() as tell:
        tell(progress())
        tell(progress(elapsed_s=10.5))
        tell(progress(elapsed_s=11.5, total=None))
    assert capsys.readouterr().err.splitlines() == [
        "250 of 1,000 rows, 25.0 rows/s, 32 under way, 3,000 tokens, 30 s left",
        "250 of ? rows, 25.0 rows/s, 32 under way, 3,000 tokens",
    ]


def test_a_terminal_gets_a_bar(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with progress_reporter() as tell:
        tell(progress(done=990))
    assert "1000/1000" in terminal.getvalue()
    assert "25.0 rows/s, 32 under way" in terminal.getvalue()


@pytest.mark.slow
def test_a_night_is_not_too_long_for_a_log_and_its_end_is_told(capsys):
    with progress_reporter() as tell:
        for second in range(8 * 3600):
            tell(progress(elapsed_s=float(second)))
        tell(progress(elapsed_s=8 * 3600.0, done=990))
    told = capsys.readouterr().err.splitlines()
    assert 50 < len(told) < 250
    assert told[-1].startswith("1,000 of 1,000 rows")
