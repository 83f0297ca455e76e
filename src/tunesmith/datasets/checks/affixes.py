"""Common prefix and suffix of a column's texts, in whole words."""

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator

from tunesmith.datasets.checks.texts import find_markers
from tunesmith.datasets.rows import ChunkSource

__all__ = ["AffixStats", "common_prefix", "would_repeat"]


class AffixStats:
    """Common prefix and suffix of a column, and the candidate suffixes that no text contains.

    Args:
        candidates: Suffixes that could be added.
    """

    def __init__(self, candidates: Iterable[str]) -> None:
        self._prefix: str | None = None
        self._suffix: str | None = None
        self.unused = list(candidates)
        self.shortest = 0
        self.longest = 0
        self._inside = False
        self._unsure = False
        self._seen = False

    def update(self, texts: list[str], joined: str) -> None:
        """Inspect some texts, and all of them joined."""
        used = find_markers(joined, self.unused)
        self.unused = [candidate for candidate in self.unused if candidate not in used]
        if not texts or (self.longest and not (self._prefix or self._suffix)):
            # The texts already differ at both ends.
            return
        lengths = list(map(len, texts))
        if self._prefix is None or self._suffix is None:
            self._prefix = self._suffix = texts[0]
            self.shortest = lengths[0]
        self.shortest = min(self.shortest, *lengths)
        self.longest = max(self.longest, *lengths)
        if self._prefix:
            # The first and the last in order have the shortest common prefix.
            self._prefix = common_prefix([self._prefix, min(texts), max(texts)])
        if self._suffix:
            self._update_suffix(texts, joined)
        self._seen = True

    def _update_suffix(self, texts: list[str], joined: str) -> None:
        before = self._suffix or ""
        self._suffix = _common_suffix(before, texts)
        if before != self._suffix and self._seen:
            # Earlier texts were not searched for the shorter suffix.
            self._unsure = True
        suffix = self.suffix
        self._inside = bool(suffix) and (self._inside or joined.count(suffix) > len(texts))

    @property
    def identical(self) -> bool:
        """Whether all texts are the same."""
        return len(self._suffix or "") == self.longest == self.shortest

    @property
    def prefix(self) -> str:
        """The common prefix in whole words.

        Letters and digits at its end are left off, because they may be part of different words: of
        `There` and `Then` it is empty, and of `To be` and `To go` it is `To` with the space.
        """
        prefix = self._prefix or ""
        return prefix[: len(prefix) - _leading_letters(prefix[::-1])]

    @property
    def suffix(self) -> str:
        """The common suffix in whole words.

        Letters and digits at its beginning are left off, because they may be part of different
        words: of `positive` and `negative` it is empty, not `tive`.
        """
        suffix = self._suffix or ""
        return suffix[_leading_letters(suffix) :]

    def suffix_is_inside(self, rows: ChunkSource, field: str) -> bool:
        """Return whether a text contains the suffix before its end, too."""
        suffix = self.suffix
        if self._inside or not self._unsure:
            return self._inside
        return any(suffix in text[: -len(suffix)] for text in _texts(rows, field))


def would_repeat(rows: ChunkSource, field: str, prefix: str, ending: str) -> bool:
    """Return whether a text would still begin with the prefix after its removal."""
    lowered = prefix.strip().lower()
    return any(
        (text[len(prefix) :] + ending).lstrip().lower().startswith(lowered)
        for text in _texts(rows, field)
    )


def _texts(rows: ChunkSource, field: str) -> Iterator[str]:
    return (data[field] for chunk in rows() for _, data in chunk)


def common_prefix(texts: list[str]) -> str:
    """Return the beginning that all texts share."""
    first, last = min(texts), max(texts)
    # By halves: character by character takes long for long texts.
    length = bisect_left(
        range(1, len(first) + 1), True, key=lambda length: not last.startswith(first[:length])
    )
    return first[:length]


def _common_suffix(suffix: str, texts: list[str]) -> str:
    for text in texts:
        if not text.endswith(suffix):
            suffix = common_prefix([suffix[::-1], text[::-1]])[::-1]
    return suffix


_LETTERS = re.compile(r"\w*")


def _leading_letters(text: str) -> int:
    """Return the number of letters, digits and underscores at the beginning of a text."""
    letters = _LETTERS.match(text)
    return letters.end() if letters else 0
