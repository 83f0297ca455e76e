"""What happened while reading: broken lines, and what was changed so that rows have one shape."""

from typing import Literal

from tunesmith.datasets.findings import FindingCounter, make_excerpt
from tunesmith.errors import DatasetError

__all__ = ["MAX_LINE_BYTES", "OnBroken", "ReadIssues"]

OnBroken = Literal["raise", "skip"]
"""What to do with a line that cannot be read: stop with an error, or leave it out and say so."""

MAX_LINE_BYTES = 64 * 1024 * 1024
"""Longer lines are taken for broken: a missing line break or quote would fill the memory."""


class ReadIssues:
    """Notes taken while one pass is made over a dataset.

    Args:
        file: The file's name, for messages; None for rows given as objects.
        on_broken: What to do with a line that cannot be read.
        max_line_bytes: Lines longer than this are broken.
    """

    def __init__(
        self,
        file: str | None,
        on_broken: OnBroken = "raise",
        max_line_bytes: int = MAX_LINE_BYTES,
    ) -> None:
        self.file = file
        self.on_broken = on_broken
        self.max_line_bytes = max_line_bytes
        self.broken = FindingCounter()
        self.first_broken = ""
        self.renamed: dict[str, str] = {}
        self.extra: list[str] = []
        self.not_text = FindingCounter()
        self.further_sheets: list[str] = []
        self.conversions: list[str] = []

    def broken_line(
        self,
        line: int,
        message: str,
        *,
        excerpt: object = None,
        field: str | None = None,
        remedy: str = "",
    ) -> None:
        """Raise for a broken line, or count it, as the user wants it."""
        if self.on_broken == "raise":
            way_out = "Mend the line, or leave such lines out with on_broken='skip'."
            remedy = f"{remedy} {way_out}".strip()
            raise self.make_error(line, message, excerpt=excerpt, field=field, remedy=remedy)
        self.first_broken = self.first_broken or f"{message} {remedy}".strip()
        self.broken.add(line, excerpt=excerpt, field=field)

    def make_error(
        self, line: int, message: str, *, excerpt: object, field: str | None, remedy: str
    ) -> DatasetError:
        """Make the error for a broken line."""
        shown = f" It begins {make_excerpt(excerpt)!r}." if excerpt else ""
        return DatasetError(
            message + shown, file=self.file, line=line, field=field, remedy=remedy or None
        )

    def too_long(self, line: int) -> None:
        """Raise for a line that is too long, or count it."""
        size = f"{self.max_line_bytes / 1024 / 1024:.0f} MiB"
        self.broken_line(
            line,
            f"This line is longer than {size}.",
            remedy="A line break or a closing quote may be missing; if the line is meant to be so "
            "long, raise max_line_bytes.",
        )
