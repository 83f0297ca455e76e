"""Fingerprints of rows: 8 bytes for each, on disk when there are many."""

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
MAX_IN_MEMORY = 1 << 20
"""Number of fingerprints that are held before they go to a temporary file: 8 MB."""


def fingerprints_of(chunk: Chunk) -> list[int]:
    """Return a 64-bit fingerprint of each row, valid within this process.

    The probability of a collision among n rows is about n²/2⁶⁵: for ten million rows, one in four
    hundred thousand.
    """
    if is_table(chunk):
        return pair_fingerprints(*columns(chunk))
    return [hash(to_json(data)) for _, data in chunk]


def pair_fingerprints(prompts: list[str], completions: list[str]) -> list[int]:
    """Return a 64-bit fingerprint of each row of a table."""
    return list(map(hash, zip(prompts, completions, strict=True)))


class Fingerprints:
    """Multiset of fingerprints in flat memory: in buckets by first byte, spilled to disk."""

    def __init__(self) -> None:
        self._buckets = [array("q") for _ in range(BUCKETS)]
        self._spilled: list[list[tuple[int, int]]] = [[] for _ in range(BUCKETS)]
        self._file: IO[bytes] | None = None
        self._held = 0
        self.count = 0

    def add(self, fingerprints: Collection[int]) -> None:
        """Add fingerprints."""
        buckets = self._buckets
        for fingerprint in fingerprints:
            buckets[fingerprint >> 56].append(fingerprint)
        self._held += len(fingerprints)
        self.count += len(fingerprints)
        if self._held >= MAX_IN_MEMORY:
            self._spill_to_disk()

    def distinct(self) -> int:
        """Return the number of different fingerprints."""
        return sum(len(set(self.bucket(index))) for index in range(BUCKETS))

    def most_and_least_common(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """Return the most frequent fingerprint and the rarest, each with its count."""
        counters = [Counter(bucket) for i in range(BUCKETS) if (bucket := self.bucket(i))]
        maximum = max((c.most_common(1)[0] for c in counters), key=lambda pair: pair[1])
        minimum = min((min(c.items(), key=lambda p: p[1]) for c in counters), key=lambda p: p[1])
        return maximum, minimum

    def repeated(self) -> "array[int]":
        """Return the fingerprints that occur more than once, in order."""
        repeated = array("q")
        for index in _IN_ORDER:
            bucket = self.bucket(index)
            if len(set(bucket)) < len(bucket):
                repeated.extend(sorted({a for a, b in pairwise(sorted(bucket)) if a == b}))
        return repeated

    def shared_with(self, other: "Fingerprints") -> "array[int]":
        """Return the fingerprints that both have, in order."""
        shared = array("q")
        for index in _IN_ORDER:
            shared.extend(sorted(set(self.bucket(index)).intersection(other.bucket(index))))
        return shared

    def bucket(self, index: int) -> "array[int]":
        """Return the fingerprints whose first byte, signed, is `index` or `index - 256`."""
        bucket = array("q")
        for offset, length in self._spilled[index]:
            assert self._file is not None  # noqa: S101 — there is a file once something was spilled
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
"""Buckets in the order of their fingerprints, the negative ones first."""


class RepeatFilter:
    """Set of repeated fingerprints that knows which of them have occurred: 9 bytes for each.

    Args:
        repeated: The fingerprints, in order.
    """

    def __init__(self, repeated: "array[int]") -> None:
        self._repeated = repeated
        self._flags = bytearray(len(repeated))

    def __len__(self) -> int:
        return len(self._repeated)

    def has(self, fingerprint: int) -> bool:
        """Return whether a fingerprint is in the set."""
        return self._index(fingerprint) is not None

    def is_repeat(self, fingerprint: int) -> bool:
        """Return whether a fingerprint is in the set and has been passed before."""
        index = self._index(fingerprint)
        if index is None:
            return False
        is_repeat = bool(self._flags[index])
        self._flags[index] = 1
        return is_repeat

    def _index(self, fingerprint: int) -> int | None:
        index = bisect_left(self._repeated, fingerprint)
        is_member = index < len(self._repeated) and self._repeated[index] == fingerprint
        return index if is_member else None
