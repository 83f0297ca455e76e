"""Train and validation: which row goes where, by a seed, evenly over labels."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from random import Random

from tunesmith.datasets.rows import Chunk, Row
from tunesmith.errors import DatasetError

__all__ = ["Stratum", "default_validation_rows", "split_chunks", "validation_rows"]

Stratum = Callable[[Row], str]
"""The group a row belongs to: from each, the same share is taken."""

_MAX_DEFAULT_ROWS = 1000


def default_validation_rows(rows: int) -> int:
    """A fifth of the rows, and no more than a thousand."""
    return min(_MAX_DEFAULT_ROWS, rows - int(rows * 0.8))


def validation_rows(rows: int, share: float) -> int:
    """How many of `rows` are `share` of them: one at least, and not all.

    Raises:
        DatasetError: The share is not between 0 and 1, or there is but one row.
    """
    if not 0 < share < 1:
        raise DatasetError(
            f"A split of {share} is no share of the rows.",
            remedy="Give one between 0 and 1, such as 0.1.",
        )
    if rows <= 1:
        raise DatasetError("One row cannot be split.", remedy="Give more examples.")
    return min(max(round(rows * share), 1), rows - 1)


def split_chunks(
    chunks: Iterable[Chunk], stratum: Stratum, sizes: Mapping[str, int], taken: int, seed: int
) -> Iterator[tuple[Chunk, Chunk]]:
    """Part rows into train and validation as they come; exactly `taken` go to validation.

    Args:
        chunks: The rows.
        stratum: The group a row belongs to.
        sizes: How many rows each group has.
        taken: How many rows go to validation. Fewer may, as each group keeps one for training.
        seed: The same seed takes the same rows.
    """
    random = Random(seed)  # noqa: S311 — chance, not secrecy
    left = dict(sizes)
    wanted = _shares(sizes, taken)
    for chunk in chunks:
        train: Chunk = []
        validation: Chunk = []
        for row in chunk:
            group = stratum(row)
            # Of those left, as many are taken as are still wanted: each row has the same chance.
            chosen = random.random() * left[group] < wanted[group]
            left[group] -= 1
            wanted[group] -= chosen
            (validation if chosen else train).append(row)
        yield train, validation


def _shares(sizes: Mapping[str, int], taken: int) -> dict[str, int]:
    """How many rows are taken from each group: its share, rounded so that the sum is right."""
    total = sum(sizes.values())
    most = {group: max(size - 1, 0) for group, size in sizes.items()}
    shares = {group: min(size * taken // total, most[group]) for group, size in sizes.items()}
    remainders = Counter({group: size * taken % total for group, size in sizes.items()})
    missing = taken - sum(shares.values())
    while missing and (groups := [g for g, _ in remainders.most_common() if shares[g] < most[g]]):
        for group in groups[:missing]:
            shares[group] += 1
        missing = taken - sum(shares.values())
    return shares
