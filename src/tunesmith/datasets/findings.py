"""Findings: what is wrong with a dataset, where, and how it can be fixed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from tunesmith.datasets.transforms import RowTransform

__all__ = [
    "Finding",
    "FindingCounter",
    "Fix",
    "FixDecision",
    "Severity",
    "format_lines",
    "make_excerpt",
]

Severity = Literal["fatal", "error", "warning", "info"]
"""Severity of a finding.

- `fatal`: nothing useful can be made of this file; nothing is written.
- `error`: the service would refuse the file, or the row.
- `warning`: the service would accept it, and the model would be worse for it.
- `info`: good to know.
"""

EXCERPT_CHARACTERS = 80
MAX_LINES_LISTED = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Fix:
    """Change that removes the cause of a finding.

    Attributes:
        description: The change as an instruction: `Remove 3 duplicate rows`.
        transform: The change; None if it is already made while the file is read.
        required: Whether it is applied without asking, because nothing can be written without it.
    """

    description: str
    transform: RowTransform | None
    required: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Problem of a dataset, however many rows it concerns.

    Attributes:
        code: A short name that stays the same from release to release, such as `duplicates`.
        severity: The severity.
        message: The problem and why it matters.
        file: The file as it was given; None for rows given as objects.
        lines: The lines of the first rows concerned, counted from 1; at most 20.
        count: The number of rows concerned; 0 for the file as a whole.
        field: The column, or the path to the key, such as `messages[2].content`.
        excerpt: The beginning of the first text concerned; secrets are masked.
        fix: The change that removes the problem; None if only the author can.
    """

    code: str
    severity: Severity
    message: str
    file: str | None = None
    lines: tuple[int, ...] = ()
    count: int = 0
    field: str | None = None
    excerpt: str | None = None
    fix: Fix | None = None

    @property
    def line(self) -> int | None:
        """The line of the first row concerned."""
        return self.lines[0] if self.lines else None

    def __str__(self) -> str:
        place = ":".join(str(part) for part in (self.file, self.line) if part is not None)
        column = f" [{self.field}]" if self.field else ""
        prefix = f"{place}{column}: " if place or column else ""
        return f"{prefix}{self.severity}: {self.message} ({self.code})"


def format_lines(lines: Sequence[int]) -> str:
    """Return the numbers of lines in words, those that follow each other as a range."""
    ranges: list[list[int]] = []
    for line in sorted({*lines}):
        if ranges and line == ranges[-1][1] + 1:
            ranges[-1][1] = line
        else:
            ranges.append([line, line])
    shown = ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in ranges)
    return f"{'line' if shown.isdecimal() else 'lines'} {shown}"


FixDecision = Callable[[Finding], bool]
"""Function called with each finding that has an optional fix; returns whether to apply it."""


def make_excerpt(text: object) -> str:
    """Return the beginning of a text on one line, with bytes that are not text replaced."""
    flat = str(text).replace("\n", "\\n")
    if len(flat) > EXCERPT_CHARACTERS:
        flat = flat[: EXCERPT_CHARACTERS - 1] + "…"
    return flat.encode(errors="replace").decode()


class FindingCounter:
    """Counter of the rows that a finding concerns; keeps the lines of the first ones."""

    def __init__(self) -> None:
        self.count = 0
        self.lines: list[int] = []
        self.field: str | None = None
        self.excerpt: str | None = None

    def add(self, *lines: int, field: str | None = None, excerpt: object = None) -> None:
        """Count the rows that begin on these lines; field and excerpt are the first row's."""
        if not self.count:
            self.field = field
            self.excerpt = None if excerpt is None else make_excerpt(excerpt)
        self.count += len(lines)
        if len(self.lines) < MAX_LINES_LISTED:
            self.lines += lines[: MAX_LINES_LISTED - len(self.lines)]

    @property
    def rows(self) -> str:
        """The number of rows in words: `1 row`, `3 rows`."""
        return "1 row" if self.count == 1 else f"{self.count} rows"

    def finding(
        self,
        code: str,
        severity: Severity,
        message: str,
        *,
        file: str | None,
        field: str | None = None,
        fix: Fix | None = None,
    ) -> Finding:
        """Make the finding for the counted rows."""
        return Finding(
            code=code,
            severity=severity,
            message=message,
            file=file,
            lines=tuple(self.lines),
            count=self.count,
            field=field or self.field,
            excerpt=self.excerpt,
            fix=fix,
        )
