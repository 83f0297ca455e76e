"""Training by a trainer's folder: the process is started, followed, stopped and continued."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import anyio
from anyio.to_thread import run_sync

from tunesmith._atomic import write_atomic
from tunesmith.service.engines.base import EngineError
from tunesmith.service.engines.training import Hyperparameters, Metrics, Progress, TrainingStep
from tunesmith.service.engines.transformers.folder import JobFolder
from tunesmith.service.engines.transformers.hub import find_hub_commit

__all__ = ["TRAIN_COMMAND", "FolderTrainingRun"]

TRAIN_COMMAND = (sys.executable, "-m", "tunesmith.train")

_MAX_STARTS = 3
_POLL_S = 0.05
_MAX_POLLS = 20
_ERROR_CHARS = 1000
_WEIGHTS = ("adapter_config.json", "*.safetensors", "*.safetensors.index.json", "config.json")


class FolderTrainingRun:
    """Training of one job, in a process of its own.

    A process that dies is started again; it continues from its newest whole checkpoint. Three
    starts without a new checkpoint are a failure.

    Args:
        folder: Folder of the job, with all that a trainer reads.
        hyperparameters: Hyperparameters of the job.
        total_steps: Number of steps of all epochs.
        base: Folder of the base model, whose tokenizer is saved with the weights.
        command: Command of a trainer, before the folder.
    """

    def __init__(
        self,
        folder: Path,
        hyperparameters: Hyperparameters,
        total_steps: int,
        base: Path,
        command: Sequence[str] = TRAIN_COMMAND,
    ) -> None:
        self.hyperparameters = hyperparameters
        self.total_steps = total_steps
        self._folder = JobFolder(folder)
        self._base = base
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None
        self._is_running = False
        self._steps: dict[int, TrainingStep] = {}
        self._read_bytes = 0

    async def start(self) -> None:
        """Start the training, or continue it."""
        await self._wait_for_exit()
        self._is_running = True
        if not self._folder.end.exists():
            self._launch()

    async def poll(self, after: int, /) -> Progress:
        """Return the steps after a number of steps, waiting up to a second for the first.

        Raises:
            EngineError: The training has failed.
        """
        for _ in range(_MAX_POLLS):
            has_exited = self._process is None or self._process.poll() is not None
            has_ended = self._folder.end.exists()
            self._read_steps()
            steps: list[TrainingStep] = []
            while after + len(steps) + 1 in self._steps:
                steps.append(self._steps[after + len(steps) + 1])
            if steps:
                return Progress(steps, has_ended and steps[-1].step == max(self._steps))
            if has_ended:
                self._check_end()
                return Progress([], is_finished=True)
            if has_exited and self._is_running:
                self._restart()
            await anyio.sleep(_POLL_S)
        return Progress([])

    async def save(self, step: int, folder: Path, /) -> None:
        """Write the weights after a step to a folder."""
        while step not in self._folder.checkpoints():
            # A step is recorded just before its checkpoint is whole.
            progress = await self.poll(step)
            if progress.is_finished and step not in self._folder.checkpoints():
                raise EngineError(f"The checkpoint of step {step} was deleted.")
            await anyio.sleep(_POLL_S)
        await run_sync(self._copy_weights, step, folder)

    def pause(self) -> None:
        """Stop after the step in progress, with a checkpoint."""
        self._is_running = False
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()

    def cancel(self) -> None:
        """Kill the process, and all that it started."""
        self._is_running = False
        process = self._process
        if process is None:
            return
        if process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        self._forget_process()

    async def aclose(self) -> None:
        """Stop with a checkpoint, and wait for it."""
        self.pause()
        await self._wait_for_exit()

    async def _wait_for_exit(self) -> None:
        if self._process is not None:
            await run_sync(self._process.wait)
            self._forget_process()

    def _forget_process(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            if process.stdin is not None:
                process.stdin.close()
            process.wait()

    def _launch(self) -> None:
        starts = self._folder.path / "starts.json"
        newest = max(self._folder.checkpoints(), default=0)
        previous: dict[str, int] = json.loads(starts.read_text()) if starts.exists() else {}
        n = previous.get("n", 0) + 1 if previous.get("checkpoint") == newest else 1
        if n > _MAX_STARTS:
            raise EngineError(
                f"The training died {_MAX_STARTS} times without a new checkpoint. The last lines "
                f"of its output: {self._error_text()}"
            )
        write_atomic(starts, json.dumps({"n": n, "checkpoint": newest}))
        with (self._folder.path / "stderr.txt").open("ab") as errors:
            self._process = subprocess.Popen(  # noqa: S603 - the command is the user's
                [*self._command, str(self._folder.path), "--stop-at-eof"],
                stdin=subprocess.PIPE,  # closes with this process, however it dies
                stdout=subprocess.DEVNULL,
                stderr=errors,
                start_new_session=True,
            )

    def _restart(self) -> None:
        self._forget_process()
        self._launch()

    def _read_steps(self) -> None:
        path = self._folder.steps
        if not path.exists():
            return
        if path.stat().st_size < self._read_bytes:
            self._read_bytes = 0  # a torn line was removed
        with path.open("rb") as file:
            file.seek(self._read_bytes)
            content = file.read()
        whole = content[: content.rfind(b"\n") + 1]
        self._read_bytes += len(whole)
        for line in whole.splitlines():
            step = _parse_step(json.loads(line))
            self._steps.setdefault(step.step, step)

    def _check_end(self) -> None:
        error = self._folder.read_end()
        if error is not None:
            raise EngineError(error)

    def _error_text(self) -> str:
        path = self._folder.path / "stderr.txt"
        text = path.read_text("utf-8", "replace").strip() if path.exists() else ""
        return text[-_ERROR_CHARS:] or "(nothing)"

    def _copy_weights(self, step: int, folder: Path) -> None:
        part = folder.with_name(f".{folder.name}.part")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        sources = [
            path for name in _WEIGHTS for path in self._folder.checkpoint(step).glob(name)
        ] + [path for name in TOKENIZER_FILES for path in self._base.glob(name)]
        for source in sources:
            shutil.copy2(source, part / source.name)
        _name_base(part / "adapter_config.json", self._base)
        part.rename(folder)


TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "tokenizer.model",
    "vocab.json",
    "merges.txt",
    "added_tokens.json",
    "special_tokens_map.json",
    "chat_template.jinja",
    "generation_config.json",
)
"""Files that are saved beside weights, so that other programs can load them."""


def _name_base(path: Path, base: Path) -> None:
    """Name the base model of an adapter by its id on the hub, so that other machines find it."""
    commit = find_hub_commit(base)
    if commit and path.exists():
        config: dict[str, Any] = json.loads(path.read_text("utf-8"))
        config["base_model_name_or_path"], config["revision"] = commit
        path.write_text(json.dumps(config, indent=2), "utf-8")


def _parse_step(values: dict[str, Any]) -> TrainingStep:
    for name in ("train", "valid", "full_valid"):
        values[name] = Metrics(**values[name]) if values[name] else None
    return TrainingStep(**values)
