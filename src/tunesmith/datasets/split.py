"""Split into training and validation rows: by a seed, evenly over labels."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from random import Random

from tunesmith.datasets.rows import Chunk, Row
from tunesmith.errors import DatasetError

__all__ = ["Stratum", "default_validation_rows", "split_chunks", "validation_rows"]

Stratum = Callable[[Row], str]
"""Function that returns the group of a row; the same share is taken from each group."""

_MAX_DEFAULT_ROWS = 1000


def default_validation_rows(rows: int) -> int:
    """Return a fifth of the rows, at most a thousand."""
    return min(_MAX_DEFAULT_ROWS, rows - int(rows * 0.8))


def validation_rows(rows: int, share: float) -> int:
    """Return the number of rows for validation: at least one, and not all.

    Raises:
        DatasetError: The share is not between 0 and 1, or there is only one row.
    """
    if not 0 < share < 1:
        raise DatasetError(
            f"The split must be a share between 0 and 1, not {share}.", remedy="Use, say, 0.1."
        )
    if rows <= 1:
        raise DatasetError("One row cannot be split.", remedy="Add examples.")
    return min(max(round(rows * share), 1), rows - 1)


def split_chunks(
    chunks: Iterable[Chunk],
    stratum: Stratum,
    sizes: Mapping[str, int],
    validation_size: int,
    seed: int,
) -> Iterator[tuple[Chunk, Chunk]]:
    """Split rows into training and validation as they come.

    Args:
        chunks: The rows.
        stratum: Returns the group of a row.
        sizes: The number of rows in each group.
        validation_size: The number of rows for validation. It can be less, because each group keeps
            one row for training.
        seed: The same seed selects the same rows.
    """
    random = Random(seed)  # noqa: S311 — chance, not secrecy
    left = dict(sizes)
    remaining = _shares(sizes, validation_size)
    for chunk in chunks:
        train: Chunk = []
        validation: Chunk = []
        for row in chunk:
            group = stratum(row)
            # Selection sampling: each row of a group has the same chance.
            is_selected = random.random() * left[group] < remaining[group]
            left[group] -= 1
            remaining[group] -= is_selected
            (validation if is_selected else train).append(row)
        yield train, validation


def _shares(sizes: Mapping[str, int], size: int) -> dict[str, int]:
    """Return the number of rows to take from each group, rounded so that the sum is right."""
    total = sum(sizes.values())
    limits = {group: max(n - 1, 0) for group, n in sizes.items()}
    shares = {group: min(n * size // total, limits[group]) for group, n in sizes.items()}
    remainders = Counter({group: n * size % total for group, n in sizes.items()})
    missing = size - sum(shares.values())
    while missing and (groups := [g for g, _ in remainders.most_common() if shares[g] < limits[g]]):
        for group in groups[:missing]:
            shares[group] += 1
        missing = size - sum(shares.values())
    return shares
