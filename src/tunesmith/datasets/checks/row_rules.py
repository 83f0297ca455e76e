"""Problems of single rows: found by a function, counted by code, remedied by leaving rows out."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from tunesmith.datasets.findings import Finding, Remedy, Severity, Tally
from tunesmith.datasets.rows import Chunk, Row
from tunesmith.datasets.transforms import DropRows, EditRows

__all__ = ["Inspect", "Problem", "Problems", "Rule"]


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


Inspect = Callable[[dict[str, Any]], Iterator[Problem]]
"""Finds what is wrong with a row."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What a code means.

    Attributes:
        message: What is wrong, following on `3 rows: `.
        severity: How bad it is.
        drop: Whether leaving such rows out is offered.
        mend: What mends such a row, which is then offered instead.
        mending: What that does, as an instruction.
    """

    message: str
    severity: Severity = "error"
    drop: bool = True
    mend: Callable[[Row], None] | None = None
    mending: str = ""


class Problems:
    """Counts the rows that have problems.

    Args:
        file: The file.
        inspect: Finds what is wrong with a row.
        rules: What the codes mean, in the order in which findings are to be listed.
    """

    def __init__(self, file: str | None, inspect: Inspect, rules: dict[str, Rule]) -> None:
        self._file = file
        self._inspect = inspect
        self._rules = rules
        self._tallies = {code: Tally() for code in rules}

    def see(self, chunk: Chunk) -> None:
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

    def _remedy(self, code: str, rule: Rule, rows: str) -> Remedy | None:
        if rule.mend:
            return Remedy(description=f"{rule.mending} ({rows})", repair=EditRows(rule.mend))
        if rule.drop:
            return Remedy(description=f"Remove {rows} ({code})", repair=self._without(code))
        return None

    def _without(self, code: str) -> DropRows:
        def at_fault(row: Row) -> bool:
            return any(problem.code == code for problem in self._inspect(row.data))

        return DropRows(at_fault)
