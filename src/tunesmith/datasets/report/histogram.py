"""Histograms of counts and lengths, in bounded memory."""

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

__all__ = ["Bin", "Histogram"]

_EXACT_BITS = 7


class Bin(NamedTuple):
    """Number of values from `low` up to and including `high`."""

    low: int
    high: int
    values: int


class Histogram:
    """Distribution of non-negative integers.

    Values up to 127 are stored exactly, larger ones to within one per cent, so that memory is
    bounded. Sum, minimum and maximum are exact.

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
        self.minimum = 0
        self.maximum = 0
        self._counts: Counter[int] = Counter()

    def add(self, values: Iterable[int]) -> None:
        """Add values."""
        for value, times in Counter(values).items():
            self.minimum = min(self.minimum, value) if self.count else value
            self.maximum = max(self.maximum, value)
            self.count += times
            self.total += value * times
            self._counts[_round(value)] += times

    @property
    def mean(self) -> float:
        """The mean; 0 without values."""
        return self.total / self.count if self.count else 0.0

    def quantile(self, share: float) -> int:
        """Return the value that `share` of the values do not exceed; 0 without values."""
        target = share * self.count
        seen = 0
        for value, times in sorted(self._counts.items()):
            seen += times
            if seen >= target:
                return max(value, self.minimum)
        return 0

    def bins(self, max_bins: int = 20) -> list[Bin]:
        """Count values in bins of the same width; the last one has the largest hundredth.

        Args:
            max_bins: The largest number of bins.
        """
        if not self.count:
            return []
        top = max(self.quantile(0.99), self.minimum + 1)
        width = _round_width((top - self.minimum) / max_bins)
        start = self.minimum // width * width
        number = min((top - start) // width + 1, max_bins + 1)
        counts = [0] * number
        for value, times in self._counts.items():
            counts[min(max(value - start, 0) // width, number - 1)] += times
        bins = [
            Bin(start + i * width, start + (i + 1) * width - 1, n) for i, n in enumerate(counts)
        ]
        bins[-1] = bins[-1]._replace(high=max(bins[-1].high, self.maximum))
        return bins

    def to_dict(self) -> dict[str, object]:
        """Return the distribution as JSON values."""
        return {
            "count": self.count,
            "total": self.total,
            "mean": round(self.mean, 2),
            "minimum": self.minimum,
            "p5": self.quantile(0.05),
            "median": self.quantile(0.5),
            "p95": self.quantile(0.95),
            "maximum": self.maximum,
            "bins": [interval._asdict() for interval in self.bins()],
        }


def _round(value: int) -> int:
    cut = max(value.bit_length() - _EXACT_BITS, 0)
    return value >> cut << cut


def _round_width(width: float) -> int:
    """Return the next larger number among 1, 2, 5, 10, 20, 50 and so on."""
    unit = 1
    while True:
        for step in (1, 2, 5):
            if step * unit >= width:
                return step * unit
        unit *= 10
