"""Reports: distributions in bounded memory, a page that is safe, and JSON."""

import io
import json
import re
from html.parser import HTMLParser
from itertools import pairwise

import pytest
from hypothesis import given, strategies as st
from rich.console import Console

from tunesmith.datasets import Dataset, diagnose, write
from tunesmith.datasets.report import DatasetReport, Histogram, compute_statistics, make_report
from tunesmith.datasets.report.measure import MAX_LABELS
from tunesmith.datasets.report.terminal import print_report

PAIRS = [{"prompt": f"Question {i}?", "completion": f"Answer {i}" * (i % 7 + 1)} for i in range(50)]
CLASSES = [{"prompt": f"text {i}", "completion": ["yes", "no"][i % 5 == 0]} for i in range(50)]
EVIL = "<script>alert(1)</script><img src=x onerror=alert(1)>"


def report_of(rows, **options):
    return make_report(diagnose(Dataset.open(rows)), **options)


@pytest.mark.slow
@given(st.lists(st.integers(0, 10**9), min_size=1))
def test_a_histogram_is_exact_in_sums_and_near_in_quantiles(values):
    histogram = Histogram()
    for start in range(0, len(values), 3):
        histogram.add(values[start : start + 3])

    assert (histogram.count, histogram.total) == (len(values), sum(values))
    assert (histogram.minimum, histogram.maximum) == (min(values), max(values))
    assert sum(values for _, _, values in histogram.bins()) == len(values)
    median = sorted(values)[(len(values) - 1) // 2]
    assert abs(histogram.quantile(0.5) - median) <= median / 64


@pytest.mark.slow
def test_a_histogram_of_a_million_lengths_stays_small():
    histogram = Histogram()
    histogram.add(range(1_000_000))
    assert len(histogram._counts) < 2000
    assert len(histogram.bins()) <= 21


def test_bins_follow_each_other_without_gaps():
    histogram = Histogram()
    histogram.add([3, 17, 17, 40, 1000])
    bins = histogram.bins()
    assert all(a.high + 1 == b.low for a, b in pairwise(bins))
    assert bins[-1].high >= 1000


def test_a_measure_counts_rows_tokens_and_lengths():
    found = compute_statistics(Dataset.open(PAIRS).chunks, format="completions")
    assert found.rows == found.tokens.count == 50
    assert found.lengths["characters in prompt"].maximum == len("Question 49?")
    assert found.labels is None


def test_examples_are_picked_by_chance_and_by_seed():
    def lines(seed):
        found = compute_statistics(Dataset.open(PAIRS).chunks, format="completions", seed=seed)
        return [row.line for row in found.examples]

    assert lines(1) == lines(1) == sorted(lines(1))
    assert len({tuple(lines(seed)) for seed in range(5)}) > 1


def test_labels_are_counted_and_bounded():
    assert report_of(CLASSES).statistics.labels == {" yes": 40, " no": 10}
    rows = [{"prompt": "p", "completion": str(n)} for n in range(MAX_LABELS + 5)]
    found = compute_statistics(
        Dataset.open(rows).chunks, format="completions", task="classification"
    )
    assert len(found.labels) == MAX_LABELS


@pytest.mark.parametrize(
    ("row", "name"),
    [
        ({"messages": [{"role": "user", "content": "a"}, {"role": "assistant"}]}, "messages"),
        (
            {"input": {"messages": []}, "preferred_output": [], "non_preferred_output": None},
            "characters in preferred_output",
        ),
    ],
)
def test_conversations_and_pairs_have_their_own_distributions(row, name):
    dataset = Dataset.open([row] * 3)
    found = compute_statistics(dataset.chunks, format=dataset.format())
    assert found.lengths[name].count == 3


def test_the_rows_measured_are_those_written(tmp_path):
    file = tmp_path / "t.jsonl"
    file.write_text("\n".join(map(json.dumps, PAIRS)))
    diagnosis = diagnose(Dataset.open(file))
    plan = diagnosis.plan()
    report = make_report(diagnosis, plan, write(plan, split=0.2))

    assert report.statistics.rows == report.to_dict()["written"]["rows"][0] == 40


def test_the_dictionary_is_json_and_says_what_became_of_each_finding():
    diagnosis = diagnose(Dataset.open(PAIRS))
    plan = diagnosis.plan(lambda found: found.code != "no-ending")
    data = json.loads(json.dumps(make_report(diagnosis, plan).to_dict()))

    status = {found["code"]: found["status"] for found in data["findings"]}
    assert status["no-ending"] == "declined"
    assert status["no-leading-space"] == "accepted"
    assert data["tokens"]["exact"] is False
    assert data["cost"]["usd"] is None


def test_reinforcement_has_no_cost_by_tokens():
    rows = [
        {"messages": [{"role": "user", "content": f"{n}"}], "answer": str(n)} for n in range(20)
    ]
    assert report_of(rows).cost is None


class Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.open = []
        self.seen = []

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))
        if tag not in {"meta", "br"}:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def parsed(page):
    tags = Tags()
    tags.feed(page)
    assert tags.open == []
    return tags.seen


def test_the_page_escapes_whatever_comes_from_the_data():
    rows = [{"prompt": EVIL + str(n), "completion": EVIL, EVIL: 1} for n in range(20)]
    page = report_of(rows).to_html()

    names = {tag for tag, _ in parsed(page)}
    assert not names & {"script", "img"}
    assert "&lt;script&gt;" in page


def test_the_page_fetches_nothing():
    page = report_of(CLASSES).to_html()
    for _, attributes in parsed(page):
        assert not attributes.keys() & {"src", "href"}
    assert not re.search(r"url\(|@import|https?://", page)
    assert "default-src" in page


def test_the_page_shows_labels_findings_and_distributions():
    page = report_of(CLASSES).to_html()
    for shown in ("Labels", "no-separator", "Tokens per example", "Characters in prompt", "40"):
        assert shown in page


def test_the_page_shows_the_first_row_of_a_finding_as_it_was_read(tmp_path):
    rows = [{"prompt": f"q {n}?", "completion": f" a {n}"} for n in range(20)]
    rows[7]["completion"] = " "
    file = tmp_path / "t.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)))
    diagnosis = diagnose(Dataset.open(file))
    plan = diagnosis.plan()
    page = make_report(diagnosis, plan, write(plan)).to_html()

    finding = page[page.index("empty-completions") :]
    shown = finding[finding.index("<details>") : finding.index("</details>")]
    assert "Line 8: the first as it was read" in shown
    assert "q 7?" in shown


def test_rows_that_share_a_line_are_not_taken_for_each_other(tmp_path):
    rows = [{"prompt": f"q {n}?", "completion": " " if n == 7 else f" {n}"} for n in range(20)]
    file = tmp_path / "t.jsonl"
    file.write_text("".join(map(json.dumps, rows)))

    assert "<details>" not in report_of(file).to_html()


def test_the_terminal_shows_markup_as_it_is():
    rows = [{"prompt": f"{n}", "completion": ["[red]", "x[/x]"][n % 2]} for n in range(50)]
    console = Console(width=100, file=io.StringIO())
    print_report(report_of(rows), console)
    text = console.file.getvalue()

    assert "[red]" in text
    assert "estimate" in text


@pytest.mark.anyio
async def test_a_report_is_made_beside_the_event_loop():
    report = await DatasetReport.build(await Dataset.open(PAIRS).diagnose(), model="m", epochs=2)
    assert report.cost.trained_tokens == report.statistics.tokens.total * 2
