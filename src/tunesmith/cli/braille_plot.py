"""Plots in a terminal: Braille dots, eight per character."""

import math
from collections.abc import Sequence

__all__ = ["Point", "braille_plot"]

Point = tuple[float, float]

_BLANK = 0x2800
_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
"""The bit of a dot in its character, by row and column."""


def braille_plot(
    points: Sequence[Point],
    *,
    x: tuple[float, float],
    y: tuple[float, float],
    width: int,
    height: int,
) -> list[str]:
    """Draw points as lines of Braille; points in one column of dots are averaged.

    Args:
        points: The points.
        x: Values at the left and right edge.
        y: Values at the bottom and top.
        width: Characters per line.
        height: Number of lines.
    """
    columns: dict[int, list[float]] = {}
    for position, value in points:
        if math.isfinite(value):
            columns.setdefault(_scale(position, x, 2 * width), []).append(value)
    cells = [[0] * width for _ in range(height)]
    for column, values in columns.items():
        row = 4 * height - 1 - _scale(sum(values) / len(values), y, 4 * height)
        cells[row // 4][column // 2] |= _DOTS[row % 4][column % 2]
    return ["".join(chr(_BLANK + cell) if cell else " " for cell in line) for line in cells]


def _scale(value: float, edges: tuple[float, float], dots: int) -> int:
    low, high = edges
    fraction = (value - low) / (high - low) if high > low else 0.5
    return round(min(max(fraction, 0.0), 1.0) * (dots - 1))
