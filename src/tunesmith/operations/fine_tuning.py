"""Operations on fine-tuning jobs and checkpoints."""

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY
from typing import Annotated, Any, Literal

from annotated_types import Ge, Le, Len

from tunesmith.operations.base import Operation, operation
from tunesmith.operations.fine_tuning_methods import (
    FineTuneMethodParam,
    SupervisedHyperparametersParam,
    WandbIntegrationParam,
)
from tunesmith.operations.param_types import MetadataParam
from tunesmith.types.base import Page
from tunesmith.types.fine_tuning import (
    CheckpointPermission,
    CheckpointPermissionDeleted,
    FineTuningJob,
    FineTuningJobCheckpoint,
    FineTuningJobEvent,
)


@operation("fine_tuning.jobs.create", "POST", "/fine_tuning/jobs", is_create=True)
class CreateFineTuningJob(Operation[FineTuningJob]):
    """Create a fine-tuning job. Invalid files make the job fail later.

    Args:
        model: Name of a base model, or of a fine-tuned model to continue from.
        training_file: ID of a file with purpose `fine-tune`.
        hyperparameters: Deprecated in favor of `method`.
        integrations: Where to report metrics; the API supports only Weights & Biases.
        metadata: Up to 16 key-value pairs to store with the job.
        method: Training method, such as
            `{"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": 3}}}`.
        seed: Seed for mostly reproducible training, 0 to 2,147,483,647.
        suffix: Part of the fine-tuned model's name, 1 to 64 characters.
        tunesmith: Options of the engine of `tunesmith serve`, such as `{"lora_rank": 16}`; other
            services refuse it.
        validation_file: ID of a file with purpose `fine-tune` to measure validation loss on.

    Source: https://platform.openai.com/docs/api-reference/fine-tuning/create
    """

    _: KW_ONLY
    model: str
    training_file: str
    hyperparameters: SupervisedHyperparametersParam | None = None
    integrations: Sequence[WandbIntegrationParam] | None = None
    metadata: MetadataParam | None = None
    method: FineTuneMethodParam | None = None
    seed: Annotated[int, Ge(0), Le(2_147_483_647)] | None = None
    suffix: Annotated[str, Len(1, 64)] | None = None
    tunesmith: Mapping[str, Any] | None = None
    validation_file: str | None = None


@operation("fine_tuning.jobs.retrieve", "GET", "/fine_tuning/jobs/{fine_tuning_job_id}")
class RetrieveFineTuningJob(Operation[FineTuningJob]):
    """Retrieve a job.

    Args:
        fine_tuning_job_id: ID of the job.

    Source: https://platform.openai.com/docs/api-reference/fine-tuning/retrieve
    """

    fine_tuning_job_id: str


@operation("fine_tuning.jobs.list", "GET", "/fine_tuning/jobs")
class ListFineTuningJobs(Operation[Page[FineTuningJob]]):
    """List jobs, newest first.

    Args:
        after: ID of the last job of the previous page.
        limit: Maximum number of jobs per page; the service's default is 20.
        metadata: Filter by these key-value pairs, or `"null"` for jobs without metadata.

    Source: https://platform.openai.com/docs/api-reference/fine-tuning/list
    """

    _: KW_ONLY
    after: str | None = None
    limit: Annotated[int, Ge(1)] | None = None
    metadata: MetadataParam | Literal["null"] | None = None


@operation("fine_tuning.jobs.cancel", "POST", "/fine_tuning/jobs/{fine_tuning_job_id}/cancel")
class CancelFineTuningJob(Operation[FineTuningJob]):
    """Cancel a job.

    Args:
        fine_tuning_job_id: ID of the job.

    Source: https://platform.openai.com/docs/api-reference/fine-tuning/cancel
    """

    fine_tuning_job_id: str


@operation("fine_tuning.jobs.pause", "POST", "/fine_tuning/jobs/{fine_tuning_job_id}/pause")
class PauseFineTuningJob(Operation[FineTuningJob]):
    """Pause a job.

    Args:
        fine_tuning_job_id: ID of the job.

    Source: https://platform.openai.com/docs/api-reference/fine-tuning/pause
    """

    fine_tuning_job_id: str


@operation("fine_tuning.jobs.resume", "POST", "/fine_tuning/jobs/{fine_tuning_job_id}/resume")
class ResumeFineTuningJob(Operation[FineTuningJob]):
    """Resume a paused job.

    Args:
        fine_tuning_job_id: ID of the job.

    Source: https://platform.openai.com/docs/api-reference/fine-tuning/resume
    """

    fine_tuning_job_id: str


@operation("fine_tuning.jobs.list_events", "GET", "/fine_tuning/jobs/{fine_tuning_job_id}/events")
class ListFineTuningJobEvents(Operation[Page[FineTuningJobEvent]]):
    """List the events of a job, newest first.

    Args:
        fine_tuning_job_id: ID of the job.
        after: ID of the last event of the previous page.
        limit: Maximum number of events per page; the service's default is 20.

    Source: https://platform.openai.com/docs/api-reference/fine-tuning/list-events
    """

    fine_tuning_job_id: str
    _: KW_ONLY
    after: str | None = None
    limit: Annotated[int, Ge(1)] | None = None


@operation(
    "fine_tuning.jobs.checkpoints.list",
    "GET",
    "/fine_tuning/jobs/{fine_tuning_job_id}/checkpoints",
)
class ListFineTuningJobCheckpoints(Operation[Page[FineTuningJobCheckpoint]]):
    """List the checkpoints of a job, newest first.

    Args:
        fine_tuning_job_id: ID of the job.
        after: ID of the last checkpoint of the previous page.
        limit: Maximum number of checkpoints per page; the service's default is 10.

    Source: https://platform.openai.com/docs/api-reference/fine-tuning/list-checkpoints
    """

    fine_tuning_job_id: str
    _: KW_ONLY
    after: str | None = None
    limit: Annotated[int, Ge(1)] | None = None


@operation(
    "fine_tuning.checkpoints.permissions.create",
    "POST",
    "/fine_tuning/checkpoints/{fine_tuned_model_checkpoint}/permissions",
    is_create=True,
)
class CreateCheckpointPermissions(Operation[Page[CheckpointPermission]]):
    """Permit projects to use a checkpoint; needs an admin key.

    Args:
        fine_tuned_model_checkpoint: Model name of the checkpoint.
        project_ids: IDs of the projects.

    Source: https://platform.openai.com/docs/api-reference/fine-tuning/create-permission
    """

    fine_tuned_model_checkpoint: str
    _: KW_ONLY
    project_ids: Sequence[str]


@operation(
    "fine_tuning.checkpoints.permissions.list",
    "GET",
    "/fine_tuning/checkpoints/{fine_tuned_model_checkpoint}/permissions",
)
class ListCheckpointPermissions(Operation[Page[CheckpointPermission]]):
    """List the permissions of a checkpoint; needs an admin key.

    Args:
        fine_tuned_model_checkpoint: Model name of the checkpoint.
        after: ID of the last permission of the previous page.
        limit: Maximum number of permissions per page; the service's default is 10.
        order: Order by time of creation; the service's default is `descending`.
        project_id: Filter by project.

    Source: https://platform.openai.com/docs/api-reference/fine-tuning/list-permissions
    """

    fine_tuned_model_checkpoint: str
    _: KW_ONLY
    after: str | None = None
    limit: Annotated[int, Ge(1)] | None = None
    order: Literal["ascending", "descending"] | None = None
    project_id: str | None = None


@operation(
    "fine_tuning.checkpoints.permissions.delete",
    "DELETE",
    "/fine_tuning/checkpoints/{fine_tuned_model_checkpoint}/permissions/{permission_id}",
)
class DeleteCheckpointPermission(Operation[CheckpointPermissionDeleted]):
    """Revoke a project's permission to use a checkpoint; needs an admin key.

    Args:
        permission_id: ID of the permission.
        fine_tuned_model_checkpoint: Model name of the checkpoint.

    Source: https://platform.openai.com/docs/api-reference/fine-tuning/delete-permission
    """

    permission_id: str
    _: KW_ONLY
    fine_tuned_model_checkpoint: str
