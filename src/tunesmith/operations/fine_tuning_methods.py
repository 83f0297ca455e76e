"""How a fine-tuning job shall train, as parameters."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, NotRequired

from annotated_types import Ge, Gt, Le
from typing_extensions import TypedDict

from tunesmith.operations.graders import GraderParam


class SupervisedHyperparametersParam(TypedDict, total=False):
    """How to train on examples; what is left out, or `"auto"`, the service chooses."""

    batch_size: Annotated[int, Ge(1), Le(256)] | Literal["auto"]
    learning_rate_multiplier: Annotated[float, Gt(0)] | Literal["auto"]
    n_epochs: Annotated[int, Ge(1), Le(50)] | Literal["auto"]


class DpoHyperparametersParam(SupervisedHyperparametersParam, total=False):
    """How to train on pairs; the higher `beta`, the closer the model stays to what it was."""

    beta: Annotated[float, Gt(0), Le(2)] | Literal["auto"]


class ReinforcementHyperparametersParam(SupervisedHyperparametersParam, total=False):
    """How to train on scores: the search's compute, and how often to evaluate on how much."""

    compute_multiplier: Annotated[float, Gt(1e-5), Le(10)] | Literal["auto"]
    eval_interval: Annotated[int, Ge(1)] | Literal["auto"]
    eval_samples: Annotated[int, Ge(1)] | Literal["auto"]
    reasoning_effort: Literal["default", "low", "medium", "high"]


class SupervisedMethodParam(TypedDict, total=False):
    """Training on examples of right answers."""

    hyperparameters: SupervisedHyperparametersParam


class DpoMethodParam(TypedDict, total=False):
    """Training on pairs of a better and a worse answer."""

    hyperparameters: DpoHyperparametersParam


class ReinforcementMethodParam(TypedDict):
    """Training on the scores that a grader gives; `response_format` is a JSON schema to answer in.

    Source: https://platform.openai.com/docs/guides/reinforcement-fine-tuning
    """

    grader: GraderParam
    hyperparameters: NotRequired[ReinforcementHyperparametersParam]
    response_format: NotRequired[Mapping[str, Any]]


class FineTuneMethodParam(TypedDict):
    """How to train: the member named as `type` holds the rest.

    Source: https://platform.openai.com/docs/api-reference/fine-tuning/create
    """

    type: Literal["supervised", "dpo", "reinforcement"]
    supervised: NotRequired[SupervisedMethodParam]
    dpo: NotRequired[DpoMethodParam]
    reinforcement: NotRequired[ReinforcementMethodParam]


class WandbParam(TypedDict):
    """Where in Weights & Biases to report: the run's project, name, team and tags."""

    project: str
    name: NotRequired[str | None]
    entity: NotRequired[str | None]
    tags: NotRequired[Sequence[str]]


class WandbIntegrationParam(TypedDict):
    """To report a job's metrics to Weights & Biases."""

    type: Literal["wandb"]
    wandb: WandbParam
