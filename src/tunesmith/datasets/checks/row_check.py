"""What is looked at in rows of every format that holds messages."""

from collections.abc import Callable, Iterator
from typing import Any

from tunesmith.datasets.checks.duplicates import Duplicates
from tunesmith.datasets.checks.privacy import Privacy
from tunesmith.datasets.checks.row_rules import Inspect, Problems, Rule
from tunesmith.datasets.checks.texts import row_texts
from tunesmith.datasets.findings import Finding
from tunesmith.datasets.fingerprints import fingerprints_of
from tunesmith.datasets.rows import Chunk, ChunkSource, Row

__all__ = ["RowCheck", "unknown_key_rule"]


class RowCheck:
    """Finds problems of single rows, rows that repeat, and what should not be in them.

    Args:
        file: The file.
        inspect: Finds what is wrong with a row.
        rules: What the problems' codes mean.
    """

    def __init__(self, file: str | None, inspect: Inspect, rules: dict[str, Rule]) -> None:
        self.file = file
        self._problems = Problems(file, inspect, rules)
        self._duplicates = Duplicates(file)
        self._privacy = Privacy(file)

    def see(self, chunk: Chunk) -> None:
        """Look at some rows."""
        texts = row_texts(chunk)
        self._problems.see(chunk)
        self._duplicates.see(fingerprints_of(chunk), texts)
        self._privacy.see(chunk, texts)
        for row in chunk:
            self.see_row(row)

    def see_row(self, row: Row) -> None:
        """Look at what is particular to the format."""

    def findings(self, rows: ChunkSource) -> Iterator[Finding]:
        """Say what was found."""
        yield from self._problems.findings()
        yield from self.own_findings()
        yield from self._duplicates.findings(rows)
        yield from self._privacy.findings()

    def own_findings(self) -> Iterator[Finding]:
        """Say what is particular to the format."""
        yield from ()


def unknown_key_rule(strip: Callable[[dict[str, Any]], None]) -> Rule:
    """The rule for keys that the service does not know, which `strip` removes from a row."""
    return Rule(
        "there is a key that the service does not know.",
        mend=lambda row: strip(row.data),
        mending="Remove keys that the service does not know",
    )
