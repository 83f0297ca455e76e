"""The summary of the performance page has the figures of the measurements."""

from pathlib import Path

from tests.benchmarks.report import with_summary

PAGES = Path(__file__).parents[2] / "docs" / "explanation"


def test_the_summary_is_that_of_the_measurements():
    page = (PAGES / "speed.md").read_text()
    assert with_summary(page, (PAGES / "measurements.md").read_text()) == page
