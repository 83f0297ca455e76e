"""The report as a page for the browser: one file, which fetches nothing and runs nothing."""

from html import escape
from typing import TYPE_CHECKING

from pydantic_core import to_json

from tunesmith.datasets.findings import Finding
from tunesmith.datasets.report import charts

if TYPE_CHECKING:
    from tunesmith.datasets.report.report import DatasetReport

__all__ = ["render_html"]

_LABELS_SHOWN = 30
_EXAMPLE_CHARACTERS = 2000

_STYLE = """
:root{color-scheme:light dark;--line:#8884;--bar:#4f7cac}
body{font:16px/1.5 system-ui,sans-serif;max-width:56rem;margin:2rem auto;padding:0 1rem}
table{border-collapse:collapse;width:100%}
th,td{text-align:left;vertical-align:top;padding:.35rem .6rem;border-bottom:1px solid var(--line)}
code,pre{font:.85em/1.45 ui-monospace,monospace;white-space:pre-wrap;overflow-wrap:anywhere}
pre{border:1px solid var(--line);border-radius:.4rem;padding:.6rem}
figure{margin:1.5rem 0}h3{margin:.2rem 0}figcaption{opacity:.75;font-size:.9em}
svg{width:100%;height:auto}rect{fill:var(--bar)}rect:hover{opacity:.7}
svg text{font-size:12px;fill:currentColor}
.bar{display:flex;align-items:center;gap:.6rem}
.bar span{flex:0 0 30%;overflow:hidden;text-overflow:ellipsis;white-space:pre}
.bar i{background:var(--bar);height:.9em}.bar b{font-weight:400}
.fatal,.error{color:#c33;font-weight:600}.warning{color:#b60;font-weight:600}
"""


def render_html(report: "DatasetReport") -> str:
    """The whole page; everything that comes from the data is escaped."""
    title = escape(f"Training data: {report.diagnosis.file or 'rows'}")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        # Even what might slip through the escaping could fetch or run nothing.
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        '<meta name="viewport" content="width=device-width">'
        f"<title>{title}</title><style>{_STYLE}</style></head><body><h1>{title}</h1>"
        f"{_summary(report)}{_findings(report)}{_distributions(report)}{_examples(report)}"
        "</body></html>\n"
    )


def _summary(report: "DatasetReport") -> str:
    diagnosis, statistics = report.diagnosis, report.statistics
    counted = "counted by " + statistics.counter.name
    facts = {
        "Format": diagnosis.format,
        "Task": diagnosis.task or "",
        "Rows read": f"{diagnosis.rows:,}",
        "Rows measured": f"{statistics.rows:,}",
        "Tokens": f"{statistics.tokens.total:,}, of which {statistics.learned_tokens.total:,} "
        f"are learned ({counted if statistics.counter.exact else statistics.counter.note})",
        "Images": f"{statistics.images:,}, whose tokens are not counted"
        if statistics.images
        else "",
        "Training": str(report.cost or ""),
    }
    if written := report.written:
        files = zip(written.files, written.rows, strict=False)
        facts["Written"] = ", ".join(f"{file} ({rows:,} rows)" for file, rows in files)
        facts["Separator"] = repr(written.separator) if written.separator else ""
        facts["Stop at"] = repr(written.ending) if written.ending else ""
    lines = "".join(
        f"<tr><th>{name}</th><td>{escape(fact)}</td></tr>" for name, fact in facts.items() if fact
    )
    return f"<table>{lines}</table>"


def _findings(report: "DatasetReport") -> str:
    if not report.diagnosis.findings:
        return "<h2>Findings</h2><p>Nothing was found.</p>"
    rows = "".join(_finding(found, report) for found in report.diagnosis.findings)
    return (
        "<h2>Findings</h2><table><tr><th>Severity</th><th>What was found</th><th>Lines</th>"
        f"<th>Remedy</th></tr>{rows}</table>"
    )


def _finding(found: Finding, report: "DatasetReport") -> str:
    excerpt = f"<br><code>{escape(found.excerpt)}</code>" if found.excerpt else ""
    field = f" <code>{escape(found.field)}</code>" if found.field else ""
    more = ", …" if found.count > len(found.lines) > 0 else ""
    remedy = f"{found.remedy.description} ({report.status_of(found)})" if found.remedy else ""
    return (
        f'<tr><td class="{found.severity}">{found.severity}</td>'
        f"<td>{escape(found.message)} <code>{escape(found.code)}</code>{field}{excerpt}</td>"
        f"<td>{', '.join(map(str, found.lines))}{more}</td><td>{escape(remedy)}</td></tr>"
    )


def _distributions(report: "DatasetReport") -> str:
    statistics = report.statistics
    figures = [
        charts.column_chart("Tokens per example", statistics.tokens),
        charts.column_chart("Learned tokens per example", statistics.learned_tokens),
    ]
    for name, histogram in statistics.lengths.items():
        figures.append(charts.column_chart(name.capitalize(), histogram))
    if statistics.labels:
        common = statistics.labels.most_common(_LABELS_SHOWN)
        figures.insert(0, charts.bar_chart("Labels", common, len(statistics.labels) - len(common)))
    return f"<h2>Distributions</h2>{''.join(figures)}"


def _examples(report: "DatasetReport") -> str:
    shown = "".join(
        f"<p>Line {line}</p><pre>{escape(_excerpt(data))}</pre>"
        for line, data in report.statistics.examples
    )
    return f"<h2>Examples, picked by chance</h2>{shown}"


def _excerpt(data: object) -> str:
    text = to_json(data, indent=2, inf_nan_mode="null").decode()
    if len(text) <= _EXAMPLE_CHARACTERS:
        return text
    return f"{text[:_EXAMPLE_CHARACTERS]}… ({len(text) - _EXAMPLE_CHARACTERS:,} characters more)"
