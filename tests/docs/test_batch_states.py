"""The tables of states in the documentation are those of the code."""

from pathlib import Path

import pytest

from tunesmith.batch.core.states import ROW_TRANSITIONS, SHARD_TRANSITIONS, format_transitions

PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "batch-journal.md"


@pytest.mark.parametrize("table", [ROW_TRANSITIONS, SHARD_TRANSITIONS], ids=["rows", "shards"])
def test_the_page_shows_every_transition(table):
    assert format_transitions(table) in PAGE.read_text()
