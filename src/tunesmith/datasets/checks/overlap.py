"""Validation rows that are also in the training data."""

from collections.abc import Iterator

from tunesmith.datasets.findings import Finding, FindingCounter, Fix
from tunesmith.datasets.fingerprints import Fingerprints, RepeatFilter, fingerprints_of
from tunesmith.datasets.rows import ChunkSource, Row
from tunesmith.datasets.transforms import DropRows

__all__ = ["overlap_findings"]


def overlap_findings(
    training: ChunkSource, validation: ChunkSource, file: str | None
) -> Iterator[Finding]:
    """Say which training rows are in the validation data too."""
    shared = RepeatFilter(_fingerprints(training).shared_with(_fingerprints(validation)))
    found = FindingCounter()
    for chunk in training() if len(shared) else ():
        for row, fingerprint in zip(chunk, fingerprints_of(chunk), strict=True):
            if shared.has(fingerprint):
                found.add(row.line)
    if found.count:

        def is_shared(row: Row) -> bool:
            return shared.has(fingerprints_of([row])[0])

        yield found.finding(
            "validation-in-training",
            "warning",
            f"{found.count} training rows are in the validation data too, which then measures "
            "memory, not learning.",
            file=file,
            remedy=Fix(
                description=f"Remove {found.count} rows that are in the validation data",
                transform=DropRows(is_shared),
            ),
        )


def _fingerprints(rows: ChunkSource) -> Fingerprints:
    fingerprints = Fingerprints()
    for chunk in rows():
        fingerprints.add(fingerprints_of(chunk))
    return fingerprints
