"""Measuring a dataset in one pass: distributions, labels, a few examples."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from heapq import heappushpop
from random import Random
from typing import Any

from tunesmith.datasets.checks.images import count_images
from tunesmith.datasets.checks.texts import texts_of
from tunesmith.datasets.json_types import is_list, is_object
from tunesmith.datasets.report.histogram import Histogram
from tunesmith.datasets.rows import Chunk, ChunkSource, Format, Row, columns
from tunesmith.datasets.threads import CancellationCheck, no_checkpoint
from tunesmith.datasets.tokens import ESTIMATE, TokenCounter

__all__ = ["Statistics", "compute_statistics"]

EXAMPLES = 5
MAX_LABELS = 10_000


@dataclass(slots=True, kw_only=True)
class Statistics:
    """What was measured.

    Attributes:
        rows: How many rows there are.
        tokens: Tokens per example.
        learned_tokens: Tokens per example that the model learns to write.
        lengths: Further distributions by what they are of, such as `characters in prompt`.
        labels: How often each completion comes, of a classification; None otherwise. Of more than
            10,000 labels, those that come later are left out.
        images: How many images there are.
        examples: A few rows, picked by chance.
        counter: What counted the tokens.
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
    checkpoint: CancellationCheck = no_checkpoint,
) -> Statistics:
    """Measure rows in one pass; blocks. Memory stays flat.

    Args:
        rows: Reads the rows: `plan.transformed_chunks()`, or `dataset.chunks`.
        format: Their format.
        task: What a prompt/completion table is for; labels are counted if it is `classification`.
        counter: Counts tokens.
        seed: The same seed picks the same examples.
        checkpoint: Called between chunks; may raise to stop.

    Example:
        ```python
        dataset = Dataset.open("kant.csv")
        statistics = compute_statistics(dataset.chunks, format="completions")
        print(statistics.tokens.total)
        ```
    """
    found = Statistics(counter=counter, labels=Counter() if task == "classification" else None)
    see = _COUNTERS[format]
    sample = _Sample(seed)
    for chunk in rows():
        checkpoint()
        found.rows += len(chunk)
        counted = counter.rows(chunk)
        found.tokens.add(tokens.total for tokens in counted)
        found.learned_tokens.add(tokens.trained for tokens in counted)
        see(found, chunk)
        sample.see(chunk)
    found.examples = sample.rows()
    return found


def _see_completions(found: Statistics, chunk: Chunk) -> None:
    prompts, completions = columns(chunk)
    _add(found, "characters in prompt", map(len, prompts))
    _add(found, "characters in completion", map(len, completions))
    if found.labels is not None:
        counts = Counter(completions)
        room = MAX_LABELS - len(found.labels)
        for label, times in counts.items():
            if label in found.labels or room > 0:
                room -= label not in found.labels
                found.labels[label] += times


def _see_messages(found: Statistics, chunk: Chunk) -> None:
    conversations = [_messages(data) for _, data in chunk]
    _add(found, "messages", map(len, conversations))
    _see_characters(found, [data for _, data in chunk])
    found.images += sum(map(count_images, conversations))


def _see_pairs(found: Statistics, chunk: Chunk) -> None:
    _add(found, "messages in input", (len(_messages(data.get("input"))) for _, data in chunk))
    for key in ("preferred_output", "non_preferred_output"):
        outputs = [data.get(key) for _, data in chunk]
        _see_characters(found, outputs, f"characters in {key}")


def _see_characters(
    found: Statistics, values: list[Any], name: str = "characters in example"
) -> None:
    _add(found, name, (sum(map(len, texts_of(value))) for value in values))


def _add(found: Statistics, name: str, values: Any) -> None:
    found.lengths.setdefault(name, Histogram()).add(values)


def _messages(data: Any) -> list[Any]:
    messages = data.get("messages") if is_object(data) else None
    return messages if is_list(messages) else []


_COUNTERS: dict[Format, Callable[[Statistics, Chunk], None]] = {
    "completions": _see_completions,
    "chat": _see_messages,
    "dpo": _see_pairs,
    "reinforcement": _see_messages,
}


class _Sample:
    """A few rows by chance, each as likely as any other."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed).random  # noqa: S311 — chance, not secrecy
        self._kept: list[tuple[float, int, Row]] = []
        self._seen = 0

    def see(self, chunk: Chunk) -> None:
        for row in chunk:
            self._seen += 1
            ticket = self._random()
            if len(self._kept) < EXAMPLES:
                self._kept.append((ticket, self._seen, row))
                self._kept.sort(key=lambda kept: kept[:2])
            elif ticket > self._kept[0][0]:
                heappushpop(self._kept, (ticket, self._seen, row))

    def rows(self) -> list[Row]:
        """The rows, in the order in which they came."""
        return [row for _, _, row in sorted(self._kept, key=lambda kept: kept[1])]
