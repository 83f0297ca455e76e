"""Embeddings of texts by hashed words and character n-grams.

Each feature of a text is hashed to a dimension and a sign, so that texts which share words and
parts of words have similar directions.

See: Weinberger et al., "Feature hashing for large scale multitask learning" (2009).
"""

import math
import re
from collections import Counter
from collections.abc import Iterator
from zlib import crc32

_LENGTHS = (3, 4, 5)
_WORD = "\x02"
_EMPTY_FEATURES = "\x03"


def embed(text: str, dimensions: int) -> list[float]:
    """Return the embedding of a text: a vector of length 1, equal on all platforms.

    Args:
        text: Any text, including the empty one.
        dimensions: Number of dimensions, at least 1.

    Raises:
        ValueError: The number of dimensions is less than 1.

    Example:
        >>> embed("space and time", 64) == embed("Space and time", 64)
        True
    """
    if dimensions < 1:
        raise ValueError(f"dimensions must be at least 1, not {dimensions}")
    vector = [0.0] * dimensions
    for feature, count in Counter(_features(text)).items():
        digest = crc32(feature.encode("utf-8", "surrogatepass"))
        sign = 1.0 if crc32(b"sign", digest) & 1 else -1.0
        vector[digest % dimensions] += sign * _weight(feature) * math.sqrt(count)
    length = math.sqrt(math.fsum(value * value for value in vector))
    if length == 0:  # features may cancel each other out in few dimensions
        return [1.0, *vector[1:]]
    return [value / length for value in vector]


def _features(text: str) -> Iterator[str]:
    yield _EMPTY_FEATURES
    for word in re.findall(r"\w+|[^\w\s]", text.lower()):
        yield _WORD + word
        bounded = f" {word} "
        for length in _LENGTHS:
            yield from (
                bounded[start : start + length] for start in range(len(bounded) - length + 1)
            )


def _weight(feature: str) -> float:
    """Return the weight of a feature: higher for long words, as short ones are in every text."""
    if feature == _EMPTY_FEATURES:
        return 0.01
    return min(len(feature), 8) / 4 if feature.startswith(_WORD) else 0.3
