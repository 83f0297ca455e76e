"""HTML reports of fine-tuning jobs."""

import re

import pytest

from tunesmith import JobFailedError
from tunesmith.reports.fine_tuning_job import job_report

pytestmark = pytest.mark.anyio


@pytest.mark.slow
async def test_a_report_shows_a_job_from_its_creation_to_its_curves(client, job):
    job = await client.fine_tuning.jobs.wait(job)
    page = await job_report(client, job)
    assert job.fine_tuned_model in page
    assert f"{job.trained_tokens:,}" in page
    assert "<svg" in page
    events = re.findall(r'<td class="info">(.*?)</td>', page)
    assert events[0] == f"Created fine-tuning job: {job.id}"
    assert events[-1].startswith(("The job has successfully completed", "Step"))
    async for checkpoint in client.fine_tuning.jobs.checkpoints.list(job.id):
        assert checkpoint.fine_tuned_model_checkpoint in page


async def test_the_report_of_a_failed_job_shows_the_error_and_no_curves(client, data):
    (data / "few.jsonl").write_text('{"prompt": "a", "completion": "b"}\n')
    file = await client.files.upload(data / "few.jsonl")
    job = await client.fine_tuning.jobs.create(model="babbage-002", training_file=file.id)
    with pytest.raises(JobFailedError):
        await client.fine_tuning.jobs.wait(job)
    page = await job_report(client, job.id)
    assert "must have at least 10 examples" in page
    assert "<svg" not in page


async def test_text_of_the_job_is_escaped(client, data):
    file = await client.files.upload(data / "train.jsonl")
    job = await client.fine_tuning.jobs.create(
        model="babbage-002", training_file=file.id, metadata={"note": "<script>alert(1)</script>"}
    )
    page = await job_report(client, job)
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
