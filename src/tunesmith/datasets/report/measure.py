"""Statistics of a dataset, computed in one pass: distributions, labels, a few examples."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from heapq import heappushpop
from random import Random
from typing import Any

from tunesmith._json_types import is_list, is_object
from tunesmith.datasets.checks.texts import texts_of
from tunesmith.datasets.report.histogram import Histogram
from tunesmith.datasets.rows import (
    CancellationCheck,
    Chunk,
    ChunkSource,
    Row,
    cancellable,
    columns,
    never_cancelled,
)
from tunesmith.datasets.tokens import ESTIMATE, TokenCounter
from tunesmith.training_rules import PAIR_KEYS, Format, count_images

__all__ = ["Statistics", "compute_statistics"]

EXAMPLES = 5
MAX_LABELS = 10_000


@dataclass(slots=True, kw_only=True)
class Statistics:
    """Statistics of a dataset.

    Attributes:
        rows: The number of rows.
        tokens: Tokens per example.
        learned_tokens: Tokens per example that the model learns to write.
        lengths: Further distributions by name, such as `characters in prompt`.
        labels: The number of rows with each label of a classification; None for other tasks. After
            10,000 different labels, further ones are left out.
        images: The number of images.
        examples: A few random rows.
        counter: The counter of the tokens.
    """

    counter: TokenCounter
    rows: int = 0
    tokens: Histogram = field(default_factory=Histogram)
    learned_tokens: Histogram = field(default_factory=Histogram)
    lengths: dict[str, Histogram] = field(default_factory=dict[str, Histogram])
    labels: Counter[str] | None = None
    images: int = 0
    examples: list[Row] = field(default_factory=list[Row])


def compute_statistics(
    rows: ChunkSource,
    *,
    format: Format,
    task: str | None = None,
    counter: TokenCounter = ESTIMATE,
    seed: int = 0,
    check_cancelled: CancellationCheck = never_cancelled,
) -> Statistics:
    """Compute statistics in one pass; blocks. Memory stays flat.

    Args:
        rows: Reads the rows: `plan.transformed_chunks()`, or `dataset.chunks`.
        format: The format of the rows.
        task: The task of a prompt/completion table; `classification` counts labels.
        counter: The counter of tokens.
        seed: The same seed selects the same examples.
        check_cancelled: Called between chunks; may raise to stop.

    Example:
        ```python
        dataset = Dataset.open("kant.csv")
        statistics = compute_statistics(dataset.chunks, format="completions")
        print(statistics.tokens.total)
        ```
    """
    statistics = Statistics(counter=counter, labels=Counter() if task == "classification" else None)
    update = _UPDATES[format]
    sample = _Sample(seed)
    for chunk in cancellable(rows, check_cancelled)():
        statistics.rows += len(chunk)
        counts = counter.rows(chunk)
        statistics.tokens.add(tokens.total for tokens in counts)
        statistics.learned_tokens.add(tokens.trained for tokens in counts)
        update(statistics, chunk)
        sample.update(chunk)
    statistics.examples = sample.rows()
    return statistics


def _add_completions(statistics: Statistics, chunk: Chunk) -> None:
    prompts, completions = columns(chunk)
    _add_lengths(statistics, "characters in prompt", map(len, prompts))
    _add_lengths(statistics, "characters in completion", map(len, completions))
    if statistics.labels is not None:
        counts = Counter(completions)
        room = MAX_LABELS - len(statistics.labels)
        for label, times in counts.items():
            if label in statistics.labels or room > 0:
                room -= label not in statistics.labels
                statistics.labels[label] += times


def _add_messages(statistics: Statistics, chunk: Chunk) -> None:
    conversations = [_messages(data) for _, data in chunk]
    _add_lengths(statistics, "messages", map(len, conversations))
    _add_characters(statistics, [data for _, data in chunk])
    statistics.images += sum(map(count_images, conversations))


def _add_pairs(statistics: Statistics, chunk: Chunk) -> None:
    _add_lengths(
        statistics, "messages in input", (len(_messages(data.get("input"))) for _, data in chunk)
    )
    for key in PAIR_KEYS[1:]:
        outputs = [data.get(key) for _, data in chunk]
        _add_characters(statistics, outputs, f"characters in {key}")


def _add_characters(
    statistics: Statistics, values: list[Any], name: str = "characters in example"
) -> None:
    _add_lengths(statistics, name, (sum(map(len, texts_of(value))) for value in values))


def _add_lengths(statistics: Statistics, name: str, values: Any) -> None:
    statistics.lengths.setdefault(name, Histogram()).add(values)


def _messages(data: Any) -> list[Any]:
    messages = data.get("messages") if is_object(data) else None
    return messages if is_list(messages) else []


_UPDATES: dict[Format, Callable[[Statistics, Chunk], None]] = {
    "completions": _add_completions,
    "chat": _add_messages,
    "dpo": _add_pairs,
    "reinforcement": _add_messages,
}


class _Sample:
    """Uniform random sample of rows."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed).random  # noqa: S311 — chance, not secrecy
        self._rows: list[tuple[float, int, Row]] = []
        self._count = 0

    def update(self, chunk: Chunk) -> None:
        for row in chunk:
            self._count += 1
            ticket = self._random()
            if len(self._rows) < EXAMPLES:
                self._rows.append((ticket, self._count, row))
                self._rows.sort(key=lambda entry: entry[:2])
            elif ticket > self._rows[0][0]:
                heappushpop(self._rows, (ticket, self._count, row))

    def rows(self) -> list[Row]:
        """Return the rows in their order."""
        return [row for _, _, row in sorted(self._rows, key=lambda entry: entry[1])]
