"""What is looked at in rows of every format that holds messages."""

from collections.abc import Callable, Iterator
from typing import Any

from tunesmith.datasets.checks.duplicates import Duplicates
from tunesmith.datasets.checks.privacy import SecretsCheck
from tunesmith.datasets.checks.row_rules import RowValidator, Rule, RuleCounter
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

    def __init__(self, file: str | None, inspect: RowValidator, rules: dict[str, Rule]) -> None:
        self.file = file
        self._problems = RuleCounter(file, inspect, rules)
        self._duplicates = Duplicates(file)
        self._privacy = SecretsCheck(file)

    def update(self, chunk: Chunk) -> None:
        """Look at some rows."""
        texts = row_texts(chunk)
        self._problems.update(chunk)
        self._duplicates.see(fingerprints_of(chunk), texts)
        self._privacy.see(chunk, texts)
        for row in chunk:
            self.update_row(row)

    def update_row(self, row: Row) -> None:
        """Look at what is particular to the format."""

    def findings(self, rows: ChunkSource) -> Iterator[Finding]:
        """Say what was found."""
        yield from self._problems.findings()
        yield from self.format_findings()
        yield from self._duplicates.findings(rows)
        yield from self._privacy.findings()

    def format_findings(self) -> Iterator[Finding]:
        """Say what is particular to the format."""
        yield from ()


def unknown_key_rule(strip: Callable[[dict[str, Any]], None]) -> Rule:
    """The rule for keys that the service does not know, which `strip` removes from a row."""
    return Rule(
        "there is a key that the service does not know.",
        fix=lambda row: strip(row.data),
        fix_description="Remove keys that the service does not know",
    )
