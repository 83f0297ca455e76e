"""The curves of training, drawn by matplotlib."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tunesmith.extras import load_extra
from tunesmith.types.results import JobResults, StepMetrics

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["draw"]

_PANELS = (
    ("Loss, nats a token", "train_loss", "valid_loss"),
    ("Accuracy, share of tokens", "train_accuracy", "valid_accuracy"),
)


def draw(runs: Sequence[JobResults], labels: Sequence[str] | None = None) -> "Figure":
    """Draw losses and accuracies of some jobs into one figure; see `JobResults.plot`."""
    # Not pyplot: it keeps figures until they are closed, and looks for a screen.
    load_extra("matplotlib", "plot", "Plots")
    from matplotlib.figure import Figure  # noqa: PLC0415 - an extra

    names = labels or [run.job_id for run in runs]
    figure = Figure(figsize=(9, 4), layout="constrained")
    for axes, (title, *measures) in zip(figure.subplots(1, 2), _PANELS, strict=True):
        axes.set_title(title)
        axes.set_xlabel("step")
        for number, (run, name) in enumerate(zip(runs, names, strict=True)):
            for measure in measures:
                _line(axes, run.steps, measure, name, f"C{number}")
        if axes.lines:
            axes.legend()
        else:
            axes.text(0.5, 0.5, "not measured", ha="center", transform=axes.transAxes)
    return figure


def _line(axes: Any, steps: Sequence[StepMetrics], measure: str, name: str, color: str) -> None:
    points = [(each.step, getattr(each, measure)) for each in steps]
    points = [(step, value) for step, value in points if value is not None]
    if points:
        validation = measure.startswith("valid")
        axes.plot(
            *zip(*points, strict=True),
            color=color,
            linestyle="--" if validation else "-",
            marker="." if validation else "",
            label=f"{name}, {'validation' if validation else 'training'}",
        )
