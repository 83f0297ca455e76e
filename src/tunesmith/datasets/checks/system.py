"""System messages that differ from row to row."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from tunesmith._json_types import is_list, is_object
from tunesmith.datasets.findings import Finding, FindingCounter, make_excerpt

__all__ = ["SystemMessageCheck"]

_MAX_TRACKED = 1000
"""Number of different system messages counted; more of them are data, not instructions."""

_DOMINANT = 0.5


class SystemMessageCheck:
    """Check for rows whose system message is not that of most rows."""

    def __init__(self, file: str | None) -> None:
        self._file = file
        self._rows = 0
        self._texts: Counter[str] = Counter()
        self._first: dict[str, int] = {}
        self._without = FindingCounter()

    def update(self, line: int, messages: Any) -> None:
        """Inspect a conversation."""
        first = messages[0] if is_list(messages) and messages else None
        if not is_object(first):
            return
        self._rows += 1
        content = first.get("content")
        if first.get("role") not in ("system", "developer") or not isinstance(content, str):
            self._without.add(line)
        elif content in self._texts or len(self._texts) < _MAX_TRACKED:
            self._texts[content] += 1
            self._first.setdefault(content, line)

    def findings(self) -> Iterator[Finding]:
        """Yield the findings."""
        if not self._texts:
            return
        if self._without.count:
            yield self._without.finding(
                "no-system-message",
                "warning",
                f"{self._without.rows}: no system message, which others have; the model learns "
                "less clearly to follow it.",
                file=self._file,
                field="messages[0]",
            )
        (usual, count), *others = self._texts.most_common()
        if others and count > self._rows * _DOMINANT:
            lines = sorted(self._first[text] for text, _ in others)
            yield Finding(
                code="system-drift",
                severity="warning",
                message=f"{sum(n for _, n in others)} rows do not have the system message of most "
                f"rows, `{make_excerpt(usual)}`. Use one for all, unless the difference matters.",
                file=self._file,
                lines=tuple(lines[:20]),
                count=sum(n for _, n in others),
                field="messages[0].content",
                excerpt=make_excerpt(others[0][0]),
            )
