"""From what the owner of a job asked for to what the engine trains on."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from tunesmith.operations.fine_tuning import CreateFineTuningJob
from tunesmith.service.core.errors import invalid
from tunesmith.service.core.models import COMPLETION_MODELS
from tunesmith.service.engines.base import TrainingSpec
from tunesmith.service.files.files import FileService
from tunesmith.service.fine_tuning.graders import Graders
from tunesmith.service.fine_tuning.training_data import (
    Format,
    GradeFunction,
    read_examples,
    validate_example_count,
)
from tunesmith.types.fine_tuning import (
    DpoMethod,
    FineTuneMethod,
    FineTuningHyperparameters,
    FineTuningJob,
    ReinforcementMethod,
    SupervisedMethod,
)

__all__ = ["grader_config", "resolve_method", "training_spec_loader"]

_SUPERVISED = ("batch_size", "learning_rate_multiplier", "n_epochs")
_HYPERPARAMETERS: Mapping[str, tuple[str, ...]] = {
    "supervised": _SUPERVISED,
    "dpo": (*_SUPERVISED, "beta"),
    "reinforcement": (*_SUPERVISED, "compute_multiplier", "eval_interval", "eval_samples"),
}
_DEFAULT_BETA = 0.1


def resolve_method(operation: CreateFineTuningJob) -> FineTuneMethod:
    """Tell how a job shall train; what its owner left out is `auto`.

    Raises:
        ServiceError: The parameters contradict each other, or reinforcement has no grader.
    """
    given: dict[str, Any] = dict(operation.method or {"type": "supervised"})
    kind = str(given["type"])
    for other in _HYPERPARAMETERS:
        if other != kind and given.get(other) is not None:
            raise invalid(f"'{other}' does not go with the type '{kind}'", f"method.{other}")
    part: dict[str, Any] = dict(given.get(kind) or {})
    asked: dict[str, Any] = {
        **(operation.hyperparameters or {} if kind == "supervised" else {}),
        **(part.get("hyperparameters") or {}),
    }
    defaults: dict[str, Any] = dict.fromkeys(_HYPERPARAMETERS[kind], "auto")
    if kind == "reinforcement":
        defaults["reasoning_effort"] = "default"
    hyperparameters = FineTuningHyperparameters(**{**defaults, **asked})
    if kind == "dpo":
        return FineTuneMethod(type=kind, dpo=DpoMethod(hyperparameters=hyperparameters))
    if kind == "reinforcement":
        if not part.get("grader"):
            raise invalid("'grader' is a required property", "method.reinforcement.grader")
        grader = cast("dict[str, Any]", part["grader"])
        reinforcement = ReinforcementMethod(grader=grader, hyperparameters=hyperparameters)
        return FineTuneMethod(type=kind, reinforcement=reinforcement)
    return FineTuneMethod(type=kind, supervised=SupervisedMethod(hyperparameters=hyperparameters))


def training_spec_loader(
    job: FineTuningJob, files: FileService, base: str, graders: Graders
) -> Callable[[], TrainingSpec]:
    """Make the function that reads and checks a job's files.

    Args:
        job: The job as it was created.
        files: Has its files.
        base: The base model's name, which decides the format.
        graders: Score the answers of a reinforcement job.
    """
    method = cast("FineTuneMethod", job.method)
    kind = method.type or "supervised"
    wanted: FineTuningHyperparameters = getattr(method, kind).hyperparameters
    grade = _bind_grader(method, graders)

    def read() -> TrainingSpec:
        content = b"".join(files.read(job.training_file or ""))
        examples = read_examples(content, _format(kind, base), grade=grade)
        validate_example_count(len(examples))
        validation = []
        if job.validation_file is not None:
            held_out = b"".join(files.read(job.validation_file))
            validation = read_examples(
                held_out, _format(kind, base), param="validation_file", grade=grade
            )
        return TrainingSpec(
            examples=examples,
            validation=validation,
            n_epochs=_as_number(wanted.n_epochs, int),
            batch_size=_as_number(wanted.batch_size, int),
            learning_rate_multiplier=_as_number(wanted.learning_rate_multiplier, float),
            beta=_as_number(wanted.beta, float) or _DEFAULT_BETA,
            seed=job.seed or 0,
        )

    return read


def grader_config(method: FineTuneMethod) -> dict[str, Any] | None:
    """Find the grader of a reinforcement job."""
    return None if method.reinforcement is None else method.reinforcement.grader


def _format(kind: str, base: str) -> Format:
    if kind == "dpo":
        return "preference"
    if kind == "reinforcement":
        return "reinforcement"
    return "completion" if base in COMPLETION_MODELS else "chat"


@dataclass(frozen=True, slots=True)
class _BoundGrader:
    """Scores answers by a grader; its repr tells all that the score depends on."""

    grader: dict[str, Any]
    graders: Graders = field(repr=False)

    def __call__(self, sample: str, item: Mapping[str, Any]) -> float:
        return self.graders.score(self.grader, sample, item)


def _bind_grader(method: FineTuneMethod, graders: Graders) -> GradeFunction | None:
    grader = grader_config(method)
    return None if grader is None else _BoundGrader(grader, graders)


def _as_number(value: float | str | None, kind: type[Any]) -> Any:
    return None if value is None or isinstance(value, str) else kind(value)
