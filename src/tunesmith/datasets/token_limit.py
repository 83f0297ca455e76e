"""Examples with more tokens than the model takes."""

from collections.abc import Iterator

from tunesmith.datasets.findings import Finding, FindingCounter, Fix
from tunesmith.datasets.rows import Chunk, ChunkSource, Row
from tunesmith.datasets.tokens import TokenCounter
from tunesmith.datasets.transforms import DropRows

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

_MOST_BYTES = 4
"""No character of UTF-8 has more, and no token has fewer than one."""

_AT_MOST = TokenCounter(
    "bytes", exact=False, texts=lambda texts: [_MOST_BYTES * len(text) for text in texts]
)


def token_limit(model: str) -> int | None:
    """How many tokens of an example a model is trained on; None if it is not known here.

    Source: https://platform.openai.com/docs/guides/fine-tuning-best-practices#token-limits
    """
    base = model.removeprefix("ft:").split(":")[0]
    for name, limit in _LIMITS.items():
        if base == name or base.startswith(f"{name}-"):
            return limit
    return None


class TokenLimit:
    """A check for examples that are cut off because they are too long; give it to `diagnose`.

    Args:
        counter: Counts the tokens.
        limit: How many of them the model takes: see `token_limit`.
        file: The file's name, for the finding.

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
        self._found = FindingCounter()

    def update(self, chunk: Chunk) -> None:
        """Look at some rows."""
        # Counting takes its time, and most rows are so short that there is no need.
        most = zip(chunk, _AT_MOST.rows(chunk), strict=True)
        chunk = [row for row, tokens in most if tokens.total > self._limit]
        for row, tokens in zip(chunk, self._counter.rows(chunk), strict=True):
            if tokens.total > self._limit:
                self._found.add(row.line, excerpt=f"{tokens.total:,} tokens")

    def findings(self, _: ChunkSource) -> Iterator[Finding]:
        """Say which rows are too long."""
        if self._found.count:
            by = "" if self._counter.exact else " (by estimate)"
            yield self._found.finding(
                "too-many-tokens",
                "warning",
                f"{self._found.count} rows have more than {self._limit:,} tokens{by}: the service "
                "cuts off what is beyond, which is the end of the answer.",
                file=self._file,
                remedy=Fix(
                    description=f"Remove {self._found.count} rows of more than "
                    f"{self._limit:,} tokens",
                    transform=DropRows(self._is_too_long),
                ),
            )

    def _is_too_long(self, row: Row) -> bool:
        return self._counter.rows([row])[0].total > self._limit
