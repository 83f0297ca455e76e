"""The whole way in one call: prepare, upload, fine-tune, follow."""

import os
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Self

import anyio
import anyio.to_thread
from pydantic import BaseModel, PrivateAttr, ValidationError

from tunesmith.client import AsyncClient
from tunesmith.datasets import Dataset, Source
from tunesmith.datasets.rows import Format
from tunesmith.errors import ConfigurationError
from tunesmith.operations.fine_tuning_methods import FineTuneMethodParam
from tunesmith.types.fine_tuning import FineTuningJob, FineTuningJobEvent

__all__ = ["FineTuneHandle", "fine_tune"]

_RUN = "tunesmith_run"
"""The key of the metadata by which the job of a run is found again."""


class FineTuneHandle(BaseModel):
    """How far a fine-tune has come; with it, an interrupted one goes on where it was.

    Made by `FineTuneHandle()`, it lives in memory. Made by `FineTuneHandle.load(path)`, it is also
    written to a file at each step, so that it outlives the process.

    Args:
        run_id: Tells the job of this run from all others.
        training_file: The id of the uploaded training file.
        validation_file: The id of the uploaded validation file.
        separator: What prompts end with in the prepared data, and should to the tuned model.
        ending: What completions end with: the `stop` of completions by the tuned model.
        job_id: The id of the job.
    """

    run_id: str = ""
    training_file: str | None = None
    validation_file: str | None = None
    separator: str = ""
    ending: str = ""
    job_id: str | None = None

    _path: Path | None = PrivateAttr(default=None)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read a handle from a file, or begin one that is written there.

        Args:
            path: The file; JSON.

        Raises:
            ConfigurationError: There is such a file, but it holds no handle.
        """
        file = Path(path)
        try:
            handle = cls.model_validate_json(file.read_bytes()) if file.exists() else cls()
        except ValidationError:
            raise ConfigurationError(
                f"{path} holds no handle of a fine-tune: name another file, or delete it"
            ) from None
        handle._path = file  # noqa: SLF001 - its own kind
        return handle

    async def save(self) -> None:
        """Write the handle to its file, if it has one."""
        if self._path is not None:
            beside = anyio.Path(self._path.with_name(f".{self._path.name}.part"))
            await beside.write_text(self.model_dump_json(indent=2))
            await beside.replace(self._path)


async def fine_tune(
    client: AsyncClient,
    data: Source,
    *,
    model: str,
    to: Format | None = None,
    system: str | None = None,
    split: float | None = None,
    suffix: str | None = None,
    seed: int | None = None,
    method: FineTuneMethodParam | None = None,
    metadata: Mapping[str, str] | None = None,
    on_event: Callable[[FineTuningJobEvent], object] | None = None,
    handle: FineTuneHandle | None = None,
    deadline: float | None = None,
    poll_interval: float = 2.0,
) -> FineTuningJob:
    """Prepare data, upload it, tune a model on it, and follow the job to its end.

    Args:
        client: Makes the calls.
        data: A path (csv, tsv, xlsx, txt, json, jsonl, parquet), a file object, or rows. All that
            `tunesmith.datasets` recommends is done to it; for a say in that, prepare it yourself.
        model: The model to tune.
        to: The format to convert the data to, such as `chat` for a chat model.
        system: The system message that conversations begin with after a conversion to `chat`.
        split: The share of rows to validate with, such as 0.1.
        suffix: A part of the tuned model's name.
        seed: Makes training repeatable, as far as the service can.
        method: How to train; supervised by default.
        metadata: Up to 15 pairs to keep with the job.
        on_event: Called with each event, oldest first.
        handle: How far an earlier call came; filled in on the way.
        deadline: Seconds that following the job may take; by default the client's.
        poll_interval: Seconds between two looks at the job.

    Returns:
        The job when it has succeeded; `fine_tuned_model` is the model's name.

    Raises:
        DatasetError: The data cannot be read or used.
        JobFailedError: The job failed.
        JobCancelledError: The job was cancelled.
        DeadlineExceededError: The time is up; with the same handle, the next call goes on.

    Example:
        ```python
        handle = FineTuneHandle.load("kant.run.json")
        job = await fine_tune(client, "kant.csv", model="babbage-002", handle=handle)
        print(job.fine_tuned_model, handle.separator, handle.ending)
        ```
    """
    handle = handle or FineTuneHandle()
    if handle.training_file is None:
        await _upload(client, Dataset.open(data, to=to, system=system), split, handle)
    if handle.job_id is None:
        handle.job_id = await _find_job(client, handle)
    if handle.job_id is None:
        handle.run_id = secrets.token_hex(8)
        await handle.save()
        job = await client.fine_tuning.jobs.create(
            model=model,
            training_file=handle.training_file or "",
            validation_file=handle.validation_file,
            suffix=suffix,
            seed=seed,
            method=method,
            metadata={**(metadata or {}), _RUN: handle.run_id},
        )
        handle.job_id = job.id
    await handle.save()
    jobs = client.fine_tuning.jobs
    if on_event is not None:
        async for event in jobs.follow(
            handle.job_id, deadline=deadline, poll_interval=poll_interval
        ):
            on_event(event)
    return await jobs.wait(handle.job_id, deadline=deadline, poll_interval=poll_interval)


async def _upload(
    client: AsyncClient, dataset: Dataset, split: float | None, handle: FineTuneHandle
) -> None:
    name = Path(dataset.file or "data").stem
    plan = (await dataset.diagnose()).plan()
    folder = TemporaryDirectory(prefix="tunesmith-")
    try:
        written = await plan.write(Path(folder.name) / f"{name}.jsonl", split=split)
        files = [await client.files.upload(path, purpose="fine-tune") for path in written.files]
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(folder.cleanup)
    handle.training_file = files[0].id
    handle.validation_file = files[1].id if len(files) > 1 else None
    handle.separator, handle.ending = written.separator, written.ending
    await handle.save()


async def _find_job(client: AsyncClient, handle: FineTuneHandle) -> str | None:
    """Find the job of an earlier call that ended before it knew the job's id."""
    if not handle.run_id:
        return None
    page = await client.fine_tuning.jobs.list(metadata={_RUN: handle.run_id}, limit=100)
    # Servers that know no metadata list all jobs.
    return next(
        (job.id for job in page.data if (job.metadata or {}).get(_RUN) == handle.run_id), None
    )
