"""Rows that are equal or nearly equal, within a file and between training and validation."""

import string
from collections.abc import Iterator
from itertools import islice

from tunesmith.datasets.checks.texts import row_texts
from tunesmith.datasets.findings import MAX_LINES_LISTED, Finding, FindingCounter, Fix
from tunesmith.datasets.fingerprints import Fingerprints, RepeatFilter, fingerprints_of
from tunesmith.datasets.rows import ChunkSource, Row
from tunesmith.datasets.transforms import DropDuplicates, DropRows

__all__ = ["DuplicatesCheck", "overlap_findings"]

_SEPARATOR = "\x1e"
# Points and signs stay, because 1.5 is not 15, and -3 is not 3.
_IGNORED = "".join(set(string.whitespace + string.punctuation) - set(".-+")).encode()


class DuplicatesCheck:
    """Check for rows that repeat, by fingerprints of 8 bytes."""

    def __init__(self, file: str | None) -> None:
        self._file = file
        self._exact = Fingerprints()
        self._near = Fingerprints()

    def update(self, fingerprints: list[int], texts: list[str]) -> None:
        """Inspect the fingerprints and the texts of some rows."""
        self._exact.add(fingerprints)
        self._near.add(_near_fingerprints(texts))

    def findings(self, rows: ChunkSource) -> Iterator[Finding]:
        """Yield the findings."""
        distinct = self._exact.distinct()
        if duplicates := self._exact.count - distinct:
            yield Finding(
                code="duplicates",
                severity="warning",
                message=f"{duplicates} rows repeat earlier ones: the model would memorize them "
                "instead of learning a pattern.",
                file=self._file,
                lines=tuple(islice(self._repeated_lines(rows), MAX_LINES_LISTED)),
                count=duplicates,
                fix=Fix(
                    description=f"Remove {duplicates} duplicate rows", transform=DropDuplicates()
                ),
            )
        if near := distinct - self._near.distinct():
            counter = self._near_duplicates(rows)
            yield Finding(
                code="near-duplicates",
                severity="warning",
                message=f"{near} rows differ from earlier ones only in case, spaces or "
                "punctuation. Review them, and keep one of each.",
                file=self._file,
                lines=tuple(counter.lines),
                count=near,
                excerpt=counter.excerpt,
            )

    def _repeated_lines(self, rows: ChunkSource) -> Iterator[int]:
        repeats = RepeatFilter(self._exact.repeated())
        for chunk in rows():
            for row, fingerprint in zip(chunk, fingerprints_of(chunk), strict=True):
                if repeats.is_repeat(fingerprint):
                    yield row.line

    def _near_duplicates(self, rows: ChunkSource) -> FindingCounter:
        repeats = RepeatFilter(self._near.repeated())
        first: dict[int, int] = {}
        counter = FindingCounter()
        for chunk in rows():
            texts = row_texts(chunk)
            fingerprints = zip(_near_fingerprints(texts), fingerprints_of(chunk), strict=True)
            for row, text, (near, own) in zip(chunk, texts, fingerprints, strict=True):
                if repeats.has(near) and first.setdefault(near, own) != own:
                    counter.add(row.line, excerpt=text.replace("\x1f", " "))
                    if len(counter.lines) == MAX_LINES_LISTED:
                        return counter
        return counter


def overlap_findings(
    training: ChunkSource, validation: ChunkSource, file: str | None
) -> Iterator[Finding]:
    """Find training rows that are in the validation data too."""
    shared = RepeatFilter(_fingerprints(training).shared_with(_fingerprints(validation)))
    counter = FindingCounter()
    for chunk in training() if len(shared) else ():
        for row, fingerprint in zip(chunk, fingerprints_of(chunk), strict=True):
            if shared.has(fingerprint):
                counter.add(row.line)
    if not counter.count:
        return

    def is_shared(row: Row) -> bool:
        return shared.has(fingerprints_of([row])[0])

    yield counter.finding(
        "validation-in-training",
        "warning",
        f"{counter.rows} of the training data are in the validation data too, which then measures "
        "memory instead of learning.",
        file=file,
        fix=Fix(
            description=f"Remove {counter.rows} that are in the validation data",
            transform=DropRows(is_shared),
        ),
    )


def _fingerprints(rows: ChunkSource) -> Fingerprints:
    fingerprints = Fingerprints()
    for chunk in rows():
        fingerprints.add(fingerprints_of(chunk))
    return fingerprints


def _near_fingerprints(texts: list[str]) -> list[int]:
    """Return fingerprints that ignore case, spaces and punctuation."""
    # All rows at once, so that the loops run in C.
    keys = _normalize(_SEPARATOR.join(texts)).split(_SEPARATOR.encode())
    if len(keys) != len(texts):
        keys = [_normalize(text) for text in texts]
    return [hash(key.strip(b".")) for key in keys]


def _normalize(text: str) -> bytes:
    return text.lower().encode(errors="surrogatepass").translate(None, _IGNORED)
