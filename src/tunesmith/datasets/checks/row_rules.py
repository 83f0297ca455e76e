"""Problems of single rows: found by a function, counted by code, remedied by leaving rows out."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from tunesmith.datasets.findings import Finding, FindingCounter, Fix, Severity
from tunesmith.datasets.rows import Chunk, Row
from tunesmith.datasets.transforms import DropRows, EditRows

__all__ = ["Problem", "RowValidator", "Rule", "RuleCounter"]


class Problem(NamedTuple):
    """What is wrong with one row.

    Attributes:
        code: The finding's code.
        field: The path to it, such as `messages[2].content`.
        excerpt: What is there.
    """

    code: str
    field: str
    excerpt: object = None


RowValidator = Callable[[dict[str, Any]], Iterator[Problem]]
"""Finds what is wrong with a row."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What a code means.

    Attributes:
        message: What is wrong, following on `3 rows: `.
        severity: How bad it is.
        drop: Whether leaving such rows out is offered.
        fix: What mends such a row, which is then offered instead.
        fix_description: What that does, as an instruction.
    """

    message: str
    severity: Severity = "error"
    drop: bool = True
    fix: Callable[[Row], None] | None = None
    fix_description: str = ""


class RuleCounter:
    """Counts the rows that have problems.

    Args:
        file: The file.
        inspect: Finds what is wrong with a row.
        rules: What the codes mean, in the order in which findings are to be listed.
    """

    def __init__(self, file: str | None, inspect: RowValidator, rules: dict[str, Rule]) -> None:
        self._file = file
        self._inspect = inspect
        self._rules = rules
        self._tallies = {code: FindingCounter() for code in rules}

    def update(self, chunk: Chunk) -> None:
        """Look at some rows."""
        for line, data in chunk:
            codes: set[str] = set()
            for problem in self._inspect(data):
                if problem.code not in codes:
                    codes.add(problem.code)
                    self._tallies[problem.code].add(
                        line, field=problem.field, excerpt=problem.excerpt
                    )

    def findings(self) -> Iterator[Finding]:
        """Say what was found, by code."""
        for code, tally in self._tallies.items():
            if not tally.count:
                continue
            rule = self._rules[code]
            rows = f"{tally.count} rows" if tally.count > 1 else "1 row"
            yield tally.finding(
                code,
                rule.severity,
                f"{rows}: {rule.message}",
                file=self._file,
                remedy=self._remedy(code, rule, rows),
            )

    def _remedy(self, code: str, rule: Rule, rows: str) -> Fix | None:
        if rule.fix:
            return Fix(description=f"{rule.fix_description} ({rows})", transform=EditRows(rule.fix))
        if rule.drop:
            return Fix(description=f"Remove {rows} ({code})", transform=self._without(code))
        return None

    def _without(self, code: str) -> DropRows:
        def at_fault(row: Row) -> bool:
            return any(problem.code == code for problem in self._inspect(row.data))

        return DropRows(at_fault)
