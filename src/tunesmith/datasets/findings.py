"""Findings: what is wrong with a dataset, where, and what can be done about it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from tunesmith.datasets.transforms import RowTransform

__all__ = ["Finding", "FindingCounter", "Fix", "FixDecision", "Severity", "make_excerpt"]

Severity = Literal["fatal", "error", "warning", "info"]
"""How bad it is.

- `fatal`: nothing useful can be made of this file; nothing is written.
- `error`: the service would refuse the file, or the row.
- `warning`: the service would take it, and the model would be worse for it.
- `info`: good to know.
"""

EXCERPT_CHARACTERS = 80
MAX_LINES_LISTED = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Fix:
    """What can be done about a finding.

    Attributes:
        description: What it does, as an instruction: `Remove 3 duplicate rows`.
        transform: The change itself; None if reading the file does it already.
        required: Whether nothing can be written without it; it is then applied without asking.
    """

    description: str
    transform: RowTransform | None
    required: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was found, however many rows it concerns.

    Attributes:
        code: A short name that stays the same from release to release, such as `duplicates`.
        severity: How bad it is.
        message: What was found and why it matters, in a sentence or two.
        file: The file, as it was given; None for rows given as objects.
        lines: The lines of the first rows concerned, counted from 1; at most 20.
        count: How many rows are concerned; 0 if it is about the file as a whole.
        field: The column, or the path to the key, such as `messages[2].content`.
        excerpt: The beginning of the first text concerned; secrets are masked.
        remedy: What can be done about it; None if only its author can.
    """

    code: str
    severity: Severity
    message: str
    file: str | None = None
    lines: tuple[int, ...] = ()
    count: int = 0
    field: str | None = None
    excerpt: str | None = None
    remedy: Fix | None = None

    @property
    def line(self) -> int | None:
        """The line of the first row concerned."""
        return self.lines[0] if self.lines else None

    def __str__(self) -> str:
        place = ":".join(str(part) for part in (self.file, self.line) if part is not None)
        column = f" [{self.field}]" if self.field else ""
        where = f"{place}{column}: " if place or column else ""
        return f"{where}{self.severity}: {self.message} ({self.code})"


FixDecision = Callable[[Finding], bool]
"""Called with each finding that has an optional remedy: whether to apply it."""


def make_excerpt(text: object) -> str:
    """The beginning of `text`, on one line, and printable where bytes were no text."""
    flat = str(text).replace("\n", "\\n")
    if len(flat) > EXCERPT_CHARACTERS:
        flat = flat[: EXCERPT_CHARACTERS - 1] + "…"
    return flat.encode(errors="replace").decode()


class FindingCounter:
    """Counts the rows that one finding concerns, and remembers the first of them."""

    def __init__(self) -> None:
        self.count = 0
        self.lines: list[int] = []
        self.field: str | None = None
        self.excerpt: str | None = None

    def add(self, *lines: int, field: str | None = None, excerpt: object = None) -> None:
        """Count the rows that begin on these lines; field and excerpt are the first one's."""
        if not self.count:
            self.field = field
            self.excerpt = None if excerpt is None else make_excerpt(excerpt)
        self.count += len(lines)
        if len(self.lines) < MAX_LINES_LISTED:
            self.lines += lines[: MAX_LINES_LISTED - len(self.lines)]

    def finding(
        self,
        code: str,
        severity: Severity,
        message: str,
        *,
        file: str | None,
        field: str | None = None,
        remedy: Fix | None = None,
    ) -> Finding:
        """What was counted, as a finding."""
        return Finding(
            code=code,
            severity=severity,
            message=message,
            file=file,
            lines=tuple(self.lines),
            count=self.count,
            field=field or self.field,
            excerpt=self.excerpt,
            remedy=remedy,
        )
