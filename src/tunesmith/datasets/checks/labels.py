"""Completions that are labels: whether they are, how many, and how evenly they are spread."""

from collections.abc import Iterator

from tunesmith.datasets.findings import Finding, make_excerpt
from tunesmith.datasets.fingerprints import Fingerprints
from tunesmith.datasets.rows import ChunkSource

__all__ = ["LabelStats"]

ROWS_PER_CLASS = 3
"""Completions are labels if each comes more than this often, on the average."""

MAX_IMBALANCE = 10
"""How many times as frequent the most frequent label may be as the rarest."""


class LabelStats:
    """Counts the different completions, by fingerprints of 8 bytes."""

    def __init__(self, file: str | None) -> None:
        self._file = file
        self._fingerprints = Fingerprints()

    def see(self, completions: list[str]) -> None:
        """Count some completions."""
        self._fingerprints.add(list(map(hash, completions)))

    @property
    def rows(self) -> int:
        """How many completions there are."""
        return self._fingerprints.count

    @property
    def is_classification(self) -> bool:
        """Whether completions repeat so often that they are labels."""
        return self._fingerprints.distinct() < self.rows / ROWS_PER_CLASS

    def findings(self, rows: ChunkSource) -> Iterator[Finding]:
        """Say that this is a classification, and whether its labels are uneven."""
        classes = self._fingerprints.distinct()
        yield Finding(
            code="classification",
            severity="info",
            message=f"The completions are {classes} different labels: this is a classification. "
            "A small model will do, and held-out rows show how well it does.",
            file=self._file,
            field="completion",
            count=classes,
        )
        (most, often), (least, seldom) = self._fingerprints.most_and_least_common()
        if often > MAX_IMBALANCE * seldom:
            names = _texts(rows, {most, least})
            yield Finding(
                code="imbalance",
                severity="warning",
                message=f"The label `{make_excerpt(names[most])}` comes {often} times and "
                f"`{make_excerpt(names[least])}` {seldom} times: the model will favour the first. "
                "Add rows of the rarer ones.",
                file=self._file,
                field="completion",
            )


def _texts(rows: ChunkSource, fingerprints: set[int]) -> dict[int, str]:
    found: dict[int, str] = {}
    for chunk in rows():
        for _, data in chunk:
            if (fingerprint := hash(data["completion"])) in fingerprints:
                found[fingerprint] = data["completion"]
        if len(found) == len(fingerprints):
            break
    return found
