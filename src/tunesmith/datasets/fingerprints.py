"""Which of millions of rows are the same: 8 bytes a row, and those on disk when there are many."""

import weakref
from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Collection
from itertools import pairwise
from tempfile import TemporaryFile
from typing import IO

from pydantic_core import to_json

from tunesmith.datasets.rows import Chunk, columns, is_table

__all__ = ["Fingerprints", "RepeatFilter", "fingerprints_of", "pair_fingerprints"]

BUCKETS = 256
KEPT_IN_MEMORY = 1 << 20
"""Fingerprints held before they go to a temporary file: 8 MB."""


def fingerprints_of(chunk: Chunk) -> list[int]:
    """A 64-bit fingerprint of each row.

    Two different rows have the same one with a chance of about n²/2⁶⁵: for ten million rows, one in
    four hundred thousand. They hold within one process only.
    """
    if is_table(chunk):
        return pair_fingerprints(*columns(chunk))
    return [hash(to_json(data)) for _, data in chunk]


def pair_fingerprints(prompts: list[str], completions: list[str]) -> list[int]:
    """A 64-bit fingerprint of each row of a table."""
    return list(map(hash, zip(prompts, completions, strict=True)))


class Fingerprints:
    """A count of fingerprints, in flat memory: parted by their first byte, and spilled to disk."""

    def __init__(self) -> None:
        self._buckets = [array("q") for _ in range(BUCKETS)]
        self._spilled: list[list[tuple[int, int]]] = [[] for _ in range(BUCKETS)]
        self._file: IO[bytes] | None = None
        self._held = 0
        self.count = 0

    def add(self, fingerprints: Collection[int]) -> None:
        """Count them."""
        buckets = self._buckets
        for fingerprint in fingerprints:
            buckets[fingerprint >> 56].append(fingerprint)
        self._held += len(fingerprints)
        self.count += len(fingerprints)
        if self._held >= KEPT_IN_MEMORY:
            self._spill_to_disk()

    def distinct(self) -> int:
        """How many different ones there are."""
        return sum(len(set(self.bucket(index))) for index in range(BUCKETS))

    def most_and_least_common(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """The most frequent one and the rarest, each with how often it came."""
        counters = [Counter(bucket) for i in range(BUCKETS) if (bucket := self.bucket(i))]
        most = max((c.most_common(1)[0] for c in counters), key=lambda pair: pair[1])
        least = min((min(c.items(), key=lambda p: p[1]) for c in counters), key=lambda p: p[1])
        return most, least

    def repeated(self) -> "array[int]":
        """Those that came more than once, in order."""
        found = array("q")
        for index in _IN_ORDER:
            bucket = self.bucket(index)
            if len(set(bucket)) < len(bucket):
                found.extend(sorted({a for a, b in pairwise(sorted(bucket)) if a == b}))
        return found

    def shared_with(self, other: "Fingerprints") -> "array[int]":
        """Those that both have, in order."""
        found = array("q")
        for index in _IN_ORDER:
            found.extend(sorted(set(self.bucket(index)).intersection(other.bucket(index))))
        return found

    def bucket(self, index: int) -> "array[int]":
        """Those whose first byte, as a signed number, is `index` or `index - 256`."""
        bucket = array("q")
        for offset, length in self._spilled[index]:
            assert self._file is not None  # noqa: S101 — what was spilled went to the file
            self._file.seek(offset)
            bucket.frombytes(self._file.read(length))
        bucket.extend(self._buckets[index])
        return bucket

    def _spill_to_disk(self) -> None:
        if self._file is None:
            self._file = TemporaryFile(prefix="tunesmith-")  # noqa: SIM115 — closed with this object
            weakref.finalize(self, self._file.close)
        self._file.seek(0, 2)
        for index, bucket in enumerate(self._buckets):
            offset = self._file.tell()
            length = self._file.write(bucket.tobytes())
            self._spilled[index].append((offset, length))
            del bucket[:]
        self._held = 0


_IN_ORDER = [*range(BUCKETS // 2, BUCKETS), *range(BUCKETS // 2)]
"""Buckets from the lowest fingerprint, which is negative, to the highest."""


class RepeatFilter:
    """Tells of the fingerprints that repeat whether each was seen before: 9 bytes for each.

    Args:
        repeated: The fingerprints, in order.
    """

    def __init__(self, repeated: "array[int]") -> None:
        self._repeated = repeated
        self._flags = bytearray(len(repeated))

    def __len__(self) -> int:
        return len(self._repeated)

    def has(self, fingerprint: int) -> bool:
        """Whether it is one of those that repeat."""
        index = bisect_left(self._repeated, fingerprint)
        return index < len(self._repeated) and self._repeated[index] == fingerprint

    def is_repeat(self, fingerprint: int) -> bool:
        """Whether it repeats and was asked for before."""
        index = bisect_left(self._repeated, fingerprint)
        if index == len(self._repeated) or self._repeated[index] != fingerprint:
            return False
        if self._flags[index]:
            return True
        self._flags[index] = 1
        return False
