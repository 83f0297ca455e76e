"""Engine of Hugging Face models."""

import json
import re
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
from tunesmith.service.engines.transformers.model_files import ModelConfig
from tunesmith.service.engines.transformers.sampler import Sampler
from tunesmith.service.engines.transformers.tokenizer import ModelTokenizer
from tunesmith.training_rules import Format

__all__ = ["TransformersEngine"]

_MAX_SAMPLERS = 2
_STOP_S = 30.0
_TUNED_FOLDER = re.compile(r"(?:^|--)ft-")
"""Names of folders of tuned models: `ft:base:…` and the legacy `base:ft-…`."""


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
        del model
        try:
            TrainOptions.parse(options).check_effects(options, format)
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
        if not (folder / "adapter_config.json").exists():
            return TransformersModel(self, _load_base(model, folder))
        config = json.loads((folder / "adapter_config.json").read_text("utf-8"))
        source = config.get("base_model_name_or_path") or ""
        name = Path(source).name
        if config.get("revision"):
            check_hub_commit(base.folder, (source, config["revision"]))
        elif name != base.folder.name and _TUNED_FOLDER.search(name):
            # Whole tuned weights are beside the adapter, since a state may have been moved.
            base = _load_base(model, folder.with_name(name))
        return TransformersModel(self, base, adapter=folder)

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
    if not (folder / "config.json").exists():
        raise EngineError(
            f"model {name!r}: {folder} has no config.json; give the folder of a Hugging Face model"
        )
    if not any(folder.glob("*.safetensors")):
        raise EngineError(
            f"model {name!r}: {folder} has no .safetensors file, and other weights are not loaded; "
            "write them with save_pretrained(…)"
        )
    try:
        config, tokenizer = ModelConfig(folder), ModelTokenizer(folder)
        tokenizer.end_of_text  # noqa: B018 - nothing can be trained or begun without it
    except ValueError as error:
        raise EngineError(f"model {name!r}: {error}") from error
    return BaseModel(folder.resolve(), tokenizer, config.context_window, config.dimensions)


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
