# pyright: basic, reportMissingImports=false
"""Weights of models: base models, adapters on them, and models that are tuned as a whole."""

import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import peft
import torch
import transformers

from tunesmith.service.engines.base import EngineError
from tunesmith.service.engines.transformers.hub import resolve_model
from tunesmith.service.engines.transformers.job import InvalidJobError, TrainJob

__all__ = [
    "check_tokens",
    "choose_device",
    "choose_dtype",
    "find_base",
    "load_base",
    "load_for_training",
    "merge",
]


def choose_device() -> torch.device:
    """Return the fastest device there is."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def choose_dtype(name: str, device: torch.device) -> torch.dtype:
    """Return the type of the weights.

    Args:
        name: `float32`, `bfloat16` or `auto`.
        device: The device, by which `auto` chooses.
    """
    if name == "auto":
        return torch.bfloat16 if device.type == "cuda" else torch.float32
    return torch.bfloat16 if name == "bfloat16" else torch.float32


def load_base(folder: str | Path, dtype: torch.dtype | str, **settings: Any) -> Any:
    """Load a base model; code and pickles that come with it are never executed.

    Args:
        folder: Folder in Hugging Face layout.
        dtype: Type of the weights; `auto` for the one they are stored in.
        settings: Further arguments of the library.

    Raises:
        OSError: The folder has no weights.
        ValueError: The model cannot be loaded, or it has a recurrent state.
    """
    model = transformers.AutoModelForCausalLM.from_pretrained(
        str(folder),
        dtype=dtype,
        trust_remote_code=False,
        use_safetensors=True,
        local_files_only=True,
        **settings,
    )
    if model._is_stateful:  # noqa: SLF001 - the library has no other name for it
        raise ValueError(
            f"models of the type {model.config.model_type!r} are not supported: they have a "
            "recurrent state in place of attention to all tokens"
        )
    return model


def check_tokens(ids: Sequence[int], model: Any) -> None:
    """Check that a model has an embedding for each token.

    Raises:
        ValueError: It has not.
    """
    size = model.get_input_embeddings().weight.shape[0]
    if max(ids) >= size:
        raise ValueError(
            f"the model has no embedding of the token id {max(ids)}, only {size} embeddings; "
            "resize them to the tokenizer's vocabulary"
        )


def load_for_training(job: TrainJob, device: torch.device) -> Any:
    """Load the model of a job, with its adapter.

    Args:
        job: The job.
        device: Device of the training.

    Raises:
        InvalidJobError: The model has none of the layers that should get an adapter.
    """
    options = job.options
    # Weights that are trained stay in float32; mixed precision computes with them in bfloat16.
    dtype = torch.float32 if options.full else choose_dtype(options.dtype, device)
    try:
        model = load_base(job.base, dtype)
    except (ValueError, ImportError) as error:  # an unknown architecture, a missing library
        raise InvalidJobError(f"{job.base} cannot be loaded: {error}", "base") from error
    if job.adapter is not None:
        model = peft.PeftModel.from_pretrained(model, job.adapter, is_trainable=not options.full)
        # A path, as in new adapters: the library looks for an id on the hub at each checkpoint.
        model.peft_config["default"].base_model_name_or_path = job.base
        return model.merge_and_unload() if options.full else model
    if options.full:
        return model
    modules = options.target_modules
    config = peft.LoraConfig(
        r=options.lora_rank,
        lora_alpha=options.lora_alpha or 2 * options.lora_rank,
        target_modules=modules if isinstance(modules, str) else list(modules),
        lora_dropout=0.0,
        task_type="CAUSAL_LM",
    )
    try:
        adapted = peft.get_peft_model(model, config)
    except (ValueError, re.error) as error:
        raise InvalidJobError(f"'target_modules': {error}", "target_modules") from error
    for name in () if isinstance(modules, str) else modules:
        if not any(f".{module}".endswith(f".{name}") for module in adapted.targeted_module_names):
            raise InvalidJobError(
                f"Target module {name!r} not found in the base model; leave it out",
                "target_modules",
            )
    return adapted


def find_base(adapter: Path) -> Path:
    """Return the folder of the base model of an adapter.

    Raises:
        EngineError: There is no such folder, or the model cannot be downloaded.
    """
    config: Any = peft.PeftConfig.from_pretrained(str(adapter))
    try:
        return resolve_model(
            "@".join(filter(None, (config.base_model_name_or_path, config.revision)))
        )
    except EngineError as error:
        raise EngineError(
            f"base_model_name_or_path in {adapter / 'adapter_config.json'}: {error}"
        ) from error


def merge(source: Path, target: Path) -> None:
    """Write a tuned model as a whole model, without an adapter.

    Args:
        source: Folder of an adapter, which names its base, or of a whole model.
        target: New folder.

    Raises:
        EngineError: The base model cannot be found.
    """
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("adapter_*"))
    if not (source / "adapter_config.json").exists():
        return
    base = load_base(find_base(source), "auto")
    merged = peft.PeftModel.from_pretrained(base, str(source)).merge_and_unload()
    generation = target / "generation_config.json"
    content = generation.read_bytes() if generation.exists() else None
    merged.save_pretrained(target)
    if content is not None:
        generation.write_bytes(content)
