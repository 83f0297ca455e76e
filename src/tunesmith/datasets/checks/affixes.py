"""What all texts of a column begin or end with, without words cut in two."""

import re
from collections.abc import Iterable, Iterator
from os.path import commonprefix

from tunesmith.datasets.checks.texts import find_markers
from tunesmith.datasets.rows import ChunkSource

__all__ = ["AffixStats", "would_repeat"]


class AffixStats:
    """The common prefix and suffix of a column, and which candidates for one are in no text.

    Args:
        candidates: Endings that could be added.
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

    def see(self, texts: list[str], joined: str) -> None:
        """Look at some texts, and at all of them joined."""
        used = find_markers(joined, self.unused)
        self.unused = [candidate for candidate in self.unused if candidate not in used]
        if not texts or (self.longest and not (self._prefix or self._suffix)):
            # Texts that differ at both ends have nothing in common any more.
            return
        lengths = list(map(len, texts))
        if self._prefix is None or self._suffix is None:
            self._prefix = self._suffix = texts[0]
            self.shortest = lengths[0]
        self.shortest = min(self.shortest, *lengths)
        self.longest = max(self.longest, *lengths)
        if self._prefix:
            # The first and the last in order differ soonest of all.
            self._prefix = _common_prefix([self._prefix, min(texts), max(texts)])
        if self._suffix:
            self._see_suffix(texts, joined)
        self._seen = True

    def _see_suffix(self, texts: list[str], joined: str) -> None:
        before = self._suffix or ""
        self._suffix = _common_suffix(before, texts)
        if before != self._suffix and self._seen:
            # What was seen was not searched for the shorter one.
            self._unsure = True
        suffix = self.suffix
        self._inside = bool(suffix) and (self._inside or joined.count(suffix) > len(texts))

    @property
    def identical(self) -> bool:
        """Whether all texts are the same."""
        return len(self._suffix or "") == self.longest == self.shortest

    @property
    def prefix(self) -> str:
        """What all texts begin with; a word is in it as a whole or not at all.

        Letters and digits at its end are left off, as a word may go on in some texts: of `There`
        and `Then` it is empty, and of `To be` and `To go` it is `To` with the space.
        """
        prefix = self._prefix or ""
        return prefix[: len(prefix) - _letters_at_the_start(prefix[::-1])]

    @property
    def suffix(self) -> str:
        """What all texts end with; a word is in it as a whole or not at all.

        Letters and digits at its beginning are left off, as a word may have begun before them: of
        `positive` and `negative` it is empty, not `tive`.
        """
        suffix = self._suffix or ""
        return suffix[_letters_at_the_start(suffix) :]

    def suffix_is_inside(self, rows: ChunkSource, field: str) -> bool:
        """Whether any text holds the suffix before its end, too; `rows` are read if need be."""
        suffix = self.suffix
        if self._inside or not self._unsure:
            return self._inside
        return any(suffix in text[: -len(suffix)] for text in _texts(rows, field))


def would_repeat(rows: ChunkSource, field: str, prefix: str, ending: str) -> bool:
    """Whether any text would begin with `prefix` still, after it has been removed once."""
    lowered = prefix.strip().lower()
    return any(
        (text[len(prefix) :] + ending).lstrip().lower().startswith(lowered)
        for text in _texts(rows, field)
    )


def _texts(rows: ChunkSource, field: str) -> Iterator[str]:
    return (data[field] for chunk in rows() for _, data in chunk)


def _common_prefix(texts: list[str]) -> str:
    return commonprefix(texts)  # noqa: RUF071 — character by character is what is wanted


def _common_suffix(suffix: str, texts: list[str]) -> str:
    for text in texts:
        if not text.endswith(suffix):
            suffix = _common_prefix([suffix[::-1], text[::-1]])[::-1]
    return suffix


_LETTERS = re.compile(r"\w*")


def _letters_at_the_start(text: str) -> int:
    """How many letters, digits and underscores a text begins with; it can be millions."""
    found = _LETTERS.match(text)
    return found.end() if found else 0
