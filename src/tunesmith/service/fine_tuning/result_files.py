"""Result files of jobs: the metrics of each step as CSV."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence

from tunesmith.service.engines.training import TrainingStep

__all__ = ["compiled_results", "step_metrics"]


def step_metrics(steps: Iterable[TrainingStep]) -> bytes:
    """Return the result file of a fine-tuning job."""
    header = ["step", "train_loss", "train_accuracy", "valid_loss", "valid_mean_token_accuracy"]

    def row(step: TrainingStep) -> list[float | None]:
        train, valid = step.train, step.valid
        validation = [valid.loss, valid.mean_token_accuracy] if valid else [None, None]
        return [step.step, train.loss, train.mean_token_accuracy, *validation]

    return _csv(header, map(row, steps))


def compiled_results(
    steps: Sequence[TrainingStep], evaluations: Mapping[int, Mapping[str, float]]
) -> bytes:
    """Return the result file of a legacy fine-tune.

    Args:
        steps: The training steps.
        evaluations: Further metrics after some of the steps, by step and column.
    """
    header = ["step", "elapsed_tokens", "elapsed_examples"]
    measures = ["loss", "sequence_accuracy", "token_accuracy"]
    parts = ["training", "validation"] if any(step.valid for step in steps) else ["training"]
    header += [f"{part}_{measure}" for part in parts for measure in measures]
    further = list(next(iter(evaluations.values()), dict[str, float]()))

    def row(step: TrainingStep) -> list[float | None]:
        cells: list[float | None] = [step.step, step.elapsed_tokens, step.elapsed_examples]
        for metrics in (step.train, step.valid)[: len(parts)]:
            cells += (
                [None, None, None]
                if metrics is None
                else [metrics.loss, metrics.sequence_accuracy, metrics.mean_token_accuracy]
            )
        evaluation = evaluations.get(step.step, {})
        return cells + [evaluation.get(name) for name in further]

    return _csv(header + further, map(row, steps))


def _csv(header: Sequence[str], rows: Iterable[Sequence[float | None]]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue().encode()
