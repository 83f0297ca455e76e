"""HTML reports of batch jobs, and the samples of progress that they show."""

import re
from dataclasses import replace
from itertools import pairwise

import pytest
from tests.unit.batch.services import Service
from tests.unit.cli.test_batch_progress import progress

from tunesmith import AsyncClient
from tunesmith.batch import BatchJob, BatchReport, FailureCause, Usage, read_runs
from tunesmith.batch.output import JobPaths
from tunesmith.reports.batch import ProgressHistory, render_html

pytestmark = pytest.mark.anyio


def test_samples_are_bounded_however_long_the_job_runs():
    history = ProgressHistory(max_samples=100)
    for second in range(10_000):
        history(progress(elapsed=float(second)))
    assert 50 <= len(history.samples) <= 101
    seconds = [sample.elapsed for sample in history.samples]
    assert seconds[0] == 0
    steps = {after - before for before, after in pairwise(seconds)}
    assert len(steps) == 1  # evenly over the whole job


def test_every_progress_is_passed_on():
    shown = []
    history = ProgressHistory(shown.append, max_samples=2)
    for _ in range(9):
        history(progress())
    assert len(shown) == 9


async def test_a_report_shows_causes_and_options_and_refreshes_while_the_job_runs():
    report = BatchReport(
        output="out.jsonl",
        errors="e",
        journal="j",
        rows=3,
        done=1,
        failed=2,
        skipped=0,
        remaining=0,
        outcome_unknown=(),
        requests=3,
        refused=0,
        retried=0,
        causes=(FailureCause("rate_limit", "slow <down>", 2),),
        options={"model": "m", "keep_files": True, "template": {"input": "{text}"}},
    )
    shown = render_html(report, ProgressHistory(), refresh_s=5)
    assert '<td class="short">rate_limit</td><td class="short">slow &lt;down&gt;</td>' in shown
    assert '<th scope="row">Model</th><td>m</td>' in shown
    assert '<th scope="row">Keep files</th><td>yes</td>' in shown
    assert '<th scope="row">Template</th><td>{&quot;input&quot;:&quot;{text}&quot;}</td>' in shown
    assert 'http-equiv="refresh"' in shown
    assert "refresh" not in render_html(report, ProgressHistory())


def charts(page):
    return re.findall("<h3>(.*?)</h3>", page)


def make_report(**changes):
    facts = {
        "output": "out.jsonl",
        "errors": "e",
        "journal": "j",
        "rows": 3,
        "remaining": 0,
        "done": 3,
        "failed": 0,
        "skipped": 0,
        "requests": 3,
        "refused": 0,
        "retried": 0,
    }
    return BatchReport(**facts | changes)


def test_a_report_lists_all_runs_and_adds_them_up():
    first = make_report(
        done=2,
        stopped="budget",
        remaining=1,
        elapsed=3700.0,
        usd=0.25,
        usage=Usage(20, 4),
        latency_p50=0.5,
        latency_p95=1.5,
        latency_max=2.0,
        started_at=1_750_000_000.0,
    )
    dead = make_report(done=0, stopped="died", started_at=1_750_010_000.0)
    last = make_report(done=1, skipped=2, elapsed=10.0, usd=0.5, usage=Usage(10, 2))
    shown = render_html(last, ProgressHistory(), runs=[first, dead])
    table = shown.split("<h2>Runs</h2>")[1]
    assert "2025-06-15 15:06:40" in table
    assert "2 answered, 0 failed, 1 not done; stopped: budget" in table
    assert "1:01:40 (0.0 rows/s); p50 0.5 s, p95 1.5 s, max 2 s; $0.2500" in table
    assert "2025-06-15 17:53:20" in table
    assert table.index("process died") < table.index("1 answered, 0 failed, 2 finished before")
    assert "1:01:50 (3 runs)" in shown
    assert "$0.7500 (3 runs)" in shown
    assert "30 input, 6 output (3 runs)" in shown
    assert "<h2>Runs</h2>" not in render_html(last, ProgressHistory())


async def test_a_journal_keeps_the_reports_of_all_runs(tmp_path, anyio_backend):
    output = tmp_path / "answers.jsonl"
    reports = []
    assert read_runs(output) == []
    for rows in (["a"], ["a", "b"]):
        client = AsyncClient(backend=Service())
        async with BatchJob(rows, output, client=client, model="m", resume=True) as job:
            reports.append(await job.run())
    assert read_runs(output) == reports
    assert [report.done for report in reports] == [1, 1]
    with JobPaths(output).journal.open("a") as journal:
        journal.write('{"begun":3,"at":1750000000,"options":{"max_retries":1}}\n')
    dead = read_runs(output)[2]
    assert (dead.stopped, dead.started_at) == ("died", 1_750_000_000)
    assert dead.options == {"max_retries": 1}


def test_a_report_is_short_in_a_notebook():
    shown = make_report(output="<b>.jsonl", stopped="budget")._repr_html_()
    assert '<th scope="row">Outcome</th><td>3 answered, 0 failed</td>' in shown
    assert "&lt;b&gt;.jsonl" in shown


async def test_a_report_shows_throughput_and_latency_over_time(tmp_path, anyio_backend):
    history = ProgressHistory()
    rows = [{"prompt": f"{n}", "model": "m"} for n in range(20)]
    async with (
        AsyncClient(backend=Service()) as client,
        BatchJob(rows, tmp_path / "answers<b>.jsonl", client=client, on_progress=history) as job,
    ):
        report = await job.run()
    assert history.samples[-1].latency == pytest.approx(0.05)
    assert "<h3>" not in render_html(report, history)  # a single point is no curve
    history(replace(history.samples[-1], elapsed=report.elapsed + 1))
    shown = render_html(report, history)
    assert "20 answered, 0 failed" in shown
    assert charts(shown) == ["Throughput", "Latency"]  # nothing is shown that never happened
    history(progress(elapsed=9.0, refused=2))
    assert charts(render_html(report, history)) == [
        "Throughput",
        "Latency",
        "Requests in flight",
        "Rate-limited requests",
    ]
    assert "<b>" not in shown  # file names are escaped
