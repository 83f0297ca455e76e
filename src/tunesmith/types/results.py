"""Metrics of fine-tuning jobs."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tunesmith._extras import import_extra

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, slots=True)
class StepMetrics:
    """Metrics of one training step; None for values that were not measured.

    Args:
        step: The step, counted from 1.
        train_loss: Mean loss of the step's examples, in nats per token.
        train_accuracy: Share of the step's tokens predicted correctly, 0 to 1.
        valid_loss: Mean loss of a batch of validation examples, in nats per token.
        valid_accuracy: Share of that batch's tokens predicted correctly, 0 to 1.
        columns: All columns of the row as text, without empty ones.
    """

    step: int
    train_loss: float | None
    train_accuracy: float | None
    valid_loss: float | None
    valid_accuracy: float | None
    columns: Mapping[str, str]


@dataclass(frozen=True, slots=True, repr=False)
class JobResults:
    """Metrics of all steps of a job.

    Args:
        job_id: ID of the job.
        steps: Metrics of the steps, in order.

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

    def __repr__(self) -> str:
        losses = [step.train_loss for step in self.steps if step.train_loss is not None]
        loss = f", train_loss {losses[0]:.3f} → {losses[-1]:.3f}" if losses else ""
        return f"<JobResults of {self.job_id}: {len(self.steps):,} steps{loss}>"

    def _repr_html_(self) -> str:
        """Return curves of loss and accuracy, for notebooks."""
        from tunesmith._charts import metric_charts  # noqa: PLC0415 - notebooks only
        from tunesmith._html import render_fragment, tag  # noqa: PLC0415 - notebooks only

        return render_fragment(tag("p", repr(self)), metric_charts(self.steps))

    def to_pandas(self) -> Any:
        """Return the metrics as a data frame: a row per step, indexed by step; needs pandas.

        Raises:
            ConfigurationError: pandas is not installed.

        Example:
            ```python
            results = await client.fine_tuning.jobs.results(job)
            results.to_pandas().tail()
            ```
        """
        pandas = import_extra("pandas", "notebook", "Data frames")
        names = ("step", "train_loss", "train_accuracy", "valid_loss", "valid_accuracy")
        rows = [[getattr(step, name) for name in names] for step in self.steps]
        return pandas.DataFrame(rows, columns=names).set_index("step")

    def plot(self, *others: "JobResults", labels: Sequence[str] | None = None) -> "Figure":
        """Plot losses and accuracies over the steps; needs the extra `plot`.

        Args:
            others: Further jobs to plot into the same figure.
            labels: Labels of the jobs, this one first; by default their IDs.

        Returns:
            A matplotlib figure, which notebooks show and `savefig` writes.

        Raises:
            ConfigurationError: matplotlib is not installed.
            ValueError: The number of labels differs from the number of jobs.

        Example:
            ```python
            results = await client.fine_tuning.jobs.results(job)
            results.plot(labels=["Kant"]).savefig("losses.png")
            ```
        """
        from tunesmith._plots import plot_metrics  # noqa: PLC0415 - rarely used

        runs = [self, *others]
        names = labels or [run.job_id for run in runs]
        if len(names) != len(runs):
            raise ValueError(f"pass one label per job: {len(names)} labels for {len(runs)} jobs")
        return plot_metrics([(name, run.steps) for name, run in zip(names, runs, strict=True)])
