"""Histograms of counts and lengths, in bounded memory."""

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

__all__ = ["Bin", "Histogram"]

_EXACT_BITS = 7


class Bin(NamedTuple):
    """How many values there are from `low` up to and including `high`."""

    low: int
    high: int
    values: int


class Histogram:
    """The distribution of whole numbers that are not negative.

    Values up to 127 are kept as they are, larger ones to within one per cent, so that memory is
    bounded however many there are. Sum, least and greatest are exact.

    Example:
        ```python
        lengths = Histogram()
        lengths.add([3, 5, 8])
        assert (lengths.count, lengths.total, lengths.quantile(0.5)) == (3, 16, 5)
        ```
    """

    def __init__(self) -> None:
        self.count = 0
        self.total = 0
        self.least = 0
        self.greatest = 0
        self._counts: Counter[int] = Counter()

    def add(self, values: Iterable[int]) -> None:
        """Count some values."""
        for value, times in Counter(values).items():
            self.least = min(self.least, value) if self.count else value
            self.greatest = max(self.greatest, value)
            self.count += times
            self.total += value * times
            self._counts[_rounded(value)] += times

    @property
    def mean(self) -> float:
        """The mean; 0 of no values."""
        return self.total / self.count if self.count else 0.0

    def quantile(self, share: float) -> int:
        """The value that `share` of the values do not exceed; 0 of no values."""
        wanted = share * self.count
        seen = 0
        for value, times in sorted(self._counts.items()):
            seen += times
            if seen >= wanted:
                return max(value, self.least)
        return 0

    def bins(self, most: int = 20) -> list[Bin]:
        """Count values by ranges of the same width; the last takes the hundredth that is largest.

        Args:
            most: The greatest number of ranges.
        """
        if not self.count:
            return []
        top = max(self.quantile(0.99), self.least + 1)
        width = _round_width((top - self.least) / most)
        start = self.least // width * width
        number = min((top - start) // width + 1, most + 1)
        counts = [0] * number
        for value, times in self._counts.items():
            counts[min(max(value - start, 0) // width, number - 1)] += times
        bins = [
            Bin(start + i * width, start + (i + 1) * width - 1, n) for i, n in enumerate(counts)
        ]
        bins[-1] = bins[-1]._replace(high=max(bins[-1].high, self.greatest))
        return bins

    def to_dict(self) -> dict[str, object]:
        """The distribution, for machines."""
        return {
            "count": self.count,
            "total": self.total,
            "mean": round(self.mean, 2),
            "least": self.least,
            "p5": self.quantile(0.05),
            "median": self.quantile(0.5),
            "p95": self.quantile(0.95),
            "greatest": self.greatest,
            "bins": [each._asdict() for each in self.bins()],
        }


def _rounded(value: int) -> int:
    cut = max(value.bit_length() - _EXACT_BITS, 0)
    return value >> cut << cut


def _round_width(width: float) -> int:
    """The next larger number among 1, 2, 5, 10, 20, 50 and so on."""
    unit = 1
    while True:
        for step in (1, 2, 5):
            if step * unit >= width:
                return step * unit
        unit *= 10
