"""The curves of training, drawn by matplotlib."""

from collections.abc import Sequence
from io import BytesIO
from itertools import accumulate
from math import isfinite
from typing import TYPE_CHECKING, Any

from tunesmith._extras import import_extra
from tunesmith.types.results import JobResults, StepMetrics

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["plot_results"]

_PANELS = (
    ("Loss, nats a token", "train_loss", "valid_loss"),
    ("Accuracy, share of tokens", "train_accuracy", "valid_accuracy"),
)

_SMOOTHING_THRESHOLD = 60
"""From so many points on, a line is their moving mean, drawn over them."""

_WINDOWS = 30
"""A mean reaches to each side over one of so many parts of the line."""


def plot_results(runs: Sequence[JobResults], labels: Sequence[str] | None = None) -> "Figure":
    """Draw losses and accuracies of some jobs into one figure; see `JobResults.plot`."""
    # Not pyplot: it keeps figures until they are closed, and looks for a screen.
    import_extra("matplotlib", "plot", "Plots")
    from matplotlib.figure import Figure  # noqa: PLC0415 - an extra

    names = labels or [run.job_id for run in runs]
    if len(names) != len(runs):
        raise ValueError(f"{len(runs)} jobs cannot have {len(names)} labels: give one for each.")

    class Curves(Figure):
        """A figure that notebooks show by themselves: they know those of pyplot only."""

        def _repr_png_(self) -> bytes:
            picture = BytesIO()
            self.savefig(picture, format="png")  # pyright: ignore[reportUnknownMemberType]
            return picture.getvalue()

    figure = Curves(figsize=(9, 4), layout="constrained")
    alone = len(runs) == 1
    for axes, (title, *measures) in zip(figure.subplots(1, 2), _PANELS, strict=True):
        axes.set_title(title)
        axes.set_xlabel("step")
        for number, (run, name) in enumerate(zip(runs, names, strict=True)):
            for role, measure in enumerate(measures):
                _line(axes, run.steps, measure, name, f"C{role if alone else number}")
        if axes.lines:
            axes.legend()
        else:
            axes.text(0.5, 0.5, "not measured", ha="center", transform=axes.transAxes)
    return figure


def _line(axes: Any, steps: Sequence[StepMetrics], measure: str, name: str, color: str) -> None:
    points = [(each.step, getattr(each, measure)) for each in steps]
    # A diverged training measures nan, of which no mean can be made.
    points = [(step, value) for step, value in points if value is not None and isfinite(value)]
    if not points:
        return
    at, values = zip(*points, strict=True)
    validation = measure.startswith("valid")
    noisy = len(points) >= _SMOOTHING_THRESHOLD
    axes.plot(
        at,
        _moving_average(values) if noisy else values,
        color=color,
        linestyle="--" if validation else "-",
        marker="." if validation and not noisy else "",
        label=f"{name}, {'validation' if validation else 'training'}",
    )
    if noisy:
        axes.plot(at, values, color=color, alpha=0.2, linewidth=0.8, zorder=1)


def _moving_average(values: Sequence[float]) -> list[float]:
    """Means of the values around each, fewer at the ends."""
    reach = max(len(values) // _WINDOWS, 1)
    sums = [0.0, *accumulate(values)]
    windows = ((max(at - reach, 0), min(at + reach + 1, len(values))) for at in range(len(values)))
    return [(sums[end] - sums[begin]) / (end - begin) for begin, end in windows]
