"""Plots of Braille dots."""

import math

import pytest
from hypothesis import given, strategies as st

from tunesmith.cli.braille_plot import braille_plot

EDGES = {"x": (0, 3), "y": (0, 7)}


def test_a_falling_line_goes_from_the_upper_left_to_the_lower_right():
    points = [(x, 7 - x * 7 / 3) for x in range(4)]
    top, bottom = braille_plot(points, **EDGES, width=2, height=2)
    assert top[0] != " " == top[1]
    assert bottom[1] != " " == bottom[0]


def test_points_of_one_column_are_averaged():
    one = braille_plot([(1, 2)], **EDGES, width=2, height=2)
    assert braille_plot([(1, 0), (1, 4)], **EDGES, width=2, height=2) == one


def test_points_that_are_not_finite_are_left_out():
    assert braille_plot([(1, math.nan), (2, math.inf)], **EDGES, width=2, height=2) == ["  ", "  "]


@pytest.mark.slow
@given(
    points=st.lists(st.tuples(st.floats(0, 100), st.floats(allow_nan=True, allow_infinity=True))),
    edge=st.floats(0, 1000),
)
def test_a_plot_always_fills_its_frame(points, edge):
    lines = braille_plot(points, x=(0, edge), y=(0, edge), width=7, height=3)
    assert [len(line) for line in lines] == [7, 7, 7]
    assert all(sign == " " or 0x2800 < ord(sign) < 0x2900 for line in lines for sign in line)
