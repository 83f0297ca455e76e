"""Similarity measures of text-similarity graders."""

import math
from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import partial

__all__ = ["MEASURES", "cosine", "lcs_length"]

Ngrams = Counter[tuple[str, ...]]

_MAX_ORDER = 4


def fuzzy_match(text: str, reference: str) -> float:
    """Return the length of the longest common subsequence relative to both lengths."""
    total = len(text) + len(reference)
    return 2 * lcs_length(text, reference) / total if total else 1.0


def rouge(text: str, reference: str, *, order: int) -> float:
    """Return the F1 score of common n-grams."""
    candidate, target = _ngrams(text.split(), order), _ngrams(reference.split(), order)
    return _f1((candidate & target).total(), candidate.total(), target.total())


def rouge_l(text: str, reference: str) -> float:
    """Return the F1 score of the longest common subsequence of words."""
    candidate, target = text.split(), reference.split()
    return _f1(lcs_length(candidate, target), len(candidate), len(target))


def bleu(text: str, reference: str) -> float:
    """Return the BLEU score: the geometric mean of the precisions of 1- to 4-grams.

    Counts of longer n-grams are smoothed by one, so that short texts have a score.
    """
    candidate, target = text.split(), reference.split()
    if not candidate or not target:
        return 0.0
    logs: list[float] = []
    for order in range(1, min(_MAX_ORDER, len(candidate)) + 1):
        ngrams = _ngrams(candidate, order)
        matches, smoothing = (ngrams & _ngrams(target, order)).total(), int(order > 1)
        if matches + smoothing == 0:
            return 0.0
        logs.append(math.log((matches + smoothing) / (ngrams.total() + smoothing)))
    brevity = min(0.0, 1 - len(target) / len(candidate))
    return math.exp(brevity + sum(logs) / len(logs))


def gleu(text: str, reference: str) -> float:
    """Return the GLEU score: the share of common 1- to 4-grams."""
    candidate, target = _all_ngrams(text.split()), _all_ngrams(reference.split())
    total = max(candidate.total(), target.total())
    return (candidate & target).total() / total if total else 0.0


def cosine(one: Sequence[float], other: Sequence[float]) -> float:
    """Return the cosine similarity of two unit vectors."""
    return sum(a * b for a, b in zip(one, other, strict=True))


MEASURES: Mapping[str, Callable[[str, str], float]] = {
    "fuzzy_match": fuzzy_match,
    "bleu": bleu,
    "gleu": gleu,
    **{f"rouge_{order}": partial(rouge, order=order) for order in range(1, 6)},
    "rouge_l": rouge_l,
}
"""Measures that depend on the two texts alone."""


def lcs_length(one: Sequence[Hashable], other: Sequence[Hashable]) -> int:
    """Return the length of the longest common subsequence.

    Each row of the usual table is one integer (Hyyrö 2004).
    """
    positions: dict[Hashable, int] = {}
    for index, item in enumerate(other):
        positions[item] = positions.get(item, 0) | 1 << index
    full = (1 << len(other)) - 1
    row = full
    for item in one:
        matches = row & positions.get(item, 0)
        row = (row + matches | row - matches) & full
    return len(other) - row.bit_count()


def _f1(common: int, n_candidate: int, n_target: int) -> float:
    return 2 * common / (n_candidate + n_target) if n_candidate and n_target else 0.0


def _ngrams(words: Sequence[str], order: int) -> Ngrams:
    return Counter(tuple(words[i : i + order]) for i in range(len(words) - order + 1))


def _all_ngrams(words: Sequence[str]) -> Ngrams:
    return sum((_ngrams(words, order) for order in range(1, _MAX_ORDER + 1)), start=Ngrams())
