"""The trackers of the examples log to the real libraries."""

import importlib.util
from pathlib import Path

import anyio
import pytest

from tunesmith.integrations.tracking import track

pytestmark = pytest.mark.anyio

EXAMPLE = Path(__file__).parents[3] / "examples" / "trackers.py"


@pytest.fixture
def anyio_backend():
    """One event loop is enough, since these libraries are synchronous."""
    return "asyncio"


@pytest.fixture(scope="module")
def trackers():
    spec = importlib.util.spec_from_file_location("trackers", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


async def test_tensorboard_gets_a_folder_a_job_and_each_job_once(client, job, trackers, tmp_path):
    pytest.importorskip("tensorboardX")
    job = await client.fine_tuning.jobs.wait(job)
    tracker = trackers.TensorBoardTracker(tmp_path / "runs")
    assert await track(client, job, tracker) == "logged"
    (written,) = [path async for path in anyio.Path(tmp_path).glob(f"runs/{job.id}/events.*")]
    content = await written.read_bytes()
    assert content.count(b"train_loss") == len(await client.fine_tuning.jobs.results(job))
    assert job.fine_tuned_model.encode() in content
    assert await track(client, job, tracker) == "already logged"


@pytest.mark.slow
async def test_mlflow_gets_a_run_a_job_and_each_job_once(
    client, job, trackers, tmp_path, monkeypatch
):
    pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    job = await client.fine_tuning.jobs.wait(job)
    tracker = trackers.MlflowTracker(f"file:{tmp_path / 'mlruns'}")
    assert await track(client, job, tracker) == "logged"
    (run,) = tracker.client.search_runs([tracker.experiment])
    assert (run.info.status, run.data.tags["fine_tuned_model"]) == (
        "FINISHED",
        job.fine_tuned_model,
    )
    logged = tracker.client.get_metric_history(run.info.run_id, "train_loss")
    results = await client.fine_tuning.jobs.results(job)
    assert [(point.step, point.value) for point in logged] == [
        (row.step, row.train_loss) for row in results
    ]
    assert await track(client, job, tracker) == "already logged"
