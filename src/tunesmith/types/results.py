"""What a fine-tuning job measured, step by step."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

__all__ = ["JobResults", "StepMetrics"]


@dataclass(frozen=True, slots=True)
class StepMetrics:
    """What was measured at one training step; None where it was not.

    Args:
        step: The step, counted from 1.
        train_loss: Mean loss of the step's examples, in nats a token.
        train_accuracy: Share of the step's tokens that were predicted right, 0 to 1.
        valid_loss: Mean loss of a batch of validation examples, in nats a token.
        valid_accuracy: Share of that batch's tokens that were predicted right, 0 to 1.
        columns: The row as the service wrote it, blanks left out.
    """

    step: int
    train_loss: float | None
    train_accuracy: float | None
    valid_loss: float | None
    valid_accuracy: float | None
    columns: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class JobResults:
    """All steps of one job.

    Args:
        job_id: The job.
        steps: The steps, in order.

    Example:
        ```python
        results = await client.fine_tuning.jobs.results(job)
        print(results.steps[0].train_loss, "→", results.steps[-1].train_loss)
        ```
    """

    job_id: str
    steps: tuple[StepMetrics, ...]

    def __iter__(self) -> Iterator[StepMetrics]:
        return iter(self.steps)

    def __len__(self) -> int:
        return len(self.steps)
