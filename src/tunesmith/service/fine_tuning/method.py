"""Training methods: from the parameters of a job to the engine's training spec."""

from collections.abc import Iterable, Mapping
from typing import Any, cast

from tunesmith.operations.fine_tuning import CreateFineTuningJob
from tunesmith.service.core.errors import invalid
from tunesmith.service.engines.base import ModelInfo
from tunesmith.service.engines.training import TrainingSpec
from tunesmith.service.files.files import FileService
from tunesmith.service.fine_tuning.training_data import (
    TrainingFile,
    has_prompt,
    validate_example_count,
)
from tunesmith.training_rules import Format
from tunesmith.types.fine_tuning import (
    DpoMethod,
    FineTuneMethod,
    FineTuningHyperparameters,
    FineTuningJob,
    ReinforcementMethod,
    SupervisedMethod,
)

__all__ = ["hyperparameters_of", "load_training_spec", "resolve_method", "training_format"]

_SUPERVISED = ("batch_size", "learning_rate_multiplier", "n_epochs")
_HYPERPARAMETERS: Mapping[str, tuple[str, ...]] = {
    "supervised": _SUPERVISED,
    "dpo": (*_SUPERVISED, "beta"),
    "reinforcement": (*_SUPERVISED, "compute_multiplier", "eval_interval", "eval_samples"),
}
_DEFAULT_BETA = 0.1


def resolve_method(operation: CreateFineTuningJob) -> FineTuneMethod:
    """Return the method of a new job; missing hyperparameters become `auto`.

    Raises:
        ServiceError: The parameters contradict each other, or a grader is missing.
    """
    method: dict[str, Any] = dict(operation.method or {"type": "supervised"})
    kind = str(method["type"])
    for other in _HYPERPARAMETERS:
        if other != kind and method.get(other) is not None:
            raise invalid(f"'{other}' cannot be used with the type '{kind}'", f"method.{other}")
    part: dict[str, Any] = dict(method.get(kind) or {})
    values: dict[str, Any] = dict.fromkeys(_HYPERPARAMETERS[kind], "auto")
    if kind == "reinforcement":
        values["reasoning_effort"] = "default"
    if kind == "supervised":
        values |= operation.hyperparameters or {}
    values |= part.get("hyperparameters") or {}
    hyperparameters = FineTuningHyperparameters(**values)
    if kind == "dpo":
        return FineTuneMethod(type=kind, dpo=DpoMethod(hyperparameters=hyperparameters))
    if kind == "reinforcement":
        if not part.get("grader"):
            raise invalid("'grader' is a required property", "method.reinforcement.grader")
        grader = cast("dict[str, Any]", part["grader"])
        reinforcement = ReinforcementMethod(grader=grader, hyperparameters=hyperparameters)
        return FineTuneMethod(type=kind, reinforcement=reinforcement)
    return FineTuneMethod(type=kind, supervised=SupervisedMethod(hyperparameters=hyperparameters))


def training_format(
    method: FineTuneMethod, info: ModelInfo, training_file: Iterable[bytes]
) -> Format:
    """Return the format of a job's files; of a model with both abilities, the first row's."""
    match method.type:
        case "dpo":
            return "dpo"
        case "reinforcement":
            return "reinforcement"
        case _:
            is_completions = info.can("completions") and (
                not info.can("chat") or has_prompt(training_file)
            )
            return "completions" if is_completions else "chat"


def load_training_spec(job: FineTuningJob, files: FileService, info: ModelInfo) -> TrainingSpec:
    """Read and validate the files of a job.

    Args:
        job: The job.
        files: The job's files.
        info: The base model.

    Raises:
        InvalidTrainingFileError: A file is invalid.
        ServiceError: A file was deleted.
    """
    method = cast("FineTuneMethod", job.method)
    hyperparameters = hyperparameters_of(method)
    file_format = training_format(method, info, files.read(job.training_file or ""))

    def read(file_id: str, param: str) -> TrainingFile:
        return TrainingFile(lambda: files.read(file_id), file_format, param)

    examples = read(job.training_file or "", "training_file")
    validate_example_count(len(examples))
    return TrainingSpec(
        format=file_format,
        examples=examples,
        validation=read(job.validation_file, "validation_file") if job.validation_file else (),
        n_epochs=_as_number(hyperparameters.n_epochs, int),
        batch_size=_as_number(hyperparameters.batch_size, int),
        learning_rate_multiplier=_as_number(hyperparameters.learning_rate_multiplier, float),
        prompt_loss_weight=0.0,  # a parameter of the legacy API alone
        beta=_as_number(hyperparameters.beta, float) or _DEFAULT_BETA,
        grader=method.reinforcement.grader if method.reinforcement else None,
        seed=job.seed or 0,
        options=getattr(job, "tunesmith", None) or {},
    )


def hyperparameters_of(method: FineTuneMethod) -> FineTuningHyperparameters:
    """Return the hyperparameters of a method."""
    return cast(
        "FineTuningHyperparameters", getattr(method, method.type or "supervised").hyperparameters
    )


def _as_number(value: float | str | None, kind: type[Any]) -> Any:
    return None if value is None or isinstance(value, str) else kind(value)
