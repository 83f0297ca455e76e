"""How a job went, as a page for the browser: one file, which fetches nothing and runs nothing."""

from collections.abc import Callable, Sequence
from html import escape

from tunesmith.batch.report import BatchReport, Progress

__all__ = ["ProgressHistory", "render_html"]

_WIDTH = 640
_HEIGHT = 140
_AXIS = 22

_STYLE = """
:root{color-scheme:light dark;--line:#8884;--ink:#4f7cac}
body{font:16px/1.5 system-ui,sans-serif;max-width:56rem;margin:2rem auto;padding:0 1rem}
table{border-collapse:collapse}th,td{text-align:left;padding:.35rem .6rem}
tr{border-bottom:1px solid var(--line)}figure{margin:1.5rem 0}h2{margin:.2rem 0}
svg{width:100%;height:auto}svg text{font-size:12px;fill:currentColor}
polyline{fill:none;stroke:var(--ink);stroke-width:1.5}path{stroke:var(--line)}
"""


class ProgressHistory:
    """Keeps how far a job was at each look, in memory that does not grow with its length.

    Args:
        on_progress: Told too; for a bar beside the page.
        max_samples: How many looks are kept; beyond that every other one is dropped.

    Example:
        ```python
        from tunesmith.batch import BatchJob
        from tunesmith.reports.batch import ProgressHistory, render_html

        history = ProgressHistory()
        rows = [{"model": "davinci-002", "prompt": "Kant was"}]
        async with BatchJob(rows, "answers.jsonl", client=client, on_progress=history) as job:
            report = await job.run()
        Path("job.html").write_text(render_html(report, history), encoding="utf-8")
        ```
    """

    def __init__(
        self, on_progress: Callable[[Progress], object] | None = None, *, max_samples: int = 1000
    ) -> None:
        self.looks: list[Progress] = []
        self._on_progress = on_progress
        self._most = max_samples
        self._every = 1
        self._came = 0

    def __call__(self, progress: Progress) -> None:
        """Note how far the job is."""
        if self._came % self._every == 0:
            self.looks.append(progress)
        self._came += 1
        if len(self.looks) > self._most:
            self.looks = self.looks[::2]
            self._every *= 2
        if self._on_progress is not None:
            self._on_progress(progress)


def render_html(report: BatchReport, history: ProgressHistory) -> str:
    """Write a page about a job: its report, and throughput and latency over time.

    Args:
        report: How it ended.
        history: How far it was, look by look.

    Returns:
        The page, as HTML.
    """
    title = escape(f"Batch job: {report.output}")
    looks = history.looks
    figures = [
        _figure("Rows a second", [(look.elapsed_s, look.rows_per_s) for look in looks]),
        _figure(
            "Seconds an answer took",
            [(look.elapsed_s, look.latency_s) for look in looks if look.latency_s is not None],
        ),
        _figure("Requests under way", [(look.elapsed_s, look.in_flight) for look in looks]),
        _figure(
            "Refused by rate limits, in all", [(look.elapsed_s, look.refused) for look in looks]
        ),
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        # Even what might slip through the escaping could fetch or run nothing.
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        '<meta name="viewport" content="width=device-width">'
        f"<title>{title}</title><style>{_STYLE}</style></head><body><h1>{title}</h1>"
        f"{_summary_table(report)}{''.join(figures)}</body></html>\n"
    )


def _summary_table(report: BatchReport) -> str:
    latencies = [
        f"{value:.3g} s {name}"
        for name, value in (
            ("half of them", report.latency_p50_s),
            ("95 of 100", report.latency_p95_s),
            ("the longest", report.latency_max_s),
        )
        if value is not None
    ]
    facts = {
        "Outcome": str(report),
        "Time": f"{report.elapsed_s:,.1f} s, {report.rows_per_s:,.1f} rows a second",
        "Requests": f"{report.requests:,}; {report.refused:,} refused by rate limits, "
        f"{report.retried:,} sent again after other failures",
        "Tokens": f"{report.usage.prompt:,} of prompts, {report.usage.completion:,} of answers",
        "Cost": f"${report.usd:,.4f}" if report.usd is not None else "",
        "Latency": ", ".join(latencies),
        "What to do next": report.resume_hint,
    }
    rows = "".join(
        f"<tr><th>{name}</th><td>{escape(fact)}</td></tr>" for name, fact in facts.items() if fact
    )
    return f"<table>{rows}</table>"


def _figure(name: str, points: Sequence[tuple[float, float]]) -> str:
    if not points:
        return ""
    end = max(points[-1][0], 1e-9)
    most = max(value for _, value in points)
    line = " ".join(
        f"{at / end * _WIDTH:.1f},{_HEIGHT - value / (most or 1) * (_HEIGHT - 4):.1f}"
        for at, value in points
    )
    return (
        f"<figure><h2>{escape(name)}</h2>"
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT + _AXIS}" role="img" aria-label="{escape(name)}">'
        f'<path d="M0 {_HEIGHT}H{_WIDTH}"/><polyline points="{line}"/>'
        f'<text x="0" y="12">{most:,.4g}</text>'
        f'<text x="{_WIDTH}" y="{_HEIGHT + _AXIS - 5}" text-anchor="end">{end:,.1f} s</text>'
        "</svg></figure>"
    )
