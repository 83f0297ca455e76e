"""HTML reports of fine-tuning jobs."""

import re

import pytest

from tunesmith import JobFailedError
from tunesmith.datasets.cost import Prices
from tunesmith.reports.fine_tuning_job import _curves, job_report
from tunesmith.types.fine_tuning import FineTuningJobCheckpoint
from tunesmith.types.results import JobResults, StepMetrics

pytestmark = pytest.mark.anyio


@pytest.mark.slow
async def test_a_report_shows_a_job_from_its_creation_to_its_curves(client, job):
    job = await client.fine_tuning.jobs.wait(job)
    page = await job_report(client, job)
    assert job.fine_tuned_model in page
    assert f"{job.trained_tokens:,}" in page
    assert "<svg" in page
    shown, folded = page.split("<details>")
    events = re.findall(r'<td class="info">(.*?)</td>', shown)
    assert events[0] == f"Created fine-tuning job: {job.id}"
    steps = re.findall(r'<td class="info">(Step.*?)</td>', folded)
    assert f"<summary>{len(steps)} step events</summary>" in folded
    assert not any(event.startswith("Step") for event in events)
    assert re.search(r"Duration</th><td>\d+:\d\d:\d\d</td>", page)
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


async def test_samples_are_shown_before_and_after_training(client, job):
    job = await client.fine_tuning.jobs.wait(job)
    page = await job_report(client, job, prompts=["Several concepts <are>"])
    samples = page.split("Samples before and after")[1].split("</table>")[0]
    assert "<pre>Several concepts &lt;are&gt;</pre>" in samples
    assert samples.count("<pre>") == 3


async def test_the_cost_of_training_is_shown_with_the_day_of_the_prices(client, job):
    job = await client.fine_tuning.jobs.wait(job)
    prices = Prices(as_of="2026-11-01", usd_per_million_training_tokens={"babbage-002": 1e6})
    page = await job_report(client, job, prices=prices)
    assert f"${job.trained_tokens:,.2f} (prices as of 2026-11-01)" in page


@pytest.mark.parametrize(("training", "is_memorized"), [(0.4, True), (1.2, False)])
def test_a_validation_loss_far_above_the_training_loss_is_named(training, is_memorized):
    checkpoint = FineTuningJobCheckpoint.model_validate(
        {
            "id": "c",
            "fine_tuned_model_checkpoint": "ft:m",
            "step_number": 30,
            "metrics": {"step": 30, "full_valid_loss": 2.0},
        }
    )
    steps = [StepMetrics(step, training, None, None, None, {}) for step in range(1, 31)]
    curves = _curves(JobResults("ftjob-1", steps), [checkpoint])
    assert ("Memorized: " in curves, "No overfitting: " in curves) == (
        is_memorized,
        not is_memorized,
    )


@pytest.mark.parametrize(
    ("losses", "verdict"),
    [
        ([2.0, 1.0, 0.5], "No overfitting: </span>validation loss is 0.500"),
        ([2.0, 1.0, 1.5], "Overfitting: </span>validation loss rose from 1.000 at step 2 to 1.500"),
        ([None, None], "No validation loss: pass a validation file"),
    ],
)
def test_overfitting_is_named(losses, verdict):
    checkpoints = [
        FineTuningJobCheckpoint.model_validate(
            {
                "id": f"c{step}",
                "step_number": step,
                "fine_tuned_model_checkpoint": "ft:m",
                "metrics": {"step": step, "full_valid_loss": loss},
            }
        )
        for step, loss in enumerate(losses, 1)
    ]
    results = JobResults("ftjob-1", ())
    assert verdict in _curves(results, checkpoints[::-1])
