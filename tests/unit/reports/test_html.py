"""Elements of HTML reports: escaping, tables, axes."""

import math
import re
from html.parser import HTMLParser

from hypothesis import given, strategies as st

from tunesmith._charts import Series, histogram, line_chart
from tunesmith._html import Html, inline_code, render_facts, render_page, render_table, tag


class Outline(HTMLParser):
    """Names of the elements that a browser would open, and the text between them."""

    def __init__(self, markup):
        super().__init__()
        self.elements, self.text = [], ""
        self.feed(markup)

    def handle_starttag(self, tag, attrs):
        self.elements.append(tag)

    def handle_data(self, data):
        self.text += data


@given(text=st.text())
def test_text_never_becomes_markup(text):
    parsed = Outline(tag("p", text, title=text))
    assert parsed.elements == ["p"]


def test_text_and_attributes_are_escaped_and_markup_is_not():
    assert tag("td", "a < b", tag("br"), Html("<i>"), class_='"') == (
        '<td class="&quot;">a &lt; b<br><i></td>'
    )


def test_attributes_without_a_value_are_left_out():
    assert tag("line", x1=1, stroke_width=2, class_=None) == '<line x1="1" stroke-width="2"/>'


def test_facts_without_a_value_are_left_out():
    facts = Outline(render_facts({"Seed": 0, "Error": None, "Metadata": ""}))
    assert facts.text == "Seed0"


def test_a_cell_may_bring_its_own_markup():
    table = render_table(("Level",), [[tag("td", "bad", class_="error")], [None]])
    assert '<tr><td class="error">bad</td></tr><tr><td class="short"></td></tr>' in table


def test_a_page_loads_nothing_and_runs_nothing():
    page = render_page("Job <1>", tag("h2", "Events"))
    assert "default-src &#x27;none&#x27;" in page
    assert "<title>Job &lt;1&gt;</title>" in page
    assert not re.search(r"<(script|link|img|iframe)|src=|url\(", page)
    assert "refresh" not in page
    assert 'http-equiv="refresh" content="5"' in render_page("Job", refresh_s=5)


def test_a_chart_has_axes_a_grid_and_a_legend():
    chart = line_chart(
        "Loss",
        [Series("training", [(1, 2.0), (9, 0.5)]), Series("validation", [(5, 1.0)])],
        x_label="step",
        y_label="nats per token",
    )
    parsed = Outline(chart)
    assert parsed.elements.count("polyline") == 1
    assert parsed.elements.count("circle") == 1  # one point is not a line
    for label in ("step", "nats per token", "training", "validation", "0.5", "2"):
        assert label in parsed.text


def test_a_chart_without_finite_points_is_left_out():
    points = [(1, math.nan), (2, math.inf)]
    assert line_chart("Loss", [Series("a", points)], x_label="x", y_label="y") == ""


@given(
    points=st.lists(st.tuples(st.floats(0, 1e6), st.floats(-1e9, 1e9, allow_nan=False)), min_size=1)
)
def test_points_lie_within_the_axes(points):
    points.sort()
    chart = line_chart("Loss", [Series("a", points)], x_label="x", y_label="y")
    drawn = re.findall(r'points="([^"]*)"', chart)
    for pair in " ".join(drawn).split():
        x, y = map(float, pair.split(","))
        assert 76 <= x <= 700
        assert 16 <= y <= 224


def test_long_series_are_averaged():
    points = [(step, step % 2) for step in range(10_000)]
    chart = line_chart("Loss", [Series("a", points)], x_label="step", y_label="loss")
    assert len(chart) < 20_000


def test_a_histogram_labels_the_edges_of_its_bars_and_counts_rows():
    bins = [(low, low + 9, low) for low in range(0, 100, 10)]
    chart = histogram("Tokens", bins, x_label="tokens")

    texts = re.findall("<text[^>]*>([^<]*)</text>", chart)
    assert texts == [
        *("0", "20", "40", "60", "80", "100"),
        *("0", "20", "40", "60", "80", "99", "tokens"),
    ]
    assert chart.count("<rect") == 10
    assert "90 to 99: 90 rows" in chart


def test_a_histogram_of_single_values_labels_them_below_their_bars():
    chart = histogram("Messages", [(2, 2, 5), (3, 3, 1)], x_label="messages")
    assert "<title>2: 5 rows</title>" in chart
    assert histogram("Messages", [], x_label="messages") == ""


def test_text_between_backticks_is_code():
    assert inline_code("The column `a<b>` and `c`.") == (
        "The column <code>a&lt;b&gt;</code> and <code>c</code>."
    )
    assert inline_code("one ` alone") == "one ` alone"
