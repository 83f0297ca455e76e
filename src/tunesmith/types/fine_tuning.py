"""Fine-tuning jobs, their events and checkpoints."""

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from tunesmith.types.base import APIModel, APIResponse, DeletedObject, to_datetime
from tunesmith.types.fields import CreatedObject, NullableList, UnixTime


class FineTuningJobError(APIModel):
    """Reason why a job failed."""

    code: str | None = None
    message: str | None = None
    param: str | None = None


class FineTuningHyperparameters(APIModel):
    """Hyperparameters of a job; `"auto"` until the service has chosen them.

    `beta` is for DPO; `compute_multiplier`, `eval_interval`, `eval_samples` and
    `reasoning_effort` are for reinforcement.
    """

    batch_size: int | Literal["auto"] | str | None = None
    learning_rate_multiplier: float | Literal["auto"] | str | None = None
    n_epochs: int | Literal["auto"] | str | None = None
    beta: float | Literal["auto"] | str | None = None
    compute_multiplier: float | Literal["auto"] | str | None = None
    eval_interval: int | Literal["auto"] | str | None = None
    eval_samples: int | Literal["auto"] | str | None = None
    reasoning_effort: Literal["default", "low", "medium", "high"] | str | None = None


class SupervisedMethod(APIModel):
    """Training on example completions."""

    hyperparameters: FineTuningHyperparameters | None = None


class DpoMethod(APIModel):
    """Training on pairs of a preferred and a non-preferred completion."""

    hyperparameters: FineTuningHyperparameters | None = None


class ReinforcementMethod(APIModel):
    """Training on rewards computed by a grader."""

    grader: dict[str, Any] | None = None
    hyperparameters: FineTuningHyperparameters | None = None


class FineTuneMethod(APIModel):
    """Training method of a job; the field named by `type` has its settings."""

    type: Literal["supervised", "dpo", "reinforcement"] | str | None = None
    supervised: SupervisedMethod | None = None
    dpo: DpoMethod | None = None
    reinforcement: ReinforcementMethod | None = None


class FineTuningJobWandbIntegration(APIModel):
    """Weights & Biases run that a job reports to."""

    project: str | None = None
    name: str | None = None
    entity: str | None = None
    tags: NullableList[str] = Field(default_factory=list[str])


class FineTuningJobWandbIntegrationObject(APIModel):
    """Weights & Biases integration of a job."""

    type: Literal["wandb"] | str | None = None
    wandb: FineTuningJobWandbIntegration | None = None


class FineTuningJob(CreatedObject, APIResponse):
    """Fine-tuning job.

    Source: https://platform.openai.com/docs/api-reference/fine-tuning/object
    """

    id: str
    object: str = "fine_tuning.job"
    status: (
        Literal[
            "validating_files", "queued", "running", "paused", "succeeded", "failed", "cancelled"
        ]
        | str
    )
    model: str | None = None
    finished_at: UnixTime | None = None
    estimated_finish: UnixTime | None = None
    error: FineTuningJobError | None = None
    fine_tuned_model: str | None = None
    hyperparameters: FineTuningHyperparameters | None = None
    method: FineTuneMethod | None = None
    organization_id: str | None = None
    training_file: str | None = None
    validation_file: str | None = None
    result_files: NullableList[str] = Field(default_factory=list[str])
    trained_tokens: int | None = None
    seed: int | None = None
    integrations: NullableList[FineTuningJobWandbIntegrationObject] = Field(
        default_factory=list[FineTuningJobWandbIntegrationObject]
    )
    metadata: dict[str, str] | None = None

    @property
    def is_finished(self) -> bool:
        """Whether the job succeeded, failed or was cancelled. Its last events may still follow."""
        return self.status in {"succeeded", "failed", "cancelled"}

    @property
    def failure(self) -> FineTuningJobError | None:
        """Reason why the job failed; None if `error` is null, `{}` or all nulls."""
        return self.error if self.error and any(dict(self.error).values()) else None

    @property
    def finished_datetime(self) -> datetime | None:
        """Time when training ended. The last events may follow some seconds later."""
        return to_datetime(self.finished_at)

    @property
    def estimated_finish_datetime(self) -> datetime | None:
        """Time when the service expects the job to finish."""
        return to_datetime(self.estimated_finish)


class FineTuningJobEvent(CreatedObject):
    """Event of a job. Several may share one second, so do not sort by time.

    Source: https://platform.openai.com/docs/api-reference/fine-tuning/event-object
    """

    id: str
    object: str = "fine_tuning.job.event"
    level: Literal["info", "warn", "error"] | str | None = None
    message: str
    type: Literal["message", "metrics"] | str | None = None
    data: dict[str, Any] | None = None


class CheckpointMetrics(APIModel):
    """Metrics at a checkpoint: losses in nats per token, accuracies from 0 to 1."""

    step: float | None = None
    train_loss: float | None = None
    train_mean_token_accuracy: float | None = None
    valid_loss: float | None = None
    valid_mean_token_accuracy: float | None = None
    full_valid_loss: float | None = None
    full_valid_mean_token_accuracy: float | None = None


class FineTuningJobCheckpoint(CreatedObject):
    """Usable model saved during a job's training.

    Source: https://platform.openai.com/docs/api-reference/fine-tuning/checkpoint-object
    """

    id: str
    object: str = "fine_tuning.job.checkpoint"
    fine_tuned_model_checkpoint: str
    fine_tuning_job_id: str | None = None
    step_number: int | None = None
    metrics: CheckpointMetrics | None = None


class CheckpointPermission(CreatedObject):
    """Permission of a project to use a checkpoint of another project.

    Source: https://platform.openai.com/docs/api-reference/fine-tuning/permission-object
    """

    id: str
    object: str = "checkpoint.permission"
    project_id: str | None = None


class CheckpointPermissionDeleted(DeletedObject):
    """Confirmation that a permission was revoked."""
