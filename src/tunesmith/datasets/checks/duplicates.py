"""Rows that are the same, and rows that are nearly so."""

import string
from collections.abc import Iterator
from itertools import islice

from tunesmith.datasets.checks.texts import row_texts
from tunesmith.datasets.findings import MAX_LINES_LISTED, Finding, FindingCounter, Fix
from tunesmith.datasets.fingerprints import Fingerprints, RepeatFilter, fingerprints_of
from tunesmith.datasets.rows import ChunkSource
from tunesmith.datasets.transforms import DropDuplicates

__all__ = ["Duplicates"]

_SEPARATOR = "\x1e"
# Points and signs stay: 1.5 is not 15, nor -3 3.
_PASSED_OVER = "".join(set(string.whitespace + string.punctuation) - set(".-+")).encode()


class Duplicates:
    """Finds rows that repeat, by fingerprints of 8 bytes."""

    def __init__(self, file: str | None) -> None:
        self._file = file
        self._exact = Fingerprints()
        self._near = Fingerprints()

    def see(self, fingerprints: list[int], texts: list[str]) -> None:
        """Look at the fingerprints of some rows, and at the text of each."""
        self._exact.add(fingerprints)
        self._near.add(_near_fingerprints(texts))

    def findings(self, rows: ChunkSource) -> Iterator[Finding]:
        """Say which rows repeat."""
        distinct = self._exact.distinct()
        if duplicates := self._exact.count - distinct:
            yield Finding(
                code="duplicates",
                severity="warning",
                message=f"{duplicates} rows repeat earlier ones: the model would learn them by "
                "heart rather than what they have in common with others.",
                file=self._file,
                lines=tuple(islice(self._repeated_lines(rows), MAX_LINES_LISTED)),
                count=duplicates,
                remedy=Fix(
                    description=f"Remove {duplicates} duplicate rows", transform=DropDuplicates()
                ),
            )
        if near := distinct - self._near.distinct():
            named = self._near_duplicates(rows)
            yield Finding(
                code="near-duplicates",
                severity="warning",
                message=f"{near} rows differ from earlier ones only in case, spaces or "
                "punctuation: read them, and keep one of each.",
                file=self._file,
                lines=tuple(named.lines),
                count=near,
                excerpt=named.excerpt,
            )

    def _repeated_lines(self, rows: ChunkSource) -> Iterator[int]:
        seen = RepeatFilter(self._exact.repeated())
        for chunk in rows():
            for row, fingerprint in zip(chunk, fingerprints_of(chunk), strict=True):
                if seen.is_repeat(fingerprint):
                    yield row.line

    def _near_duplicates(self, rows: ChunkSource) -> FindingCounter:
        alike = RepeatFilter(self._near.repeated())
        first: dict[int, int] = {}
        found = FindingCounter()
        for chunk in rows():
            texts = row_texts(chunk)
            fingerprints = zip(_near_fingerprints(texts), fingerprints_of(chunk), strict=True)
            for row, text, (near, own) in zip(chunk, texts, fingerprints, strict=True):
                if alike.has(near) and first.setdefault(near, own) != own:
                    found.add(row.line, excerpt=text.replace("\x1f", " "))
                    if len(found.lines) == MAX_LINES_LISTED:
                        return found
        return found


def _near_fingerprints(texts: list[str]) -> list[int]:
    """Fingerprints that are the same for rows that differ in case, spaces or punctuation only."""
    # All rows at once, so that the work is done by C.
    keys = _normalised(_SEPARATOR.join(texts)).split(_SEPARATOR.encode())
    if len(keys) != len(texts):
        keys = [_normalised(text) for text in texts]
    return [hash(key.strip(b".")) for key in keys]


def _normalised(text: str) -> bytes:
    return text.lower().encode(errors="surrogatepass").translate(None, _PASSED_OVER)
