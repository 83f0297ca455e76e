"""Fine-tuning in one call: prepare, upload, train, follow."""

import hashlib
import os
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

import anyio
import anyio.to_thread
from pydantic import BaseModel, PrivateAttr, ValidationError
from pydantic_core import to_jsonable_python

from tunesmith._atomic import write_atomic
from tunesmith.client import AsyncClient
from tunesmith.datasets import Dataset, Source
from tunesmith.errors import ConfigurationError
from tunesmith.operations.fine_tuning_methods import FineTuneMethodParam
from tunesmith.training_rules import Format
from tunesmith.types.fine_tuning import FineTuningJob, FineTuningJobEvent

__all__ = ["FineTuneHandle", "fine_tune"]

_RUN = "tunesmith_run"
"""Metadata key that identifies the job of a run."""


class FineTuneHandle(BaseModel):
    """Progress of a `fine_tune` call, from which an interrupted call is resumed.

    A handle made by `FineTuneHandle.load(path)` is also saved to a file after each step, so that it
    survives the process.

    Args:
        run_id: Identifier of the run, stored in the job's metadata.
        settings: Data and settings of the run, which must be the same when it is resumed.
        training_file: ID of the uploaded training file.
        validation_file: ID of the uploaded validation file.
        separator: End of the prompts in the prepared data, to be used with the tuned model too.
        ending: End of the completions, to be used as `stop` with the tuned model.
        job_id: ID of the job.
    """

    run_id: str = ""
    settings: dict[str, Any] = {}
    training_file: str | None = None
    validation_file: str | None = None
    separator: str = ""
    ending: str = ""
    job_id: str | None = None

    _path: Path | None = PrivateAttr(default=None)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Load a handle from a file, or create one that is saved there.

        Args:
            path: The JSON file.

        Raises:
            ConfigurationError: The file exists, but does not contain a handle.
        """
        file = Path(path)
        try:
            handle = cls.model_validate_json(file.read_bytes()) if file.exists() else cls()
        except ValidationError:
            raise ConfigurationError(
                f"{path} does not contain a fine-tune handle; choose another file or delete it"
            ) from None
        handle._path = file  # noqa: SLF001 - its own kind
        return handle

    async def save(self) -> None:
        """Save the handle to its file, if it has one."""
        if self._path is not None:
            await anyio.to_thread.run_sync(write_atomic, self._path, self.model_dump_json(indent=2))

    def check_settings(self, settings: Mapping[str, Any]) -> None:
        """Compare the data and settings of a call with those of the run.

        Args:
            settings: The data and settings; a value that is unknown is None.

        Raises:
            ConfigurationError: One of them differs.
        """
        for name, value in settings.items():
            if name in self.settings and self.settings[name] != value:
                raise ConfigurationError(
                    f"the handle belongs to a run with another value of {name!r}; pass the same "
                    f"{name!r} to resume it, or use a new handle for a new run"
                )
        self.settings = {**settings, **self.settings}


async def fine_tune(
    client: AsyncClient,
    data: Source,
    *,
    model: str,
    target_format: Format | None = None,
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
    """Prepare data, upload it, fine-tune a model on it, and follow the job to its end.

    Args:
        client: The client.
        data: A path (csv, tsv, xlsx, txt, json, jsonl, parquet), a file object, or rows. All
            recommended fixes are applied; to choose among them, use `tunesmith.datasets`.
        model: The model to fine-tune.
        target_format: The format to convert the data to, such as `chat` for a chat model.
        system: System message to add to conversations when converting to `chat`.
        split: Fraction of rows to use for validation, such as 0.1.
        suffix: Part of the fine-tuned model's name.
        seed: Seed for mostly reproducible training.
        method: Training method; supervised by default.
        metadata: Up to 15 key-value pairs to store with the job.
        on_event: Function called with each event, oldest first.
        handle: Progress of an earlier call to resume from; updated after each step.
        deadline: Seconds to wait for the job; the client's deadline by default.
        poll_interval: Seconds between polls of the job.

    Returns:
        The succeeded job; `fine_tuned_model` is the model's name.

    Raises:
        DatasetError: The data cannot be read or used.
        ConfigurationError: The handle belongs to a run with other data or settings.
        JobFailedError: The job failed.
        JobCancelledError: The job was cancelled.
        DeadlineExceededError: The deadline passed; call again with the same handle to resume.

    Example:
        ```python
        handle = FineTuneHandle.load("kant.run.json")
        job = await fine_tune(client, "kant.csv", model="babbage-002", handle=handle)
        print(job.fine_tuned_model, handle.separator, handle.ending)
        ```
    """
    handle = handle or FineTuneHandle()
    sha256 = await anyio.to_thread.run_sync(_hash_file, data)
    settings = {
        "model": model,
        "target_format": target_format,
        "system": system,
        "split": split,
        "suffix": suffix,
        "seed": seed,
        "method": method,
        "metadata": dict(metadata or {}),
    } | ({"data": sha256} if sha256 else {})
    handle.check_settings(to_jsonable_python(settings))
    if handle.training_file is None:
        dataset = Dataset.open(data, target_format=target_format, system=system)
        await _upload(client, dataset, split, handle)
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


def _hash_file(data: Source) -> str | None:
    """Return the SHA-256 of a file; None for rows, open files and files that are gone."""
    if not isinstance(data, str | os.PathLike):
        return None
    try:
        with Path(data).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None


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
    """Find the job of an earlier call that ended before the job's ID was saved."""
    if not handle.run_id:
        return None
    page = await client.fine_tuning.jobs.list(metadata={_RUN: handle.run_id}, limit=100)
    # Servers that ignore metadata list all jobs.
    return next(
        (job.id for job in page.data if (job.metadata or {}).get(_RUN) == handle.run_id), None
    )
