"""Check for examples with more tokens than a model trains on."""

from collections.abc import Iterator

from tunesmith.datasets.findings import Finding, FindingCounter, Fix
from tunesmith.datasets.rows import Chunk, ChunkSource, Row
from tunesmith.datasets.tokens import TokenCounter
from tunesmith.datasets.transforms import DropRows
from tunesmith.known_models import base_name

__all__ = ["TokenLimit", "token_limit"]

_LIMITS = {
    "gpt-4.1": 65_536,
    "gpt-4o": 65_536,
    "gpt-3.5-turbo": 16_385,
    "davinci-002": 16_384,
    "babbage-002": 16_384,
    "davinci": 2048,
    "curie": 2048,
    "babbage": 2048,
    "ada": 2048,
}

_MAX_BYTES = 4
"""Most bytes of a character in UTF-8; a token has at least one byte."""

_UPPER_BOUND = TokenCounter(
    "bytes", exact=False, texts=lambda texts: [_MAX_BYTES * len(text) for text in texts]
)


def token_limit(model: str) -> int | None:
    """Return the most tokens of an example that a model trains on; None if it is not known.

    Source: https://platform.openai.com/docs/guides/fine-tuning-best-practices#token-limits
    """
    base = base_name(model)
    for name, limit in _LIMITS.items():
        if base == name or base.startswith(f"{name}-"):
            return limit
    return None


class TokenLimit:
    """Check for examples that are cut off because they are too long; pass it to `diagnose`.

    Args:
        counter: The counter of tokens.
        limit: The most tokens that the model trains on; see `token_limit`.
        file: The name of the file for the finding.

    Example:
        ```python
        from tunesmith.datasets import Dataset
        from tunesmith.datasets.tokens import default_counter

        check = TokenLimit(default_counter("babbage-002"), limit=16_384)
        diagnosis = await Dataset.open("kant.csv").diagnose(checks=[check])
        ```
    """

    def __init__(self, counter: TokenCounter, limit: int, file: str | None = None) -> None:
        self._counter = counter
        self._limit = limit
        self._file = file
        self._long = FindingCounter()

    def update(self, chunk: Chunk) -> None:
        """Inspect some rows."""
        # Most rows are so short that they need not be counted.
        bounds = zip(chunk, _UPPER_BOUND.rows(chunk), strict=True)
        chunk = [row for row, tokens in bounds if tokens.total > self._limit]
        for row, tokens in zip(chunk, self._counter.rows(chunk), strict=True):
            if tokens.total > self._limit:
                self._long.add(row.line, excerpt=f"{tokens.total:,} tokens")

    def findings(self, _: ChunkSource) -> Iterator[Finding]:
        """Yield the finding."""
        if self._long.count:
            method = "" if self._counter.exact else " (by estimate)"
            yield self._long.finding(
                "too-many-tokens",
                "warning",
                f"{self._long.rows} with more than {self._limit:,} tokens{method}: the service "
                "cuts off the end of the answer.",
                file=self._file,
                fix=Fix(
                    description=f"Remove {self._long.rows} of more than {self._limit:,} tokens",
                    transform=DropRows(self._is_too_long),
                ),
            )

    def _is_too_long(self, row: Row) -> bool:
        return self._counter.rows([row])[0].total > self._limit
