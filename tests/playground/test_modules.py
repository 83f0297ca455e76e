"""Functions of the page's modules."""

import pytest

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def call(browser, address):
    """Function that calls a function of a module with arguments."""
    page = browser.new_page()
    page.goto(address)
    script = "([m, f, a]) => import(`/playground/${m}.js`).then((module) => module[f](...a))"
    yield lambda module, function, *arguments: page.evaluate(script, [module, function, arguments])
    page.close()


def test_cells_of_a_csv_are_never_formulas(call):
    rows = [["=1+1", "@x", "-1", "-x", 'a,"b"', None, "c\nd"]]
    assert call("ui", "toCsv", rows) == '\'=1+1,\'@x,-1,\'-x,"a,""b""",,"c\nd"\r\n'


def test_differences_are_marked_by_words(call):
    parts = call("diff", "markDifferences", "space and time.", "space or time itself.")
    different = [text for text, is_different in parts if is_different]
    assert "".join(text for text, _ in parts) == "space or time itself."
    assert different == ["or", " itself"]
    assert call("diff", "markDifferences", "", "all new") == [["all new", True]]
    long = "word " * 2000
    assert call("diff", "markDifferences", long, long) == [[long, False]]


def test_ticks_are_round_and_cover_the_range(call):
    assert call("chart", "ticks", 0, 7.3) == [0, 2, 4, 6, 8]
    assert call("chart", "ticks", 3, 3) == pytest.approx([3, 4, 5, 6])
    logarithmic = [10**tick for tick in call("chart", "logTicks", -1, 0.5)]
    assert logarithmic == pytest.approx([0.1, 0.2, 0.5, 1, 2, 5])


def test_smoothing_begins_at_the_first_value(call):
    points = [[1, 4.0], [2, 0.0], [3, 0.0]]
    assert call("chart", "smoothed", points, 0) == points
    values = [y for _, y in call("chart", "smoothed", points, 0.5)]
    assert values == pytest.approx([4, 4 / 3, 4 / 7])


@pytest.mark.parametrize(
    ("text", "stops"),
    [
        ("", []),
        ("END\n\\n", ["END", "\n"]),
        ("\\t\\\\n", ["\t\\n"]),
        ("1\n2\n3\n4\n5", ["1", "2", "3", "4"]),
    ],
)
def test_stop_sequences_are_lines(call, text, stops):
    assert call("generate", "readStops", text) == stops
