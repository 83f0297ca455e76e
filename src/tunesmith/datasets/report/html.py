"""Report as an HTML page that loads nothing and runs no script."""

from collections.abc import Mapping, Sequence

from tunesmith._html import Html, render_facts, render_page, render_table, tag
from tunesmith.datasets.diagnosis import Diagnosis
from tunesmith.datasets.findings import Finding
from tunesmith.datasets.plan import Plan
from tunesmith.datasets.report.histogram import Histogram
from tunesmith.datasets.report.measure import Statistics
from tunesmith.datasets.rows import Row
from tunesmith.datasets.tokens import Segment, segments
from tunesmith.datasets.writer import WriteResult

__all__ = ["render_html"]

_LABELS_SHOWN = 30
_EXAMPLE_CHARACTERS = 2000
_WIDTH = 640
_HEIGHT = 140
_AXIS = 22
_BAR_PERCENT = 60


def render_html(
    diagnosis: Diagnosis,
    plan: Plan,
    written: WriteResult | None,
    statistics: Statistics,
    cost: str,
    concerned: Mapping[int, Row],
) -> str:
    """Return the page; everything that comes from the data is escaped."""
    return render_page(
        f"Training data: {diagnosis.file or 'rows'}",
        _summary(diagnosis, written, statistics, cost),
        _findings(diagnosis, plan, concerned),
        _distributions(statistics),
        tag("h2", "Random examples"),
        tag("p", "The model learns to write the marked text; the rest is context."),
        *map(_example, statistics.examples),
    )


def _summary(
    diagnosis: Diagnosis, written: WriteResult | None, statistics: Statistics, cost: str
) -> Html:
    counter = statistics.counter
    method = f"counted by {counter.name}" if counter.exact else counter.note
    facts = {
        "Format": diagnosis.format,
        "Format of the file": diagnosis.source_format,
        "Task": diagnosis.task or "",
        "Rows read": f"{diagnosis.rows:,}",
        "Rows measured": f"{statistics.rows:,}",
        "Tokens": f"{statistics.tokens.total:,}, {statistics.learned_tokens.total:,} of them "
        f"learned ({method})",
        "Images": f"{statistics.images:,} (tokens not counted)" if statistics.images else "",
        "Training": cost,
    }
    if written:
        files = zip(written.files, written.rows, strict=False)
        facts["Written"] = ", ".join(f"{file} ({rows:,} rows)" for file, rows in files)
        facts["Separator"] = repr(written.separator) if written.separator else ""
        facts["Stop"] = repr(written.ending) if written.ending else ""
        facts["Refused by the service"] = " ".join(map(str, written.errors))
    return render_facts(facts)


def _findings(diagnosis: Diagnosis, plan: Plan, concerned: Mapping[int, Row]) -> Html:
    if not diagnosis.findings:
        return Html(tag("h2", "Findings") + tag("p", "None."))
    rows = [_finding(finding, plan, concerned) for finding in diagnosis.findings]
    return Html(tag("h2", "Findings") + render_table(["Severity", "Finding"], rows))


def _finding(finding: Finding, plan: Plan, concerned: Mapping[int, Row]) -> Sequence[object]:
    # All in one column: further ones would squeeze it on a phone.
    details: list[object] = [" ", tag("code", finding.code)]
    if finding.field:
        details += [" ", tag("code", finding.field)]
    if finding.excerpt:
        details += [tag("br"), tag("code", finding.excerpt)]
    if finding.fix:
        details += [tag("br"), f"Fix: {finding.fix.description} ({plan.status_of(finding)})"]
    if finding.lines:
        more = ", …" if finding.count > len(finding.lines) else ""
        lines = f"Lines {', '.join(map(str, finding.lines))}{more}"
        example = concerned.get(finding.lines[0])
        details += (
            [tag("details", tag("summary", f"{lines}: the first as it was read"), _text(example))]
            if example
            else [tag("br"), lines]
        )
    return (
        tag("td", finding.severity, class_=finding.severity),
        tag("td", finding.message, *details),
    )


def _distributions(statistics: Statistics) -> Html:
    figures = [
        _histogram("Tokens per example", statistics.tokens),
        _histogram("Learned tokens per example", statistics.learned_tokens),
        *(_histogram(name.capitalize(), values) for name, values in statistics.lengths.items()),
    ]
    if statistics.labels:
        common = statistics.labels.most_common(_LABELS_SHOWN)
        figures.insert(0, _bars("Labels", common, len(statistics.labels) - len(common)))
    return Html(tag("h2", "Distributions") + "".join(figures))


def _histogram(name: str, histogram: Histogram) -> Html:
    bins = histogram.bins()
    if not bins:
        return Html("")
    tallest = max(values for _, _, values in bins)
    step = _WIDTH / len(bins)
    columns: list[Html] = []
    for index, (low, high, values) in enumerate(bins):
        # One row among a million is still visible.
        height = max(values / tallest * _HEIGHT, 1.0) if values else 0.0
        bar = tag(
            "rect",
            x=f"{index * step:.1f}",
            y=f"{_HEIGHT - height:.1f}",
            width=f"{step - 1:.1f}",
            height=f"{height:.1f}",
        )
        columns.append(tag("g", tag("title", f"{low:,} to {high:,}: {values:,} rows"), bar))
    baseline = _HEIGHT + _AXIS - 5
    chart = tag(
        "svg",
        *columns,
        tag("text", f"{bins[0].low:,}", x=0, y=baseline),
        tag("text", f"{bins[-1].high:,}", x=_WIDTH, y=baseline, text_anchor="end"),
        viewBox=f"0 0 {_WIDTH} {_HEIGHT + _AXIS}",
        role="img",
        aria_label=name,
    )
    caption = (
        f"sum {histogram.total:,} · median {histogram.quantile(0.5):,} · "
        f"mean {histogram.mean:,.1f} · p95 {histogram.quantile(0.95):,} · "
        f"max {histogram.maximum:,}"
    )
    return tag("figure", tag("h3", name), chart, tag("figcaption", caption))


def _bars(name: str, counts: Sequence[tuple[str, int]], others: int) -> Html:
    largest = max((count for _, count in counts), default=1)
    bars = [
        tag(
            "div",
            tag("span", text),
            tag("i", style=f"width:{count / largest * _BAR_PERCENT:.1f}%"),
            tag("b", f"{count:,}"),
            class_="bar",
        )
        for text, count in counts
    ]
    more = [tag("figcaption", f"and {others:,} more")] if others else []
    return tag("figure", tag("h3", name), *bars, *more)


def _example(example: Row) -> Html:
    return Html(tag("p", f"Line {example.line}") + _text(example))


def _text(example: Row) -> Html:
    return tag("pre", *map(_segment, segments(example.data)))


def _segment(segment: Segment) -> Html:
    text = segment.text[:_EXAMPLE_CHARACTERS]
    if more := len(segment.text) - len(text):
        text += f"… ({more:,} more characters)"
    content = tag("mark", text) if segment.is_learned else tag("span", text)
    return tag("div", tag("b", f"{segment.role}: "), content)
