"""Charts as inline SVG, for HTML reports."""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from tunesmith._html import Html, tag

__all__ = ["Series", "histogram", "line_chart", "metric_charts"]

_WIDTH, _HEIGHT = 720, 280
_LEFT, _RIGHT, _TOP, _BOTTOM = 76, 20, 16, 56
_TICKS = 5
_MAX_POINTS = 500
_SMOOTHING_THRESHOLD, _WINDOWS = 60, 30

Point = tuple[float, float]


class Series(NamedTuple):
    """A line of a chart.

    Attributes:
        name: Its name in the legend.
        points: Its points, by x.
        is_dashed: Whether its line is dashed.
    """

    name: str
    points: Sequence[Point]
    is_dashed: bool = False


def line_chart(
    title: str,
    series: Sequence[Series],
    *,
    x_label: str,
    y_label: str,
    format_x: Callable[[float], str] | None = None,
    smooth: bool = False,
) -> Html:
    """Draw lines with labelled axes, a grid and a legend outside of the data.

    Points that are not finite are left out; a chart without points is empty markup.

    Args:
        title: The heading.
        series: The lines; colours go by their order.
        x_label: Quantity and unit of the x axis.
        y_label: Quantity and unit of the y axis.
        format_x: Writes a value of the x axis.
        smooth: Whether to draw the moving average of long lines over their values.
    """
    lines = [line._replace(points=_thin(line.points)) for line in series]
    points = [point for line in lines for point in line.points]
    if not points:
        return Html("")
    xs, ys = [x for x, _ in points], [y for _, y in points]
    x_ticks = _ticks(min(xs), max(xs))
    if all(float(x).is_integer() for x in xs):
        x_ticks = [tick for tick in x_ticks if tick.is_integer()]
    y_ticks = _ticks(min(0.0, *ys), max(ys))
    left, right = min(xs), max(*xs, min(xs) + 1e-9)
    y_of = _scale(y_ticks)

    def x_of(value: float) -> float:
        return _LEFT + (value - left) / (right - left) * (_WIDTH - _LEFT - _RIGHT)

    write_x = format_x or _write_number
    labels = [(x_of(tick), write_x(tick)) for tick in x_ticks if left <= tick <= right]
    shapes: list[Html] = []
    for number, line in enumerate(lines, 1):
        values = [(x_of(x), y_of(y)) for x, y in line.points]
        is_noisy = smooth and len(values) >= _SMOOTHING_THRESHOLD
        if is_noisy:
            shapes.append(_line(line, number, values, "raw"))
        if values:
            shapes.append(_line(line, number, _average(values) if is_noisy else values))
    svg = _plot(f"{title}: {y_label} over {x_label}", shapes, y_ticks, labels, x_label)
    legend = tag(
        "div",
        *(
            tag("span", tag("i", style=_border(line, number)), line.name)
            for number, line in enumerate(lines, 1)
            if line.points
        ),
        class_="legend",
    )
    caption = tag("figcaption", y_label)
    return tag("figure", tag("h3", title), caption, svg, *([legend] if len(series) > 1 else []))


def histogram(
    title: str, bins: Sequence[tuple[int, int, int]], *, x_label: str, caption: str = ""
) -> Html:
    """Draw the number of rows in each bin, with labelled edges; no bins are empty markup.

    Args:
        title: The heading.
        bins: The lowest value, the highest value and the number of rows of each, in order.
        x_label: The quantity.
        caption: Measures to write below.
    """
    if not bins:
        return Html("")
    y_ticks = [tick for tick in _ticks(0, max(rows for _, _, rows in bins)) if tick.is_integer()]
    y_of = _scale(y_ticks)
    step = (_WIDTH - _LEFT - _RIGHT) / len(bins)
    shapes: list[Html] = []
    for number, (low, high, rows) in enumerate(bins):
        # One row among a million is still visible.
        top = min(y_of(rows), y_of(0) - 1) if rows else y_of(0)
        values = f"{low:,}" if low == high else f"{low:,} to {high:,}"
        bar = tag(
            "rect",
            x=f"{_LEFT + number * step:.1f}",
            y=f"{top:.1f}",
            width=f"{max(step - 1, 1):.1f}",
            height=f"{y_of(0) - top:.1f}",
        )
        shapes.append(tag("g", tag("title", f"{values}: {rows:,} rows"), bar))
    labels = _edge_labels(bins, step)
    svg = _plot(f"{title}: rows by {x_label}", shapes, y_ticks, labels, x_label)
    return tag(
        "figure", tag("h3", title), tag("figcaption", "rows"), svg, tag("p", caption, class_="note")
    )


def _edge_labels(bins: Sequence[tuple[int, int, int]], step: float) -> list[tuple[float, str]]:
    """Label single values below their bars, and edges of wider bins between them."""
    every = -(-len(bins) // _TICKS)
    if all(low == high for low, high, _ in bins):
        return [
            (_LEFT + (number + 0.5) * step, f"{low:,}")
            for number, (low, _, _) in enumerate(bins)
            if number % every == 0
        ]
    labels = [
        (_LEFT + number * step, f"{low:,}")
        for number, (low, _, _) in enumerate(bins)
        if number % every == 0 and len(bins) - number > every / 2
    ]
    return [*labels, (_LEFT + len(bins) * step, f"{bins[-1][1]:,}")]


def _scale(ticks: Sequence[float]) -> Callable[[float], float]:
    """Return the function that places values between the first and the last tick."""
    low, high = ticks[0], ticks[-1]
    return lambda value: (
        _HEIGHT - _BOTTOM - (value - low) / (high - low) * (_HEIGHT - _TOP - _BOTTOM)
    )


def _plot(
    description: str,
    shapes: Iterable[Html],
    y_ticks: Sequence[float],
    x_labels: Iterable[tuple[float, str]],
    x_title: str,
) -> Html:
    """Draw shapes over a grid with labelled axes."""
    y_of = _scale(y_ticks)
    bottom = _HEIGHT - _BOTTOM
    grid = [
        part
        for tick in y_ticks
        for part in (
            _rule(_LEFT, y_of(tick), _WIDTH - _RIGHT, y_of(tick)),
            _text(_LEFT - 8, y_of(tick) + 4, _write_number(tick), "end"),
        )
    ]
    grid += [
        part
        for x, label in x_labels
        for part in (_rule(x, bottom, x, bottom + 5), _text(x, bottom + 22, label, "middle"))
    ]
    return tag(
        "svg",
        *grid,
        *shapes,
        _text((_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 6, x_title, "middle"),
        viewBox=f"0 0 {_WIDTH} {_HEIGHT}",
        role="img",
        aria_label=description,
    )


def metric_charts(steps: Iterable[Any]) -> Html:
    """Draw loss and token accuracy by step, training and validation.

    Args:
        steps: The steps of a fine-tuning job, in order; each has the attributes of `StepMetrics`.
    """
    measured = list(steps)
    charts = [
        line_chart(
            title,
            [
                Series("training", _points(measured, f"train_{measure}")),
                Series("validation", _points(measured, f"valid_{measure}"), is_dashed=True),
            ],
            x_label="step",
            y_label=unit,
            smooth=True,
        )
        for title, measure, unit in (
            ("Loss", "loss", "nats per token"),
            ("Token accuracy", "accuracy", "fraction of tokens"),
        )
    ]
    return tag("div", *charts, class_="grid")


def _points(steps: Iterable[Any], measure: str) -> list[Point]:
    points = ((step.step, getattr(step, measure)) for step in steps)
    return [(step, value) for step, value in points if value is not None]


def _line(line: Series, number: int, points: Sequence[Point], class_: str | None = None) -> Html:
    dashes = "6 4" if line.is_dashed else None
    colour = f"stroke:var(--c{number})"
    if len(points) == 1:
        ((x, y),) = points
        return tag("circle", cx=f"{x:.1f}", cy=f"{y:.1f}", r=4, style=f"fill:var(--c{number})")
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return tag("polyline", points=path, style=colour, stroke_dasharray=dashes, class_=class_)


def _border(line: Series, number: int) -> str:
    style = "dashed" if line.is_dashed else "solid"
    return f"border-top-style:{style};border-top-color:var(--c{number})"


def _write_number(value: float) -> str:
    return f"{value:,.4g}"


def _rule(x1: float, y1: float, x2: float, y2: float) -> Html:
    ends = {"x1": x1, "y1": y1, "x2": x2, "y2": y2}
    return tag("line", class_="rule", **{name: f"{value:.1f}" for name, value in ends.items()})


def _text(x: float, y: float, text: str, anchor: str) -> Html:
    return tag("text", text, x=f"{x:.1f}", y=f"{y:.1f}", text_anchor=anchor)


def _thin(points: Sequence[Point]) -> list[Point]:
    """Average neighbours where there are more points than pixels to show them."""
    finite = [(x, y) for x, y in points if math.isfinite(x) and math.isfinite(y)]
    size = -(-len(finite) // _MAX_POINTS)
    if size <= 1:
        return finite
    groups = [finite[i : i + size] for i in range(0, len(finite), size)]
    return [(group[-1][0], sum(y for _, y in group) / len(group)) for group in groups]


def _average(points: Sequence[Point]) -> list[Point]:
    """Average each value with its neighbours."""
    reach = max(len(points) // _WINDOWS, 1)
    windows = (points[max(i - reach, 0) : i + reach + 1] for i in range(len(points)))
    return [
        (x, sum(y for _, y in window) / len(window))
        for (x, _), window in zip(points, windows, strict=True)
    ]


def _ticks(low: float, high: float) -> list[float]:
    """Round values that cover a range: multiples of 1, 2 or 5 times a power of ten."""
    if high - low <= max(abs(low), abs(high)) * 1e-9 + 1e-300:
        high = low + max(abs(low), 1.0)
    raw = (high - low) / _TICKS
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [number * step for number in range(first, last + 1)]
