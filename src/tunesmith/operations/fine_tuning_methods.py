"""Training methods as parameters."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, NotRequired

from annotated_types import Ge, Gt, Le
from typing_extensions import TypedDict

from tunesmith.operations.graders import GraderParam


class SupervisedHyperparametersParam(TypedDict, total=False):
    """Hyperparameters of supervised training; the service chooses those omitted or `"auto"`."""

    batch_size: Annotated[int, Ge(1), Le(256)] | Literal["auto"]
    learning_rate_multiplier: Annotated[float, Gt(0)] | Literal["auto"]
    n_epochs: Annotated[int, Ge(1), Le(50)] | Literal["auto"]


class DpoHyperparametersParam(SupervisedHyperparametersParam, total=False):
    """Hyperparameters of DPO; a higher `beta` keeps the model closer to the reference."""

    beta: Annotated[float, Gt(0), Le(2)] | Literal["auto"]


class ReinforcementHyperparametersParam(SupervisedHyperparametersParam, total=False):
    """Hyperparameters of reinforcement fine-tuning."""

    compute_multiplier: Annotated[float, Gt(1e-5), Le(10)] | Literal["auto"]
    eval_interval: Annotated[int, Ge(1)] | Literal["auto"]
    eval_samples: Annotated[int, Ge(1)] | Literal["auto"]
    reasoning_effort: Literal["default", "low", "medium", "high"]


class SupervisedMethodParam(TypedDict, total=False):
    """Training on example completions."""

    hyperparameters: SupervisedHyperparametersParam


class DpoMethodParam(TypedDict, total=False):
    """Training on pairs of a preferred and a non-preferred completion."""

    hyperparameters: DpoHyperparametersParam


class ReinforcementMethodParam(TypedDict):
    """Training on rewards computed by a grader; `response_format` is a JSON schema of the output.

    Source: https://platform.openai.com/docs/guides/reinforcement-fine-tuning
    """

    grader: GraderParam
    hyperparameters: NotRequired[ReinforcementHyperparametersParam]
    response_format: NotRequired[Mapping[str, Any]]


class FineTuneMethodParam(TypedDict):
    """Training method; the field named by `type` has its settings.

    Source: https://platform.openai.com/docs/api-reference/fine-tuning/create
    """

    type: Literal["supervised", "dpo", "reinforcement"]
    supervised: NotRequired[SupervisedMethodParam]
    dpo: NotRequired[DpoMethodParam]
    reinforcement: NotRequired[ReinforcementMethodParam]


class WandbParam(TypedDict):
    """Weights & Biases run: project, name, team and tags."""

    project: str
    name: NotRequired[str | None]
    entity: NotRequired[str | None]
    tags: NotRequired[Sequence[str]]


class WandbIntegrationParam(TypedDict):
    """Report of a job's metrics to Weights & Biases."""

    type: Literal["wandb"]
    wandb: WandbParam
