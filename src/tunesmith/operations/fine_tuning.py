"""What can be asked about fine-tuning jobs and their checkpoints."""

from collections.abc import Sequence
from dataclasses import KW_ONLY
from typing import Annotated, Literal

from annotated_types import Ge, Le, Len

from tunesmith.operations.base import Operation, operation
from tunesmith.operations.fine_tuning_methods import (
    FineTuneMethodParam,
    SupervisedHyperparametersParam,
    WandbIntegrationParam,
)
from tunesmith.operations.metadata import MetadataParam
from tunesmith.types.base import Page
from tunesmith.types.fine_tuning import (
    CheckpointPermission,
    CheckpointPermissionDeleted,
    FineTuningJob,
    FineTuningJobCheckpoint,
    FineTuningJobEvent,
)


@operation("fine_tuning.jobs.create", "POST", "/fine_tuning/jobs", creates=True)
class CreateFineTuningJob(Operation[FineTuningJob]):
    """Tune a model; wrong files show later, by a job that fails.

    Args:
        model: The base model's name, or a tuned model's to go on from it.
        training_file: The id of a file with purpose `fine-tune`.
        hyperparameters: Deprecated by the API: give them in `method`.
        integrations: Where to report the metrics; the API knows Weights & Biases only.
        metadata: Up to 16 pairs to keep with the job: keys to 64 characters, values to 512.
        method: How to train, such as
            `{"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": 3}}}`.
        seed: Makes the job repeatable, as far as the service can: 0 to 2,147,483,647.
        suffix: 1 to 64 characters for the tuned model's name.
        validation_file: The id of a file with purpose `fine-tune` to measure the loss on.

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
    validation_file: str | None = None


@operation("fine_tuning.jobs.retrieve", "GET", "/fine_tuning/jobs/{fine_tuning_job_id}")
class RetrieveFineTuningJob(Operation[FineTuningJob]):
    """Look up one job.

    Args:
        fine_tuning_job_id: The job's id.

    Source: https://platform.openai.com/docs/api-reference/fine-tuning/retrieve
    """

    fine_tuning_job_id: str


@operation("fine_tuning.jobs.list", "GET", "/fine_tuning/jobs")
class ListFineTuningJobs(Operation[Page[FineTuningJob]]):
    """List the jobs, newest first.

    Args:
        after: The id of the last job seen; the page begins after it.
        limit: At most so many jobs a page; the service's default is 20.
        metadata: Only jobs with these pairs, or `"null"`: only jobs without metadata.

    Source: https://platform.openai.com/docs/api-reference/fine-tuning/list
    """

    _: KW_ONLY
    after: str | None = None
    limit: Annotated[int, Ge(1)] | None = None
    metadata: MetadataParam | Literal["null"] | None = None


@operation("fine_tuning.jobs.cancel", "POST", "/fine_tuning/jobs/{fine_tuning_job_id}/cancel")
class CancelFineTuningJob(Operation[FineTuningJob]):
    """End a job before it is done.

    Args:
        fine_tuning_job_id: The job's id.

    Source: https://platform.openai.com/docs/api-reference/fine-tuning/cancel
    """

    fine_tuning_job_id: str


@operation("fine_tuning.jobs.pause", "POST", "/fine_tuning/jobs/{fine_tuning_job_id}/pause")
class PauseFineTuningJob(Operation[FineTuningJob]):
    """Let a job wait.

    Args:
        fine_tuning_job_id: The job's id.

    Source: https://platform.openai.com/docs/api-reference/fine-tuning/pause
    """

    fine_tuning_job_id: str


@operation("fine_tuning.jobs.resume", "POST", "/fine_tuning/jobs/{fine_tuning_job_id}/resume")
class ResumeFineTuningJob(Operation[FineTuningJob]):
    """Let a paused job go on.

    Args:
        fine_tuning_job_id: The job's id.

    Source: https://platform.openai.com/docs/api-reference/fine-tuning/resume
    """

    fine_tuning_job_id: str


@operation("fine_tuning.jobs.list_events", "GET", "/fine_tuning/jobs/{fine_tuning_job_id}/events")
class ListFineTuningJobEvents(Operation[Page[FineTuningJobEvent]]):
    """List what happened in a job, newest first.

    Args:
        fine_tuning_job_id: The job's id.
        after: The id of the last event seen; the page begins after it, with older ones.
        limit: At most so many events a page; the service's default is 20.

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
    """List a job's checkpoints, newest first.

    Args:
        fine_tuning_job_id: The job's id.
        after: The id of the last checkpoint seen; the page begins after it.
        limit: At most so many checkpoints a page; the service's default is 10.

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
    creates=True,
)
class CreateCheckpointPermissions(Operation[Page[CheckpointPermission]]):
    """Let other projects use a checkpoint; needs an admin key.

    Args:
        fine_tuned_model_checkpoint: The checkpoint's model name.
        project_ids: The ids of the projects.

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
    """List which projects may use a checkpoint; needs an admin key.

    Args:
        fine_tuned_model_checkpoint: The checkpoint's model name.
        after: The id of the last permission seen; the page begins after it.
        limit: At most so many permissions a page; the service's default is 10.
        order: By time of creation; the service's default is `descending`.
        project_id: Only the permission of this project.

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
    """Take back a project's permission to use a checkpoint; needs an admin key.

    Args:
        permission_id: The permission's id.
        fine_tuned_model_checkpoint: The checkpoint's model name.

    Source: https://platform.openai.com/docs/api-reference/fine-tuning/delete-permission
    """

    permission_id: str
    _: KW_ONLY
    fine_tuned_model_checkpoint: str
