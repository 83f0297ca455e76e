"""Report as an HTML page that loads nothing and runs no script."""

from collections.abc import Mapping, Sequence

from tunesmith._charts import histogram
from tunesmith._html import Html, inline_code, render_facts, render_page, render_table, tag
from tunesmith.datasets.diagnosis import Diagnosis
from tunesmith.datasets.findings import Finding, format_lines
from tunesmith.datasets.plan import Plan
from tunesmith.datasets.report.histogram import Histogram
from tunesmith.datasets.report.measure import Statistics
from tunesmith.datasets.rows import Row
from tunesmith.datasets.tokens import Segment, segments
from tunesmith.datasets.writer import WriteResult

__all__ = ["render_html"]

_LABELS_SHOWN = 30
_EXAMPLE_CHARACTERS = 2000
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
        "Format of the file": (
            diagnosis.source_format if diagnosis.source_format != diagnosis.format else None
        ),
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
        details += [
            tag("br"),
            inline_code(f"Fix: {finding.fix.description} ({plan.status_of(finding)})"),
        ]
    if finding.lines:
        more = ", …" if finding.count > len(finding.lines) else ""
        lines = format_lines(finding.lines).capitalize() + more
        example = concerned.get(finding.lines[0])
        details += (
            [tag("details", tag("summary", f"{lines}: the first as it was read"), _text(example))]
            if example
            else [tag("br"), lines]
        )
    return (
        tag("td", finding.severity, class_=finding.severity),
        tag("td", inline_code(finding.message), *details),
    )


def _distributions(statistics: Statistics) -> Html:
    charts = [
        _histogram("Tokens per example", statistics.tokens, "tokens"),
        _histogram("Learned tokens per example", statistics.learned_tokens, "tokens"),
        *(
            _histogram(name.capitalize(), values, name.split()[0])
            for name, values in statistics.lengths.items()
        ),
    ]
    labels = Html("")
    if statistics.labels:
        common = statistics.labels.most_common(_LABELS_SHOWN)
        labels = _bars("Labels", common, len(statistics.labels) - len(common))
    return Html(tag("h2", "Distributions") + labels + tag("div", *charts, class_="grid"))


def _histogram(name: str, values: Histogram, x_label: str) -> Html:
    caption = (
        f"sum {values.total:,} · median {values.quantile(0.5):,} · mean {values.mean:,.1f} · "
        f"p95 {values.quantile(0.95):,} · max {values.maximum:,}"
    )
    return histogram(name, values.bins(), x_label=x_label, caption=caption)


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
