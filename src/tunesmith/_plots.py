"""Plots of training metrics, drawn with matplotlib."""

from collections.abc import Sequence
from io import BytesIO
from itertools import accumulate
from math import isfinite
from typing import TYPE_CHECKING, Any

from tunesmith._extras import import_extra

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["plot_metrics"]

_PANELS = (
    ("Loss", "nats per token", "train_loss", "valid_loss"),
    ("Token accuracy", "fraction of tokens", "train_accuracy", "valid_accuracy"),
)

# The colours of the HTML reports.
_COLORS = ("#1f6feb", "#b54708", "#1a7f37", "#8250df", "#bf3989", "#57606a")
_GRID = "#d5dae1"

_SMOOTHING_THRESHOLD = 60
"""Lines of at least this many points are shown with their moving average on top."""

_WINDOWS = 30
"""The moving average reaches this fraction of the line to each side."""


def plot_metrics(runs: Sequence[tuple[str, Sequence[Any]]]) -> "Figure":
    """Plot losses and accuracies of several runs; see `JobResults.plot`.

    Args:
        runs: Label and steps of each run; a step has the attributes of `StepMetrics`.
    """
    # Not pyplot: it keeps figures until they are closed, and looks for a screen.
    import_extra("matplotlib", "plot", "Plots")
    from matplotlib.figure import Figure  # noqa: PLC0415 - an extra

    class NotebookFigure(Figure):
        """Figure that notebooks display, as they do figures of pyplot."""

        def _repr_png_(self) -> bytes:
            picture = BytesIO()
            self.savefig(picture, format="png")  # pyright: ignore[reportUnknownMemberType]
            return picture.getvalue()

    figure = NotebookFigure(figsize=(9, 4), dpi=120, layout="constrained")
    is_single = len(runs) == 1
    for axes, (title, unit, *metrics) in zip(figure.subplots(1, 2), _PANELS, strict=True):
        axes.set_title(title, loc="left", fontweight="bold")
        axes.set_xlabel("step")
        axes.set_ylabel(unit)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(axis="y", color=_GRID)
        axes.set_axisbelow(True)
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.tick_params(left=False)
        for run_number, (label, steps) in enumerate(runs):
            for number, metric in enumerate(metrics):
                color = _COLORS[(number if is_single else run_number) % len(_COLORS)]
                _plot_line(axes, steps, metric, label, color)
        if axes.lines:
            axes.set_ylim(bottom=0)
        else:
            axes.text(0.5, 0.5, "not measured", ha="center", transform=axes.transAxes)
    untyped: Any = figure  # matplotlib types its options only in part
    lines = {str(line.get_label()): line for axes in figure.axes for line in axes.get_lines()}
    if labels := [label for label in lines if not label.startswith("_")]:
        # Outside of the axes, where it hides no line.
        untyped.legend(
            [lines[label] for label in labels],
            labels,
            loc="outside lower center",
            ncols=2,
            frameon=False,
        )
    return figure


def _plot_line(axes: Any, steps: Sequence[Any], metric: str, label: str, color: str) -> None:
    points = [(step.step, getattr(step, metric)) for step in steps]
    # Diverged training measures NaN, which would spoil the average.
    points = [(step, value) for step, value in points if value is not None and isfinite(value)]
    if not points:
        return
    positions, values = zip(*points, strict=True)
    is_validation = metric.startswith("valid")
    is_noisy = len(points) >= _SMOOTHING_THRESHOLD
    axes.plot(
        positions,
        _moving_average(values) if is_noisy else values,
        color=color,
        linestyle="--" if is_validation else "-",
        marker="." if is_validation and not is_noisy else "",
        label=f"{label}, {'validation' if is_validation else 'training'}",
    )
    if is_noisy:
        axes.plot(positions, values, color=color, alpha=0.12, linewidth=0.8, zorder=1)


def _moving_average(values: Sequence[float]) -> list[float]:
    """Return the mean of the window around each value; windows are shorter at the ends."""
    reach = max(len(values) // _WINDOWS, 1)
    sums = [0.0, *accumulate(values)]
    windows = ((max(i - reach, 0), min(i + reach + 1, len(values))) for i in range(len(values)))
    return [(sums[end] - sums[begin]) / (end - begin) for begin, end in windows]
