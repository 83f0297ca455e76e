"""Training methods: from the parameters of a job to the engine's training spec."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from tunesmith.known_models import KnownModel
from tunesmith.operations.fine_tuning import CreateFineTuningJob
from tunesmith.service.core.errors import invalid
from tunesmith.service.engines.base import TrainingExample, TrainingSpec
from tunesmith.service.files.files import FileService
from tunesmith.service.fine_tuning.graders import Graders
from tunesmith.service.fine_tuning.training_data import (
    read_examples,
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

__all__ = ["load_training_spec", "resolve_method"]

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


def load_training_spec(
    job: FineTuningJob, files: FileService, model: KnownModel, graders: Graders
) -> TrainingSpec:
    """Read and validate the files of a job.

    Args:
        job: The job.
        files: The job's files.
        model: The base model, which decides the format.
        graders: Graders of reinforcement jobs.

    Raises:
        InvalidTrainingFileError: A file is invalid.
        ServiceError: A file was deleted.
    """
    method = cast("FineTuneMethod", job.method)
    kind = method.type or "supervised"
    hyperparameters: FineTuningHyperparameters = getattr(method, kind).hyperparameters
    reinforcement = method.reinforcement
    grade = _BoundGrader(reinforcement.grader or {}, graders) if reinforcement else None

    def read(file_id: str, param: str) -> list[TrainingExample]:
        content = b"".join(files.read(file_id))
        return read_examples(content, _format(kind, model), param=param, grade=grade)

    examples = read(job.training_file or "", "training_file")
    validate_example_count(len(examples))
    return TrainingSpec(
        examples=examples,
        validation=read(job.validation_file, "validation_file") if job.validation_file else (),
        n_epochs=_as_number(hyperparameters.n_epochs, int),
        batch_size=_as_number(hyperparameters.batch_size, int),
        learning_rate_multiplier=_as_number(hyperparameters.learning_rate_multiplier, float),
        beta=_as_number(hyperparameters.beta, float) or _DEFAULT_BETA,
        seed=job.seed or 0,
    )


def _format(kind: str, model: KnownModel) -> Format:
    if kind == "dpo":
        return "dpo"
    if kind == "reinforcement":
        return "reinforcement"
    return "completions" if model.completes_only else "chat"


@dataclass(frozen=True, slots=True)
class _BoundGrader:
    """Grade function whose repr contains all that the score depends on."""

    grader: dict[str, Any]
    graders: Graders = field(repr=False)

    def __call__(self, sample: str, item: Mapping[str, Any]) -> float:
        return self.graders.score(self.grader, sample, item)


def _as_number(value: float | str | None, kind: type[Any]) -> Any:
    return None if value is None or isinstance(value, str) else kind(value)
