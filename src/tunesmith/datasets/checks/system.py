"""Leading system messages that differ from row to row."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from tunesmith.datasets.findings import Finding, FindingCounter, make_excerpt
from tunesmith.datasets.json_types import is_list, is_object

__all__ = ["SystemMessageCheck"]

_MAX_TRACKED = 1000
"""Different system messages counted; with more of them, they are data and no instruction."""

_DOMINANT = 0.5


class SystemMessageCheck:
    """Finds rows whose system message is not the one that most rows have."""

    def __init__(self, file: str | None) -> None:
        self._file = file
        self._rows = 0
        self._texts: Counter[str] = Counter()
        self._first: dict[str, int] = {}
        self._without = FindingCounter()

    def see(self, line: int, messages: Any) -> None:
        """Look at a conversation."""
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
        """Say which rows are the odd ones."""
        if not self._texts:
            return
        if self._without.count:
            yield self._without.finding(
                "no-system-message",
                "warning",
                f"{self._without.count} rows have no system message, and the others have one: "
                "the model learns less well what it is for.",
                file=self._file,
                field="messages[0]",
            )
        (usual, often), *others = self._texts.most_common()
        if others and often > self._rows * _DOMINANT:
            lines = sorted(self._first[text] for text, _ in others)
            yield Finding(
                code="system-drift",
                severity="warning",
                message=f"{sum(n for _, n in others)} rows have another system message than most, "
                f"which have `{make_excerpt(usual)}`: give all the same, or mean the difference.",
                file=self._file,
                lines=tuple(lines[:20]),
                count=sum(n for _, n in others),
                field="messages[0].content",
                excerpt=make_excerpt(others[0][0]),
            )
