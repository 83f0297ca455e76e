"""Weights & Biases: log a job as a run with its metrics, config and data.

Runs are those of the old command `openai wandb sync`, so that a project may hold both: id and
name are the job's id, the config is the job, the summary has the fine-tuned model and the status.
Source: https://docs.wandb.ai/guides/integrations/openai-fine-tuning
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from tunesmith._extras import import_extra
from tunesmith.errors import ConfigurationError
from tunesmith.integrations.tracking import TrackedFile, TrackedJob

__all__ = ["DEFAULT_PROJECT", "WandbTracker"]

DEFAULT_PROJECT = "OpenAI-Fine-Tune"
"""Project of the old command."""

_DETAILS = "fine_tune_details.json"
_ROLES = {"train": "training", "valid": "validation"}
_NOT_IN_ARTIFACT_NAMES = re.compile(r"[^A-Za-z0-9_.\-]")


class WandbTracker:
    """Tracker that logs jobs to Weights & Biases; needs the extra `wandb`.

    Args:
        project: The project to log to.
        entity: The owner of the project; default: you.
        mode: `online`, `offline` (a folder to sync later) or `disabled`; default: wandb's setting.
        folder: The folder in which wandb creates its folder `wandb`.

    Raises:
        ConfigurationError: wandb is not installed; from methods: its key or service is missing.

    Example:
        ```python
        from tunesmith.integrations.tracking import track

        await track(client, job, WandbTracker(project="kant", mode="disabled"))
        ```
    """

    def __init__(
        self,
        project: str = DEFAULT_PROJECT,
        *,
        entity: str | None = None,
        mode: Literal["online", "offline", "disabled"] | None = None,
        folder: str | Path = ".",
    ) -> None:
        self._wandb = import_extra("wandb", "wandb", "Runs in Weights & Biases")
        self._project = project
        self._entity = entity
        self._mode = mode or self._wandb.setup().settings.mode
        self._folder = Path(folder)

    def is_logged(self, job: TrackedJob) -> bool:
        """Return whether the finished job is logged already, at the service or in the folder."""
        if self._mode != "online":
            logged = (self._folder / "wandb").glob(f"*run-*-{job.id}/files/{_DETAILS}")
            return next(logged, None) is not None
        path = "/".join(filter(None, (self._entity, self._project, job.id)))
        try:
            run = self._wandb.Api().run(path)
        except (ValueError, self._wandb.errors.CommError):  # not found
            return False
        except self._wandb.errors.Error as error:
            raise _error_hint(error) from error
        return bool(run.summary.get("status") == "succeeded")

    def start(self, job: TrackedJob) -> "WandbRun":
        """Open the job's run, or resume an unfinished one."""
        try:
            wandb_run = self._wandb.init(
                job_type="fine-tune",
                config=dict(job.config),
                project=self._project,
                entity=self._entity,
                id=job.id,
                name=job.id,
                resume="allow" if self._mode == "online" else None,
                mode=self._mode,
                dir=str(self._folder),
                settings=self._wandb.Settings(silent=True, console="off"),
            )
        except self._wandb.errors.Error as error:
            raise _error_hint(error) from error
        return WandbRun(self._wandb, wandb_run)


class WandbRun:
    """Open run of a job.

    Args:
        library: The module wandb, which is only partly typed.
        run: The run.
    """

    def __init__(self, library: Any, run: Any) -> None:
        self._wandb = library
        self._run = run
        self._finished = False

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Log the metrics of a step."""
        self._run.log(dict(metrics), step=step)

    def finish(self, job: TrackedJob, files: Sequence[TrackedFile]) -> None:
        """Log the summary, and the job and its files as artifacts."""
        folder = Path(self._run.dir)
        if folder.exists():  # otherwise wandb is disabled
            self._log_end(folder, job, files)
        self._finished = True

    def _log_end(self, folder: Path, job: TrackedJob, files: Sequence[TrackedFile]) -> None:
        self._run.config.update(dict(job.config), allow_val_change=True)
        self._run.summary.update({"fine_tuned_model": job.model, "status": job.status})
        for file in files:
            self._log_file(file, job.id)
        details = folder / _DETAILS
        details.write_text(json.dumps(job.config, default=str, indent=2), encoding="utf-8")
        artifact = self._wandb.Artifact(
            "fine_tune_details", type="fine_tune_details", metadata={"job": job.id}
        )
        artifact.add_file(str(details))
        self._run.log_artifact(artifact, aliases=["latest", job.id])

    def close(self) -> None:
        """End the run; an unfinished one counts as failed."""
        self._run.finish(exit_code=0 if self._finished else 1)

    def _log_file(self, file: TrackedFile, job_id: str) -> None:
        rows = sum(1 for _ in _rows(file.path))
        self._run.config.update({f"n_{file.role}": rows}, allow_val_change=True)
        name = _NOT_IN_ARTIFACT_NAMES.sub("_", f"{file.role}-{file.name}")
        artifact = self._wandb.Artifact(name, type=f"{_ROLES[file.role]}_files")
        artifact.add_file(str(file.path), name=file.name)
        artifact.add(self._table(file.path), name)
        self._run.log_artifact(artifact, aliases=["latest", job_id])

    def _table(self, path: Path) -> Any:
        records = list(islice(_rows(path), self._wandb.Table.MAX_ARTIFACT_ROWS))
        columns = list(dict.fromkeys(name for row in records for name in row))
        cells = [[_cell(row.get(name)) for name in columns] for row in records]
        return self._wandb.Table(columns=columns, data=cells)


def _error_hint(error: Exception) -> ConfigurationError:
    message = str(error).rstrip(".")
    return ConfigurationError(
        f"Weights & Biases: {message}. To write to a folder and send it later, use mode='offline'."
    )


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8-sig") as lines:
        for line in lines:
            if line.strip():
                yield json.loads(line)


def _cell(value: Any) -> Any:
    """Write nested values as JSON, since a column has one type."""
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False)
    return value
