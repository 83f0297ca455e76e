"""Two more dashboards: the protocol of a tracker is four small methods.

    python examples/trackers.py JOB [--mlflow URI | --tensorboard FOLDER]

TensorBoard needs `pip install tensorboardX`, MLflow needs `pip install mlflow-skinny`.
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

import anyio

from tunesmith import AsyncClient
from tunesmith.integrations.tracking import TrackedFile, TrackedJob, track


class TensorBoardTracker:
    """Writes one folder of event files a job."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    def is_logged(self, job: TrackedJob) -> bool:
        return (self.folder / job.id / "finished").exists()

    def start(self, job: TrackedJob) -> "TensorBoardTracker":
        from tensorboardX import SummaryWriter

        self.writer = SummaryWriter(str(self.folder / job.id))
        return self

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        for name, value in metrics.items():
            self.writer.add_scalar(name, value, step)

    def finish(self, job: TrackedJob, files: Sequence[TrackedFile]) -> None:
        self.writer.add_text("fine_tuned_model", str(job.model))
        (self.folder / job.id / "finished").touch()

    def close(self) -> None:
        self.writer.close()


class MlflowTracker:
    """Makes one run a job in an MLflow experiment."""

    def __init__(self, uri: str, experiment: str = "fine-tuning") -> None:
        from mlflow import MlflowClient

        self.client = MlflowClient(uri)
        found = self.client.get_experiment_by_name(experiment)
        self.experiment = (
            found.experiment_id if found else self.client.create_experiment(experiment)
        )

    def is_logged(self, job: TrackedJob) -> bool:
        wanted = f"tags.job = '{job.id}' and attributes.status = 'FINISHED'"
        return bool(self.client.search_runs([self.experiment], wanted))

    def start(self, job: TrackedJob) -> "MlflowTracker":
        run = self.client.create_run(self.experiment, run_name=job.id, tags={"job": job.id})
        self.run_id, self.status = run.info.run_id, "FAILED"
        self.client.log_param(self.run_id, "model", job.config["model"])
        return self

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        for name, value in metrics.items():
            self.client.log_metric(self.run_id, name, value, step=step)

    def finish(self, job: TrackedJob, files: Sequence[TrackedFile]) -> None:
        self.client.set_tag(self.run_id, "fine_tuned_model", job.model)
        self.status = "FINISHED"

    def close(self) -> None:
        self.client.set_terminated(self.run_id, self.status)


async def main(job_id: str, mlflow: str | None, tensorboard: str) -> None:
    tracker = MlflowTracker(mlflow) if mlflow else TensorBoardTracker(tensorboard)
    async with AsyncClient() as client:
        print(await track(client, job_id, tracker, follow=True))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("job")
    parser.add_argument("--mlflow", metavar="URI")
    parser.add_argument("--tensorboard", metavar="FOLDER", default="runs")
    given = parser.parse_args()
    anyio.run(main, given.job, given.mlflow, given.tensorboard)
