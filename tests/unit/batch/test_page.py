"""The page about a job, and the looks that it is drawn from."""

import re
from itertools import pairwise

import pytest
from tests.unit.batch.services import Service
from tests.unit.cli.test_batch_progress import progress

from tunesmith import AsyncClient
from tunesmith.batch import BatchJob
from tunesmith.reports.batch import ProgressHistory, render_html

pytestmark = pytest.mark.anyio


def test_the_looks_that_are_kept_do_not_grow_with_the_job():
    history = ProgressHistory(max_samples=100)
    for second in range(10_000):
        history(progress(elapsed_s=float(second)))
    assert 50 <= len(history.looks) <= 101
    seconds = [look.elapsed_s for look in history.looks]
    assert seconds[0] == 0
    steps = {after - before for before, after in pairwise(seconds)}
    assert len(steps) == 1  # evenly over the whole job


def test_every_look_is_passed_on_to_a_bar():
    shown = []
    history = ProgressHistory(shown.append, max_samples=2)
    for _ in range(9):
        history(progress())
    assert len(shown) == 9


async def test_a_page_tells_of_throughput_and_latency_over_time(tmp_path, anyio_backend):
    history = ProgressHistory()
    rows = [{"prompt": f"{n}", "model": "m"} for n in range(20)]
    async with (
        AsyncClient(backend=Service()) as client,
        BatchJob(rows, tmp_path / "answers<b>.jsonl", client=client, on_progress=history) as job,
    ):
        report = await job.run()
    assert history.looks[-1].latency_s == pytest.approx(0.05)
    shown = render_html(report, history)
    assert "20 answered, 0 failed" in shown
    assert re.findall("<h2>(.*?)</h2>", shown) == [
        "Rows a second",
        "Seconds an answer took",
        "Requests under way",
        "Refused by rate limits, in all",
    ]
    assert "<b>" not in shown  # what comes from outside is escaped
