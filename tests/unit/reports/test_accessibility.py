"""Every page that tunesmith writes passes axe-core, in light and dark."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import anyio
import pytest

from tunesmith import AsyncClient, MemoryBackend, datasets
from tunesmith.batch import BatchJob
from tunesmith.datasets.report import DatasetReport
from tunesmith.reports.batch import ProgressHistory, render_html
from tunesmith.reports.fine_tuning_job import job_report

pytestmark = pytest.mark.slow


async def job_page(folder):
    async with AsyncClient(backend=MemoryBackend()) as client:
        path = folder / "kant.jsonl"
        await (await datasets.example("kant").diagnose()).plan().write(path)
        file = await client.files.upload(path)
        job = await client.fine_tuning.jobs.create(
            model="babbage-002", training_file=file.id, validation_file=file.id
        )
        job = await client.fine_tuning.jobs.wait(job)
        (folder / "page.html").write_text(await job_report(client, job, prompts=["Kant was"]))


async def batch_page(folder):
    history = ProgressHistory()
    rows = [{"model": "davinci-002", "prompt": f"{number}"} for number in range(50)]
    rows.append({"model": "none", "prompt": "fails"})
    async with (
        AsyncClient(backend=MemoryBackend()) as client,
        BatchJob(rows, folder / "out.jsonl", client=client, on_progress=history) as job,
    ):
        report = await job.run()
    history(replace(history.samples[-1], elapsed=60.0))  # or there are no curves
    (folder / "page.html").write_text(render_html(report, history))


async def dataset_page(folder):
    report = await DatasetReport.build(await datasets.example("kant").diagnose())
    (folder / "page.html").write_text(report.to_html())


@pytest.mark.parametrize("write", [job_page, batch_page, dataset_page])
def test_a_page_is_accessible(write, tmp_path, accessibility_violations):
    with ThreadPoolExecutor() as thread:  # the browser occupies the event loop of this one
        thread.submit(anyio.run, write, tmp_path).result()
    assert accessibility_violations((tmp_path / "page.html").as_uri()) == []
