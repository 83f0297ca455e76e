"""Job of a trainer: its data, hyperparameters and options, as the file `job.json` has them."""

import json
import math
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from tunesmith._atomic import write_atomic
from tunesmith._json_types import is_list, is_object
from tunesmith.training_rules import FORMATS, Format

__all__ = ["ADAPTER_OPTIONS", "InvalidJobError", "TrainJob", "TrainOptions"]

_SCHEDULERS = ("linear", "cosine", "constant")
_DTYPES = ("auto", "float32", "bfloat16")
_LORA_RATES = ((135e6, 1e-3), (7e9, 2e-4))
_FULL_RATE = 2e-5
_MAX_AUTO_EPOCHS = 25
_AUTO_ROWS = 300
_MANY_ROWS = 100


class InvalidJobError(ValueError):
    """Job with an unknown or invalid value.

    Args:
        message: The problem and its fix.
        param: The value's name.
    """

    def __init__(self, message: str, param: str) -> None:
        super().__init__(message)
        self.message = message
        self.param = param


@dataclass(frozen=True, slots=True)
class TrainOptions:
    """Options of a training beyond the API's hyperparameters.

    Args:
        full: Whether to train all weights instead of an adapter (LoRA).
        lora_rank: Rank of the adapter's matrices.
        lora_alpha: Scale of the adapter, divided by its rank; None for twice the rank.
        target_modules: Names of the layers that get an adapter, or `all-linear`.
        learning_rate: Learning rate, before `learning_rate_multiplier`; None for a rate by method
            and model size.
        lr_scheduler: `linear` or `cosine` decay to 0, or `constant`.
        warmup: Share of the steps in which the learning rate rises from 0.
        max_length: Number of tokens after which sequences are truncated; None for the context
            window, up to 2048.
        packing: Whether to compute several sequences of a step as one row. Results do not change.
        micro_batch_tokens: Number of tokens, with padding, to compute at once. Results do not
            change.
        max_grad_norm: Norm to which gradients are clipped; 0 to clip nothing.
        weight_decay: Decay of the weights of AdamW.
        early_stopping_patience: Number of epochs without a lower validation loss after which to
            stop; None to train all epochs.
        save_every_s: Seconds between checkpoints from which a killed training continues.
        dtype: `float32`, `bfloat16`, or `auto` for bfloat16 on devices that are fast with it.
        n_samples: Number of sampled answers per prompt, for reinforcement.
        max_sample_tokens: Maximum length of a sampled answer, for reinforcement.
    """

    full: bool = False
    lora_rank: int = 16
    lora_alpha: int | None = None
    target_modules: str | tuple[str, ...] = "all-linear"
    learning_rate: float | None = None
    lr_scheduler: str = "linear"
    warmup: float = 0.03
    max_length: int | None = None
    packing: bool = False
    micro_batch_tokens: int = 8192
    max_grad_norm: float = 1.0
    weight_decay: float = 0.0
    early_stopping_patience: int | None = None
    save_every_s: float = 300.0
    dtype: str = "auto"
    n_samples: int = 8
    max_sample_tokens: int = 256

    @classmethod
    def parse(cls, values: Mapping[str, Any]) -> "TrainOptions":
        """Create options from JSON values.

        Raises:
            InvalidJobError: An option is unknown or invalid.
        """
        known = {item.name for item in fields(cls)}
        for name in values:
            if name not in known:
                raise InvalidJobError(
                    f"unknown training option {name!r}; options are {', '.join(sorted(known))}",
                    name,
                )
        for name, value in values.items():
            _check_option(name, value)
        options: dict[str, Any] = {
            name: tuple(value) if is_list(value) else value for name, value in values.items()
        }
        return cls(**options)

    def check_effects(self, names: Iterable[str], format: Format) -> None:
        """Check that some options have an effect.

        Args:
            names: Names of the options that were chosen.
            format: Format of the rows.

        Raises:
            InvalidJobError: An option would be ignored.
        """
        for name in names:
            if self.full and name in ADAPTER_OPTIONS:
                raise InvalidJobError(
                    f"training option {name!r} has no effect with 'full'; leave out one of them",
                    name,
                )
            if name in _REINFORCEMENT_OPTIONS and format != "reinforcement":
                raise InvalidJobError(
                    f"training option {name!r} needs the method reinforcement; leave it out", name
                )


ADAPTER_OPTIONS = ("lora_rank", "lora_alpha", "target_modules")
"""Options of the adapter's shape."""
_REINFORCEMENT_OPTIONS = ("n_samples", "max_sample_tokens")
_POSITIVE_INTEGERS = {
    "lora_rank",
    "lora_alpha",
    "max_length",
    "micro_batch_tokens",
    "early_stopping_patience",
    "n_samples",
    "max_sample_tokens",
}
_OPTIONAL = {"lora_alpha", "learning_rate", "max_length", "early_stopping_patience"}
_CHOICES = {"lr_scheduler": _SCHEDULERS, "dtype": _DTYPES}


def _check_option(name: str, value: Any) -> None:
    if value is None and name in _OPTIONAL:
        return
    is_valid: bool
    if name in ("full", "packing"):
        is_valid, expected = isinstance(value, bool), "true or false"
    elif name in _CHOICES:
        is_valid, expected = value in _CHOICES[name], f"one of {', '.join(_CHOICES[name])}"
    elif name == "target_modules":
        names: list[Any] = value if is_list(value) else [value]
        is_valid = bool(names) and all(isinstance(item, str) and item for item in names)
        expected = "a layer's name, a list of them, or all-linear"
    elif name in _POSITIVE_INTEGERS:
        is_valid, expected = _is_count(value), "an integer above 0"
    elif name == "warmup":
        is_valid, expected = _is_number(value, maximum=1), "a number from 0 to 1"
    else:
        is_valid, expected = _is_number(value), "a number of at least 0"
    if not is_valid:
        raise InvalidJobError(f"training option {name!r} must be {expected}", name)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _is_number(value: Any, *, maximum: float = sys.float_info.max) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and 0 <= value <= maximum


_JOB_VALUES: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "base": (lambda value: isinstance(value, str), "the folder of a model"),
    "format": (lambda value: value in FORMATS, f"one of {', '.join(FORMATS)}"),
    "adapter": (lambda value: value is None or isinstance(value, str), "a folder or null"),
    "n_epochs": (lambda value: value is None or _is_count(value), "an integer above 0 or null"),
    "batch_size": (lambda value: value is None or _is_count(value), "an integer above 0 or null"),
    "learning_rate_multiplier": (_is_number, "a number of at least 0"),
    "prompt_loss_weight": (_is_number, "a number of at least 0"),
    "beta": (_is_number, "a number of at least 0"),
    "grader": (lambda value: value is None or is_object(value), "an object or null"),
    "seed": (
        lambda value: isinstance(value, int) and 0 <= value < 2**32,
        "an integer from 0 to 2**32 - 1",
    ),
    "options": (is_object, "an object"),
}
"""Check of each key of `job.json`, and what it expects."""


@dataclass(frozen=True, slots=True)
class TrainJob:
    """Job of a trainer.

    Args:
        base: Folder of the base model.
        adapter: Folder of an adapter to train further; None for a new one.
        format: Format of the rows: `completions`, `chat`, `dpo` or `reinforcement`.
        n_epochs: Passes over the rows; None for a number by the number of rows.
        batch_size: Rows per step; None for 0.2 % of them, from 8 to 256.
        learning_rate_multiplier: Factor of the learning rate.
        prompt_loss_weight: Weight of prompt tokens beside completion tokens, for `completions`.
        beta: Strength of the constraint to the initial model, for `dpo`.
        grader: Grader of the API, for `reinforcement`.
        seed: Seed of the order of rows, of the adapter and of all samples.
        options: Further options.
    """

    base: str
    format: Format
    adapter: str | None = None
    n_epochs: int | None = None
    batch_size: int | None = None
    learning_rate_multiplier: float = 1.0
    prompt_loss_weight: float = 0.0
    beta: float = 0.1
    grader: Mapping[str, Any] | None = None
    seed: int = 0
    options: TrainOptions = field(default_factory=TrainOptions)

    @classmethod
    def read(cls, path: Path) -> "TrainJob":
        """Read a job from a file.

        Raises:
            InvalidJobError: The job is invalid.
            OSError: The file cannot be read.
        """
        try:
            values: Any = json.loads(path.read_text("utf-8"))
        except ValueError as error:
            raise InvalidJobError(f"{path} is not valid JSON: {error}", path.name) from error
        if not is_object(values):
            raise InvalidJobError(f"{path} must contain a JSON object", path.name)
        try:
            return cls._parse(values)
        except InvalidJobError as error:
            raise InvalidJobError(f"{path}: {error.message}", error.param) from error

    @classmethod
    def _parse(cls, values: dict[str, Any]) -> "TrainJob":
        known = {item.name for item in fields(cls)}
        for name in ("base", "format"):
            if name not in values:
                raise InvalidJobError(f"{name!r} is required", name)
        for name, value in values.items():
            if name not in known:
                raise InvalidJobError(
                    f"unknown key {name!r}; keys are {', '.join(sorted(known))}", name
                )
            check, expected = _JOB_VALUES[name]
            if not check(value):
                raise InvalidJobError(f"{name!r} must be {expected}", name)
        options = TrainOptions.parse(values.pop("options", {}))
        return cls(**values, options=options)

    def write(self, path: Path) -> None:
        """Write the job to a file.

        Raises:
            OSError: The file cannot be written.
        """
        write_atomic(path, json.dumps(asdict(self), indent=1))

    def resolve(
        self, n_rows: int, context_window: int, n_parameters: int, *, n_validation: int = 0
    ) -> "TrainJob":
        """Return the job with a value for each hyperparameter that was left open.

        Args:
            n_rows: Number of training rows.
            context_window: Maximum number of tokens of the model.
            n_parameters: Number of weights of the model.
            n_validation: Number of validation rows.

        Raises:
            InvalidJobError: An option needs validation rows, and there are none.
        """
        options = self.options
        if options.early_stopping_patience is not None and not n_validation:
            name = "early_stopping_patience"
            raise InvalidJobError(
                f"training option {name!r} needs validation rows; add a validation file", name
            )
        epochs = 3 if n_rows >= _MANY_ROWS else math.ceil(_AUTO_ROWS / max(n_rows, 1))
        rate = _FULL_RATE if options.full else _lora_rate(n_parameters)
        return replace(
            self,
            n_epochs=self.n_epochs or min(epochs, _MAX_AUTO_EPOCHS),
            batch_size=self.batch_size or min(max(round(n_rows * 0.002), 8), 256),
            options=replace(
                options,
                lora_alpha=options.lora_alpha or 2 * options.lora_rank,
                learning_rate=rate if options.learning_rate is None else options.learning_rate,
                max_length=min(options.max_length or 2048, context_window),
            ),
        )

    def total_steps(self, n_rows: int) -> int:
        """Return the number of steps of a resolved job.

        Args:
            n_rows: Number of training rows.
        """
        return (self.n_epochs or 1) * math.ceil(n_rows / (self.batch_size or 1))


def _lora_rate(n_parameters: int) -> float:
    """Return the learning rate of adapters, which falls with the size of the model."""
    (small, high), (large, low) = _LORA_RATES
    position = math.log(max(n_parameters, small) / small) / math.log(large / small)
    return high * math.pow(low / high, min(position, 1.0))
