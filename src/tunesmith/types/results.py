"""What a fine-tuning job measured, step by step."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

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

    def plot(self, *others: "JobResults", labels: Sequence[str] | None = None) -> "Figure":
        """Draw losses and accuracies over the steps; needs the extra `plot`.

        Args:
            others: Further jobs to draw into the same figure.
            labels: What to call the jobs, this one first; by default their ids.

        Returns:
            A matplotlib figure: a notebook shows it, `savefig` writes it.

        Raises:
            ConfigurationError: matplotlib is not installed.
            ValueError: There are not as many labels as jobs.

        Example:
            ```python
            results = await client.fine_tuning.jobs.results(job)
            results.plot(labels=["Kant"]).savefig("losses.png")
            ```
        """
        from tunesmith.integrations.plots import plot_results  # noqa: PLC0415 - costs when used

        return plot_results([self, *others], labels)
