"""HTML reports of batch jobs, and the samples of progress that they show."""

import re
from itertools import pairwise

import pytest
from tests.unit.batch.services import Service
from tests.unit.cli.test_batch_progress import progress

from tunesmith import AsyncClient
from tunesmith.batch import BatchJob, BatchReport, FailureCause
from tunesmith.reports.batch import ProgressHistory, render_html

pytestmark = pytest.mark.anyio


def test_samples_are_bounded_however_long_the_job_runs():
    history = ProgressHistory(max_samples=100)
    for second in range(10_000):
        history(progress(elapsed_s=float(second)))
    assert 50 <= len(history.samples) <= 101
    seconds = [sample.elapsed_s for sample in history.samples]
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
    )
    shown = render_html(report, ProgressHistory(), options={"model": "m"}, refresh_s=5)
    assert '<td class="short">rate_limit</td><td class="short">slow &lt;down&gt;</td>' in shown
    assert '<th scope="row">model</th><td>m</td>' in shown
    assert 'http-equiv="refresh"' in shown
    assert "refresh" not in render_html(report, ProgressHistory())


async def test_a_report_shows_throughput_and_latency_over_time(tmp_path, anyio_backend):
    history = ProgressHistory()
    rows = [{"prompt": f"{n}", "model": "m"} for n in range(20)]
    async with (
        AsyncClient(backend=Service()) as client,
        BatchJob(rows, tmp_path / "answers<b>.jsonl", client=client, on_progress=history) as job,
    ):
        report = await job.run()
    assert history.samples[-1].latency_s == pytest.approx(0.05)
    shown = render_html(report, history)
    assert "20 answered, 0 failed" in shown
    assert re.findall("<h3>(.*?)</h3>", shown) == [
        "Throughput",
        "Latency",
        "Requests in flight",
        "Rate-limited requests",
    ]
    assert "<b>" not in shown  # file names are escaped
