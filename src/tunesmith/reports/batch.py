"""HTML report of a batch job: outcome, throughput and latency over time, and all runs."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

from pydantic_core import to_json

from tunesmith._charts import Series, line_chart
from tunesmith._html import Html, render_facts, render_page, render_table, tag
from tunesmith.batch.report import BatchReport, Progress
from tunesmith.batch.results import Usage

__all__ = ["ProgressHistory", "render_html"]

_MIN_CLOCK_S = 60.0


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
    runs: Sequence[BatchReport] = (),
    refresh_s: int | None = None,
) -> str:
    """Return a page about a job: outcome, causes of failures, progress over time, runs.

    Args:
        report: Report of the last run.
        history: Progress of the last run over time.
        runs: Reports of earlier runs, as returned by `read_runs` before the last one.
        refresh_s: Seconds after which a browser loads the page again; None if it is final.

    Returns:
        The page, as HTML.
    """
    samples = history.samples
    charts = [
        _chart("Throughput", "rows/s", [(s.elapsed, s.rows_per_second) for s in samples]),
        _chart(
            "Latency",
            "seconds per response",
            [(s.elapsed, s.latency) for s in samples if s.latency is not None],
        ),
        _chart("Requests in flight", "requests", [(s.elapsed, s.in_flight) for s in samples]),
        _chart(
            "Rate-limited requests",
            "requests, total",
            [(s.elapsed, s.refused) for s in samples],
        ),
    ]
    # A job of less than a second, as in virtual time, would be a single point in each chart.
    takes_time = any(sample.elapsed > samples[0].elapsed for sample in samples)
    runs = [*runs, report]
    causes = [
        (number, f"{cause.rows:,}", cause.code, cause.message)
        for number, run in enumerate(runs, 1)
        for cause in run.causes
    ]
    return render_page(
        f"Batch job: {report.output}",
        _summary(report, runs, is_running=refresh_s is not None),
        *(
            [
                tag("h2", "Causes of failure"),
                render_table(("Run", "Rows", "Code", "Message"), causes),
            ]
            if causes
            else []
        ),
        *([tag("h2", "Over time"), tag("div", *charts, class_="grid")] if takes_time else []),
        *([tag("h2", "Runs"), _runs_table(runs)] if len(runs) > 1 else []),
        *(
            [
                tag("h2", "Options of the last run" if len(runs) > 1 else "Options"),
                render_facts(_options(report)),
            ]
            if report.options
            else []
        ),
        refresh_s=refresh_s,
    )


def _chart(title: str, unit: str, points: list[tuple[float, float]]) -> Html:
    if not any(value for _, value in points):
        return Html("")  # such as requests in flight of a job that uses the Batch API
    return line_chart(title, [Series(title, points)], x_label="seconds since start", y_label=unit)


def _summary(report: BatchReport, runs: Sequence[BatchReport], *, is_running: bool) -> Html:
    usage = sum((run.usage for run in runs), Usage())
    total = f" ({len(runs)} runs)" if len(runs) > 1 else ""
    return render_facts(
        {
            "State": "running" if is_running else _state(report),
            "Outcome": report.outcome,
            "Duration": f"{_format_duration(sum(run.elapsed for run in runs))}{total}",
            "Throughput": f"{report.rows_per_second:,.1f} rows/s" if report.elapsed else None,
            "Requests": f"{report.requests:,} ({report.refused:,} rate limited, "
            f"{report.retried:,} retried)",
            "Last retry": report.last_retry_reason,
            "Tokens": f"{usage.prompt:,} input, {usage.completion:,} output{total}",
            "Cost": f"{cost}{total}" if (cost := _cost(*runs)) else None,
            "Latency": _latency(report, "p50 ", " · p95 ", " · max "),
            "Next": report.resume_hint,
        }
    )


def _runs_table(runs: Sequence[BatchReport]) -> Html:
    last = _options(runs[-1])
    rows = [
        (number, *_run_cells(run), _differences(_options(run), last) if run.options else "")
        for number, run in enumerate(runs, 1)
    ]
    return render_table(("Run", "Start (UTC)", "Outcome", "Time and cost", "Other options"), rows)


def _options(run: BatchReport) -> dict[str, str]:
    """Return the options of a run, in words."""
    return {
        name.replace("_", " ").capitalize(): "yes"
        if value is True
        else value
        if isinstance(value, str)
        else to_json(value).decode()
        for name, value in run.options.items()
    }


def _differences(options: Mapping[str, str], others: Mapping[str, str]) -> str:
    names = dict.fromkeys([*options, *others])
    changed = [name for name in names if options.get(name) != others.get(name)]
    return "; ".join(f"{name}: {options.get(name, 'none')}" for name in changed)


def _run_cells(run: BatchReport) -> tuple[str, ...]:
    cost = _cost(run)
    started_at = datetime.fromtimestamp(run.started_at, UTC) if run.started_at is not None else None
    started = f"{started_at:%Y-%m-%d %H:%M:%S}" if started_at else ""
    if run.stopped == "died":
        return (started, "process died", "")
    return (
        started,
        f"{run.outcome}; {_state(run)}",
        f"{_format_duration(run.elapsed)} ({run.rows_per_second:,.1f} rows/s)"
        f"{_latency(run, '; p50 ', ', p95 ', ', max ')}" + (f"; {cost}" if cost else ""),
    )


def _state(run: BatchReport) -> str:
    return f"stopped: {run.stopped}" if run.stopped else "complete"


def _cost(*runs: BatchReport) -> str:
    known = [run.usd for run in runs if run.usd is not None]
    return f"${sum(known):,.4f}" if known else ""


def _latency(run: BatchReport, *separators: str) -> str:
    values = (run.latency_p50, run.latency_p95, run.latency_max)
    return "".join(
        f"{separator}{value:.3g} s"
        for separator, value in zip(separators, values, strict=True)
        if value is not None
    )


def _format_duration(seconds: float) -> str:
    """Return a duration as `h:mm:ss`, or seconds if it is short."""
    if seconds < _MIN_CLOCK_S:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"
