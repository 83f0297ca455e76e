"""Log jobs to a dashboard, through one protocol for all dashboards."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal, Protocol

import anyio
import anyio.to_thread

from tunesmith.client import AsyncClient
from tunesmith.errors import APIStatusError
from tunesmith.types.fine_tunes import FineTune
from tunesmith.types.fine_tuning import FineTuningJob, FineTuningJobEvent
from tunesmith.types.results import StepMetrics

__all__ = ["TrackOutcome", "TrackedFile", "TrackedJob", "Tracker", "TrackerRun", "track"]

TrackOutcome = Literal["logged", "already logged", "not succeeded", "no results"]
"""Outcome of a job that was to be logged."""

_Step = tuple[int, Mapping[str, float]]

_TERMINAL_STATUSES = frozenset({"succeeded", "failed", "cancelled"})


@dataclass(frozen=True, slots=True)
class TrackedFile:
    """A file that a job trained or validated with.

    Args:
        role: Its use in the job.
        name: Its name at the service, without folders.
        path: A copy of its content, deleted after the job was logged.
    """

    role: Literal["train", "valid"]
    name: str
    path: Path


@dataclass(frozen=True, slots=True)
class TrackedJob:
    """Data of a job for a dashboard; the job may be of the legacy API.

    Args:
        id: The job's id.
        status: The job's status.
        model: The fine-tuned model's name.
        config: All fields of the job; times are datetimes.
        file_ids: Roles and ids of the job's files.
        has_results: Whether the job has a result file.
    """

    id: str
    status: str
    model: str | None
    config: Mapping[str, Any]
    file_ids: Sequence[tuple[Literal["train", "valid"], str]]
    has_results: bool

    @classmethod
    def from_job(cls, job: FineTuningJob | FineTune) -> "TrackedJob":
        """Convert a job."""
        config = job.model_dump(exclude={"events"})
        for name in list(config):
            if name.endswith("_at") and (time := getattr(job, f"{name[:-3]}_datetime", None)):
                config[name] = time
        if isinstance(job, FineTune):
            train = [file.id for file in job.training_files]
            valid = [file.id for file in job.validation_files]
        else:
            train = [job.training_file] if job.training_file else []
            valid = [job.validation_file] if job.validation_file else []
        return cls(
            id=job.id,
            status=job.status,
            model=job.fine_tuned_model,
            config=config,
            file_ids=[
                *(("train", file_id) for file_id in train),
                *(("valid", file_id) for file_id in valid),
            ],
            has_results=bool(job.result_files),
        )


class TrackerRun(Protocol):
    """Open run of a job in a dashboard; called from worker threads, one call at a time."""

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Log the metrics of a step."""
        ...

    def finish(self, job: TrackedJob, files: Sequence[TrackedFile]) -> None:
        """Log the finished job and its files."""
        ...

    def close(self) -> None:
        """Release resources; called at the end, finished or not."""
        ...


class Tracker(Protocol):
    """Dashboard that jobs are logged to.

    Example:
        ```python
        class Printed:
            def is_logged(self, job):
                return False

            def start(self, job):
                return self

            def log(self, step, metrics):
                print(step, metrics)

            def finish(self, job, files):
                print(job.model, [file.name for file in files])

            def close(self):
                pass
        ```
    """

    def is_logged(self, job: TrackedJob, /) -> bool:
        """Return whether the finished job is logged already."""
        ...

    def start(self, job: TrackedJob, /) -> TrackerRun:
        """Open a run for the job, or reopen the one of an interrupted call."""
        ...


async def track(
    client: AsyncClient,
    job: FineTuningJob | FineTune | str,
    tracker: Tracker,
    *,
    follow: bool = False,
    force: bool = False,
) -> TrackOutcome:
    """Log a job to a dashboard: its steps, outcome and files.

    Args:
        client: The client to fetch the job with.
        job: The job, or its id; ids that begin with `ft-` are of the legacy API.
        tracker: The dashboard.
        follow: Whether to follow a running job and log its steps at once.
        force: Whether to log a job again that is logged already.

    Returns:
        The outcome; jobs that did not succeed, have no results or are logged already are skipped.

    Raises:
        JobFailedError: The followed job failed.
        JobCancelledError: The followed job was cancelled.
        APIError: A call failed.

    Example:
        ```python
        from tunesmith.integrations.tracking import track
        from tunesmith.integrations.wandb import WandbTracker

        outcome = await track(client, job, WandbTracker(project="kant", mode="disabled"))
        ```
    """
    job_id = job if isinstance(job, str) else job.id
    state = await _retrieve(client, job_id)
    is_followed = follow and not _is_legacy(job_id) and state.status not in _TERMINAL_STATUSES
    if not is_followed and state.status != "succeeded":
        return "not succeeded"
    if not is_followed and not state.has_results:
        return "no results"
    if not force and await anyio.to_thread.run_sync(tracker.is_logged, state):
        return "already logged"
    run = await anyio.to_thread.run_sync(tracker.start, state)
    try:
        async with aclosing(
            (_event_steps if is_followed else _result_steps)(client, job_id)
        ) as steps:
            async for step, metrics in steps:
                await anyio.to_thread.run_sync(run.log, step, metrics)
        if is_followed:
            await client.fine_tuning.jobs.wait(job_id)
            state = await _retrieve(client, job_id)
        with TemporaryDirectory(prefix="tunesmith-") as folder:
            files = await _download(client, state, Path(folder))
            await anyio.to_thread.run_sync(run.finish, state, files)
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(run.close)
    return "logged"


def _is_legacy(job_id: str) -> bool:
    return job_id.startswith("ft-")


async def _retrieve(client: AsyncClient, job_id: str) -> TrackedJob:
    if _is_legacy(job_id):
        return TrackedJob.from_job(await client.fine_tunes.retrieve(job_id))
    return TrackedJob.from_job(await client.fine_tuning.jobs.retrieve(job_id))


async def _result_steps(client: AsyncClient, job_id: str) -> AsyncGenerator[_Step]:
    kind = client.fine_tunes if _is_legacy(job_id) else client.fine_tuning.jobs
    for row in await kind.results(job_id):
        yield row.step, _numbers(row)


def _numbers(row: StepMetrics) -> dict[str, float]:
    """Return the numeric columns of a row, by the service's names."""
    numbers: dict[str, float] = {}
    for name, text in row.columns.items():
        try:
            numbers[name] = float(text)
        except ValueError:
            continue
    numbers.pop("step", None)
    return numbers


_COLUMNS_BY_EVENT_FIELD = {"train_mean_token_accuracy": "train_accuracy"}
"""Names in the result file of metrics that events name differently."""


async def _event_steps(client: AsyncClient, job_id: str) -> AsyncGenerator[_Step]:
    async for event in client.fine_tuning.jobs.follow(job_id):
        data = event.data or {}
        if event.type == "metrics" and "step" in data:
            yield int(data["step"]), _event_numbers(event)


def _event_numbers(event: FineTuningJobEvent) -> dict[str, float]:
    return {
        _COLUMNS_BY_EVENT_FIELD.get(name, name): float(value)
        for name, value in (event.data or {}).items()
        if isinstance(value, int | float) and name not in {"step", "total_steps"}
    }


async def _download(client: AsyncClient, job: TrackedJob, folder: Path) -> list[TrackedFile]:
    """Download the files of a job; skip those that cannot be downloaded."""
    files: list[TrackedFile] = []
    for number, (role, file_id) in enumerate(job.file_ids):
        path = folder / str(number)  # names of the service are not trusted as paths
        try:
            file = await client.files.retrieve(file_id)
            await client.files.content(file_id).write_to(path)
        except APIStatusError:
            continue  # deleted, or not downloadable with this account
        files.append(TrackedFile(role, Path(file.filename or file_id).name, path))
    return files
