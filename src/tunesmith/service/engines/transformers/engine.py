"""Engine of Hugging Face models."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import anyio

from tunesmith.known_models import Ability
from tunesmith.service.engines.base import EngineError, ModelInfo
from tunesmith.service.engines.transformers.folder_run import TRAIN_COMMAND, FolderTrainingRun
from tunesmith.service.engines.transformers.hub import check_hub_commit, resolve_model
from tunesmith.service.engines.transformers.job import InvalidJobError, TrainOptions
from tunesmith.service.engines.transformers.model import BaseModel, TransformersModel
from tunesmith.service.engines.transformers.sampler import Sampler
from tunesmith.service.engines.transformers.tokenizer import ModelTokenizer, TokenizerError
from tunesmith.training_rules import Format

__all__ = ["TransformersEngine"]

_MAX_SAMPLERS = 2
_STOP_S = 30.0
_DEFAULT_CONTEXT_WINDOW = 2048


class TransformersEngine:
    """Engine of Hugging Face models, which trains and generates in processes of its own.

    Args:
        models: Base models by their names in the API: folders, or ids on the Hugging Face hub
            (`ORG/NAME`, `ORG/NAME@REVISION`), which are downloaded now unless the hub's cache has
            them. An existing folder is preferred.
        aliases: Further names by which the models are known, such as `gpt-4o-mini`.
        max_trainings: Number of trainings at a time: one for each device.
        train_command: Command of a trainer, before the job's folder.

    Raises:
        EngineError: A folder has no model, or a model cannot be downloaded.

    Example:
        ```python
        from pathlib import Path

        from tunesmith.service.engines.transformers.engine import TransformersEngine

        engine = TransformersEngine({})
        assert list(engine.models) == []
        ```
    """

    is_simulated = False
    """Jobs last as long as their trainings."""

    def __init__(
        self,
        models: Mapping[str, str | Path],
        *,
        aliases: Mapping[str, str] | None = None,
        max_trainings: int = 1,
        train_command: Sequence[str] = TRAIN_COMMAND,
    ) -> None:
        self.max_trainings: int | None = max_trainings
        self._train_command = train_command
        self._samplers: dict[Path, Sampler] = {}
        self._runs: list[FolderTrainingRun] = []
        names = {name: name for name in models}
        for alias, name in (aliases or {}).items():
            if name not in names:
                raise EngineError(f"cannot name {name!r} {alias!r}: models are {', '.join(names)}")
            names[alias] = names[name]
        bases = {name: _find_base(name, source) for name, source in models.items()}
        self._bases = {alias: bases[name] for alias, name in names.items()}
        self.models: Sequence[ModelInfo] = [
            _describe(name, base) for name, base in self._bases.items()
        ]
        """The base models, under all their names."""

    def check_options(self, model: str, format: Format, options: Mapping[str, Any], /) -> None:
        """Check the options of a new job.

        Raises:
            EngineError: An option is unknown or invalid.
        """
        del model, format
        try:
            TrainOptions.parse(options)
        except InvalidJobError as error:
            raise EngineError(error.message, f"tunesmith.{error.param}") from error

    async def open(self, model: str, folder: Path | None = None, /) -> TransformersModel:
        """Open a base model, or weights that were tuned from it.

        Raises:
            EngineError: The folder has no weights, or its adapter is one of another base model.
        """
        base = self._bases[model]
        if folder is None:
            return TransformersModel(self, base)
        if (folder / "adapter_config.json").exists():
            config = json.loads((folder / "adapter_config.json").read_text("utf-8"))
            if config.get("revision"):
                commit = config["base_model_name_or_path"], config["revision"]
                check_hub_commit(base.folder, commit)
            return TransformersModel(self, base, adapter=folder)
        return TransformersModel(self, _load_base(model, folder))

    def sampler(self, folder: Path) -> Sampler:
        """Return the sampler of a base model; those unused for longest are unloaded."""
        sampler = self._samplers.pop(folder, None) or Sampler(folder)
        idle = [path for path, other in self._samplers.items() if not other.is_busy]
        for path in idle[: max(len(self._samplers) + 1 - _MAX_SAMPLERS, 0)]:
            self._samplers.pop(path).close()
        self._samplers[folder] = sampler
        return sampler

    def follow(
        self, folder: Path, hyperparameters: Any, total_steps: int, base: Path
    ) -> FolderTrainingRun:
        """Return the training of a folder."""
        run = FolderTrainingRun(folder, hyperparameters, total_steps, base, self._train_command)
        self._runs.append(run)
        return run

    async def aclose(self) -> None:
        """Stop all processes; trainings write a checkpoint first."""
        for sampler in self._samplers.values():
            sampler.close()
        with anyio.move_on_after(_STOP_S, shield=True):
            async with anyio.create_task_group() as tasks:
                for run in self._runs:
                    tasks.start_soon(run.aclose)
        for run in self._runs:
            run.cancel()


def _find_base(name: str, source: str | Path) -> BaseModel:
    try:
        folder = resolve_model(source)
    except EngineError as error:
        raise type(error)(f"model {name!r}: {error}") from error
    return _load_base(name, folder)


def _load_base(name: str, folder: Path) -> BaseModel:
    path = folder / "config.json"
    if not path.exists():
        raise EngineError(
            f"model {name!r}: {folder} has no config.json; give the folder of a Hugging Face model"
        )
    config = json.loads(path.read_text("utf-8"))
    config = config.get("text_config", config)
    window, dimensions = config.get("max_position_embeddings"), config.get("hidden_size")
    try:
        tokenizer = ModelTokenizer(folder)
    except TokenizerError as error:
        raise EngineError(f"model {name!r}: {error}") from error
    window = int(window or _DEFAULT_CONTEXT_WINDOW)
    return BaseModel(folder.resolve(), tokenizer, window, dimensions)


def _describe(name: str, base: BaseModel) -> ModelInfo:
    abilities: set[Ability] = {"completions", "supervised", "legacy"}
    if base.dimensions:
        abilities.add("embeddings")
    if base.tokenizer.chat_template is not None:
        abilities |= {"chat", "responses", "dpo", "reinforcement"}
    return ModelInfo(
        name,
        abilities=frozenset(abilities),
        context_window=base.context_window,
        dimensions=base.dimensions,
        structured="constrained",
        tool_calls="generated" if base.tokenizer.tool_call_format else "refused",
        owned_by="tunesmith",
    )
