"""Completions that are labels: their number and their balance."""

from collections.abc import Iterator

from tunesmith.datasets.findings import Finding, make_excerpt
from tunesmith.datasets.fingerprints import Fingerprints
from tunesmith.datasets.rows import ChunkSource

__all__ = ["LabelStats"]

ROWS_PER_CLASS = 3
"""Completions are labels if each occurs more often than this, on average."""

MAX_IMBALANCE = 10
"""Largest ratio between the most frequent label and the rarest."""


class LabelStats:
    """Counter of different completions, by fingerprints of 8 bytes."""

    def __init__(self, file: str | None) -> None:
        self._file = file
        self._fingerprints = Fingerprints()

    def update(self, completions: list[str]) -> None:
        """Count some completions."""
        self._fingerprints.add(list(map(hash, completions)))

    @property
    def rows(self) -> int:
        """The number of completions."""
        return self._fingerprints.count

    @property
    def is_classification(self) -> bool:
        """Whether completions repeat so often that they are labels."""
        return self._fingerprints.distinct() < self.rows / ROWS_PER_CLASS

    def findings(self, rows: ChunkSource) -> Iterator[Finding]:
        """Report the classification, and labels that are out of balance."""
        classes = self._fingerprints.distinct()
        yield Finding(
            code="classification",
            severity="info",
            message=f"The completions are {classes} different labels: this is a classification. "
            "A small model is enough, and validation rows show its quality.",
            file=self._file,
            field="completion",
            count=classes,
        )
        (common, maximum), (rare, minimum) = self._fingerprints.most_and_least_common()
        if maximum > MAX_IMBALANCE * minimum:
            names = _texts(rows, {common, rare})
            yield Finding(
                code="imbalance",
                severity="warning",
                message=f"The label `{make_excerpt(names[common])}` occurs {maximum} times and "
                f"`{make_excerpt(names[rare])}` {minimum} times: the model will favour the first. "
                "Add rows of the rarer labels.",
                file=self._file,
                field="completion",
            )


def _texts(rows: ChunkSource, fingerprints: set[int]) -> dict[int, str]:
    texts: dict[int, str] = {}
    for chunk in rows():
        for _, data in chunk:
            if (fingerprint := hash(data["completion"])) in fingerprints:
                texts[fingerprint] = data["completion"]
        if len(texts) == len(fingerprints):
            break
    return texts
