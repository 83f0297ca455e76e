"""Issues found while a dataset is read: broken lines, and changes that gave rows one shape."""

from collections import Counter
from typing import Literal

from tunesmith.datasets.findings import FindingCounter, make_excerpt
from tunesmith.errors import DatasetError

__all__ = ["MAX_LINE_BYTES", "OnBroken", "ReadIssues"]

OnBroken = Literal["raise", "skip"]
"""Treatment of lines that cannot be read: raise an error, or leave them out and report them."""

MAX_LINE_BYTES = 64 * 1024 * 1024
"""Longer lines count as broken: a missing line break or quote would fill the memory."""

_MAX_KEYS = 1000
"""Number of different unused keys that are counted; keys can be data."""


class ReadIssues:
    """Issues of one pass over a dataset.

    Args:
        file: The name of the file for messages; None for rows given as objects.
        on_broken: Treatment of lines that cannot be read.
        max_line_bytes: Lines longer than this are broken.

    Attributes:
        message_lists: Whether a line may be a list of messages instead of an object.
        characters: The number of characters or bytes read so far.
        conversions: The conversions made, such as `csv to JSON lines`.
        mapping: The columns or keys of the file and the place of each in the converted rows.
        renamed: The columns that were renamed.
        extra: The number of rows with each key that was left out.
        further_lists: The lists of rows that were left out, with their sizes.
        rejected: The rows that are labelled as bad answers and were left out.
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
        self.message_lists = False
        self.characters = 0
        self.broken = FindingCounter()
        self.first_broken = ""
        self.conversions: list[str] = []
        self.mapping: dict[str, str] = {}
        self.renamed: dict[str, str] = {}
        self.extra: Counter[str] = Counter()
        self.rejected = FindingCounter()
        self.not_text = FindingCounter()
        self.further_sheets: list[str] = []
        self.further_lists: dict[str, int] = {}

    def count_extra(self, key: str) -> None:
        """Count a row that has a key which the format does not use."""
        if key in self.extra or len(self.extra) < _MAX_KEYS:
            self.extra[key] += 1

    def broken_line(
        self,
        line: int,
        message: str,
        *,
        excerpt: object = None,
        field: str | None = None,
        hint: str = "",
    ) -> None:
        """Raise for a broken line, or count it."""
        if self.on_broken == "raise":
            hint = f"{hint} Fix the line, or skip such lines with on_broken='skip'.".strip()
            raise self.make_error(line, message, excerpt=excerpt, field=field, hint=hint)
        self.first_broken = self.first_broken or f"{message} {hint}".strip()
        self.broken.add(line, excerpt=excerpt, field=field)

    def make_error(
        self, line: int, message: str, *, excerpt: object, field: str | None, hint: str
    ) -> DatasetError:
        """Make the error for a broken line."""
        shown = f" It begins {make_excerpt(excerpt)!r}." if excerpt else ""
        return DatasetError(
            message + shown, file=self.file, line=line, field=field, remedy=hint or None
        )

    def too_long(self, line: int) -> None:
        """Raise for a line that is too long, or count it."""
        size = f"{self.max_line_bytes / 1024 / 1024:.0f} MiB"
        self.broken_line(
            line,
            f"This line is longer than {size}.",
            hint="A line break or a closing quote may be missing; if the line is correct, raise "
            "max_line_bytes.",
        )
