"""Result files: the metrics of each step, as CSV."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence

from tunesmith.service.engines.base import TrainingStep

__all__ = ["compiled_results", "step_metrics"]


def step_metrics(steps: Iterable[TrainingStep]) -> bytes:
    """Write the result file of a fine-tuning job."""
    header = ["step", "train_loss", "train_accuracy", "valid_loss", "valid_mean_token_accuracy"]
    return _csv(
        header,
        (
            [
                step.step,
                step.train.loss,
                step.train.mean_token_accuracy,
                None if step.valid is None else step.valid.loss,
                None if step.valid is None else step.valid.mean_token_accuracy,
            ]
            for step in steps
        ),
    )


def compiled_results(
    steps: Sequence[TrainingStep], measured: Mapping[int, Mapping[str, float]]
) -> bytes:
    """Write the result file of a legacy fine-tune.

    Args:
        steps: All its steps.
        measured: What else was measured after some of them, by step and column.
    """
    header = ["step", "elapsed_tokens", "elapsed_examples"]
    measures = ["loss", "sequence_accuracy", "token_accuracy"]
    parts = ["training", "validation"] if any(step.valid for step in steps) else ["training"]
    header += [f"{part}_{measure}" for part in parts for measure in measures]
    others = list(next(iter(measured.values()), dict[str, float]()))

    def row(step: TrainingStep) -> list[float | None]:
        cells: list[float | None] = [step.step, step.elapsed_tokens, step.elapsed_examples]
        for metrics in (step.train, step.valid)[: len(parts)]:
            cells += (
                [None, None, None]
                if metrics is None
                else [metrics.loss, metrics.sequence_accuracy, metrics.mean_token_accuracy]
            )
        found = measured.get(step.step, {})
        return cells + [found.get(name) for name in others]

    return _csv(header + others, map(row, steps))


def _csv(header: Sequence[str], rows: Iterable[Sequence[float | None]]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue().encode()
