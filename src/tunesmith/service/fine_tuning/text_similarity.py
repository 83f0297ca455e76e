"""How alike two texts are, by the measures of text-similarity graders."""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

__all__ = ["MEASURES", "cosine"]

Ngrams = Counter[tuple[str, ...]]

_MAX_ORDER = 4


def fuzzy_match(text: str, reference: str) -> float:
    """Share of characters that both have in the same order: twice those, by both lengths."""
    total = len(text) + len(reference)
    return 2 * _common(text, reference) / total if total else 1.0


def rouge(text: str, reference: str, order: int) -> float:
    """F1 of the n-grams that both have."""
    ours, theirs = _ngrams(text.split(), order), _ngrams(reference.split(), order)
    return _f1((ours & theirs).total(), ours.total(), theirs.total())


def rouge_l(text: str, reference: str) -> float:
    """F1 of the longest sequence of words that both have."""
    ours, theirs = text.split(), reference.split()
    return _f1(_common(ours, theirs), len(ours), len(theirs))


def bleu(text: str, reference: str) -> float:
    """Geometric mean of the precisions of 1- to 4-grams, less for a text that is too short.

    From 2-grams on, one is added to both counts, so that a short text can have a score.
    """
    ours, theirs = text.split(), reference.split()
    if not ours or not theirs:
        return 0.0
    logs: list[float] = []
    for order in range(1, min(_MAX_ORDER, len(ours)) + 1):
        found, wanted = _ngrams(ours, order), _ngrams(theirs, order)
        matches, smoothing = (found & wanted).total(), int(order > 1)
        if matches + smoothing == 0:
            return 0.0
        logs.append(math.log((matches + smoothing) / (found.total() + smoothing)))
    brevity = min(0.0, 1 - len(theirs) / len(ours))
    return math.exp(brevity + sum(logs) / len(logs))


def gleu(text: str, reference: str) -> float:
    """Share of 1- to 4-grams that both have, of those of the text that has more."""
    ours, theirs = text.split(), reference.split()
    found: Ngrams = Counter()
    wanted: Ngrams = Counter()
    for order in range(1, _MAX_ORDER + 1):
        found += _ngrams(ours, order)
        wanted += _ngrams(theirs, order)
    most = max(found.total(), wanted.total())
    return (found & wanted).total() / most if most else 0.0


def cosine(one: Sequence[float], other: Sequence[float]) -> float:
    """Cosine of the angle between two vectors of length 1."""
    return sum(a * b for a, b in zip(one, other, strict=True))


def _rouge_of(order: int) -> Callable[[str, str], float]:
    return lambda text, reference: rouge(text, reference, order)


MEASURES: Mapping[str, Callable[[str, str], float]] = {
    "fuzzy_match": fuzzy_match,
    "bleu": bleu,
    "gleu": gleu,
    **{f"rouge_{order}": _rouge_of(order) for order in range(1, 6)},
    "rouge_l": rouge_l,
}
"""The measures that need nothing but the two texts."""


def _f1(common: int, ours: int, theirs: int) -> float:
    return 2 * common / (ours + theirs) if ours and theirs else 0.0


def _ngrams(words: Sequence[str], order: int) -> Ngrams:
    return Counter(tuple(words[i : i + order]) for i in range(len(words) - order + 1))


def _common(one: Sequence[str], other: Sequence[str]) -> int:
    """Length of the longest common subsequence."""
    row = [0] * (len(other) + 1)
    for item in one:
        diagonal = 0
        for place, candidate in enumerate(other, 1):
            diagonal, row[place] = (
                row[place],
                diagonal + 1 if item == candidate else max(row[place], row[place - 1]),
            )
    return row[-1]
