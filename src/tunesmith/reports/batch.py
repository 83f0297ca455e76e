"""HTML report of a batch job: outcome, throughput and latency over time."""

from collections.abc import Callable, Mapping

from tunesmith._charts import Series, line_chart
from tunesmith._html import Html, render_facts, render_page, render_table, tag
from tunesmith.batch.report import BatchReport, Progress

__all__ = ["ProgressHistory", "render_html"]


class ProgressHistory:
    """Samples of a job's progress, in memory that does not grow with its length.

    Args:
        on_progress: Called with each progress, for example to update a progress bar.
        max_samples: Maximum number of samples; beyond it every other one is dropped.

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
        self.samples: list[Progress] = []
        self._on_progress = on_progress
        self._max_samples = max_samples
        self._interval = 1
        self._calls = 0

    def __call__(self, progress: Progress) -> None:
        """Record a sample."""
        if self._calls % self._interval == 0:
            self.samples.append(progress)
        self._calls += 1
        if len(self.samples) > self._max_samples:
            self.samples = self.samples[::2]
            self._interval *= 2
        if self._on_progress is not None:
            self._on_progress(progress)


def render_html(
    report: BatchReport,
    history: ProgressHistory,
    *,
    options: Mapping[str, object] | None = None,
    refresh_s: int | None = None,
) -> str:
    """Write a page about a job: its outcome, causes of failures, and its course over time.

    Args:
        report: The job's outcome.
        history: The job's progress over time.
        options: The job's options, to be listed.
        refresh_s: Seconds after which a browser loads the page again; None if it is final.

    Returns:
        The page, as HTML.
    """
    samples = history.samples
    charts = [
        _chart("Throughput", "rows/s", [(s.elapsed_s, s.rows_per_s) for s in samples]),
        _chart(
            "Latency",
            "seconds per response",
            [(s.elapsed_s, s.latency_s) for s in samples if s.latency_s is not None],
        ),
        _chart("Requests in flight", "requests", [(s.elapsed_s, s.in_flight) for s in samples]),
        _chart(
            "Rate-limited requests",
            "requests, total",
            [(s.elapsed_s, s.refused) for s in samples],
        ),
    ]
    causes = [(cause.rows, cause.code, cause.message) for cause in report.causes]
    failures = render_table(("Rows", "Code", "Message"), causes)
    settings = render_facts(options) if options else Html("")
    return render_page(
        f"Batch job: {report.output}",
        _summary(report),
        *([tag("h2", "Causes of failure"), failures] if causes else []),
        tag("h2", "Course"),
        tag("div", *charts, class_="grid"),
        *([tag("h2", "Options"), settings] if options else []),
        refresh_s=refresh_s,
    )


def _chart(title: str, unit: str, points: list[tuple[float, float]]) -> Html:
    return line_chart(title, [Series(title, points)], x_label="seconds since start", y_label=unit)


def _outcome(report: BatchReport) -> str:
    counts = {
        "answered": report.done,
        "failed": report.failed,
        "answered before": report.skipped,
        "in batches": report.in_batches,
        "not done": report.remaining or 0,
    }
    text = ", ".join(
        f"{count:,} {name}"
        for name, count in counts.items()
        if count or name in {"answered", "failed"}
    )
    return f"{text}; stopped: {report.stopped}" if report.stopped else text


def _summary(report: BatchReport) -> Html:
    latencies = [
        f"{name} {value:.3g} s"
        for name, value in (
            ("p50", report.latency_p50_s),
            ("p95", report.latency_p95_s),
            ("max", report.latency_max_s),
        )
        if value is not None
    ]
    return render_facts(
        {
            "Outcome": _outcome(report),
            "Duration": f"{report.elapsed_s:,.1f} s ({report.rows_per_s:,.1f} rows/s)",
            "Requests": f"{report.requests:,} ({report.refused:,} rate limited, "
            f"{report.retried:,} retried)",
            "Tokens": f"{report.usage.prompt:,} input, {report.usage.completion:,} output",
            "Cost": None if report.usd is None else f"${report.usd:,.4f}",
            "Latency": " · ".join(latencies),
            "Next": report.resume_hint,
        }
    )
