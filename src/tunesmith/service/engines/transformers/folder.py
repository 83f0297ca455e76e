"""Folder of a job: the contract between a trainer and the process that started it.

job.json            the job
train.jsonl         training rows; validation.jsonl: validation rows, if any
steps.jsonl         completed steps, a line each; a step may occur again after a crash
checkpoint-N/       weights after step N, and all that is needed to continue
end.json            written at the end: `{"error": null}` or the reason of the failure
"""

import json
import os
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tunesmith._atomic import write_atomic
from tunesmith._json_types import is_object
from tunesmith.service.engines.transformers.job import InvalidJobError

try:
    import fcntl
except ImportError:  # Windows, where nothing is locked
    fcntl = None  # type: ignore[assignment]

__all__ = ["JobFolder"]

_MARKER = "progress.json"
_MAX_CHECKPOINTS = 3


class JobFolder:
    """Folder of a job.

    Args:
        path: The folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.job = path / "job.json"
        self.train = path / "train.jsonl"
        self.validation = path / "validation.jsonl"
        self.steps = path / "steps.jsonl"
        self.end = path / "end.json"

    def read_rows(self, path: Path) -> list[dict[str, Any]]:
        """Return the rows of a file; none if it does not exist.

        Raises:
            InvalidJobError: A line is not a JSON object.
        """
        rows: list[dict[str, Any]] = []
        if not path.exists():
            return rows
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if not line.strip():
                    continue
                try:
                    row: Any = json.loads(line)
                except ValueError:
                    row = None
                if not is_object(row):
                    message = f"{path}: line {number} is not a JSON object"
                    raise InvalidJobError(message, path.stem)
                rows.append(row)
        return rows

    def append_step(self, step: dict[str, Any]) -> None:
        """Append a completed step, so that it survives a crash of the process."""
        with self.steps.open("a", encoding="utf-8") as file:
            file.write(json.dumps(step) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def truncate_torn_step(self) -> None:
        """Remove a line of `steps.jsonl` whose writing was interrupted."""
        if self.steps.exists():
            content = self.steps.read_bytes()
            with self.steps.open("r+b") as file:
                file.truncate(content.rfind(b"\n") + 1)

    @contextmanager
    def lock(self) -> Generator[None]:
        """Wait until no other trainer works on the folder, and keep it from starting."""
        with (self.path / "lock").open("a") as file:
            if fcntl is not None:
                fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def checkpoint(self, step: int) -> Path:
        """Return the folder of the weights after a step."""
        return self.path / f"checkpoint-{step}"

    def checkpoints(self) -> list[int]:
        """Return the steps of all whole checkpoints, in order."""
        names = (path.parent.name for path in self.path.glob(f"checkpoint-*/{_MARKER}"))
        return sorted(int(name.rpartition("-")[2]) for name in names)

    def mark_whole(self, step: int, progress: dict[str, Any]) -> None:
        """Mark a checkpoint as whole, after which a training can continue from it.

        Args:
            step: The checkpoint's step.
            progress: State of the training that the library does not store.
        """
        write_atomic(self.checkpoint(step) / _MARKER, json.dumps(progress))

    def progress(self, step: int) -> dict[str, Any]:
        """Return the state that `mark_whole` stored."""
        progress: dict[str, Any] = json.loads((self.checkpoint(step) / _MARKER).read_text("utf-8"))
        return progress

    def delete_partial_checkpoints(self) -> None:
        """Delete checkpoints whose writing was interrupted."""
        whole = set(self.checkpoints())
        for path in self.path.glob("checkpoint-*"):
            if int(path.name.rpartition("-")[2]) not in whole:
                shutil.rmtree(path)

    def delete_old_checkpoints(self, retained: set[int]) -> None:
        """Delete all but the last checkpoints.

        Args:
            retained: Steps of which the last three are retained, beside the newest checkpoint.
        """
        steps = self.checkpoints()
        retained_steps = {*sorted(retained)[-_MAX_CHECKPOINTS:], *steps[-1:]}
        for step in steps:
            if step not in retained_steps:
                shutil.rmtree(self.checkpoint(step))

    def read_end(self) -> str | None:
        """Return the reason of the failure; None for a success.

        Raises:
            OSError: The training has not ended.
        """
        error: str | None = json.loads(self.end.read_text("utf-8"))["error"]
        return error

    def write_end(self, error: str | None) -> None:
        """Record the end of the training."""
        write_atomic(self.end, json.dumps({"error": error}))
