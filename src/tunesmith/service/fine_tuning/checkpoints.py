"""The Checkpoints API: checkpoints of jobs and permissions for them."""

from tunesmith.operations.fine_tuning import (
    CreateCheckpointPermissions,
    DeleteCheckpointPermission,
    ListCheckpointPermissions,
    ListFineTuningJobCheckpoints,
)
from tunesmith.service.core.context import ServiceContext
from tunesmith.service.core.errors import ServiceError, invalid, model_not_found
from tunesmith.service.core.handlers import handles
from tunesmith.service.core.pagination import to_page, validate_limit
from tunesmith.service.core.store import Collection, RecordPage
from tunesmith.service.fine_tuning.jobs import FineTuningJobService
from tunesmith.service.inference.models import Models
from tunesmith.types.base import Page
from tunesmith.types.fine_tuning import (
    CheckpointPermission,
    CheckpointPermissionDeleted,
    FineTuningJobCheckpoint,
)

__all__ = ["Checkpoints"]


class Checkpoints:
    """Checkpoints of jobs, and the projects that may use them.

    Args:
        context: Dependencies shared by all parts of the service.
        jobs: The jobs.
        models: The models, which include checkpoints.
    """

    def __init__(self, context: ServiceContext, jobs: FineTuningJobService, models: Models) -> None:
        self._context = context
        self._jobs = jobs
        self._models = models

    @handles(ListFineTuningJobCheckpoints)
    async def list(self, operation: ListFineTuningJobCheckpoints) -> Page[FineTuningJobCheckpoint]:
        """List a job's checkpoints, newest first."""
        job = self._jobs.find(operation.fine_tuning_job_id)
        checkpoints = self._context.store.collection(
            "checkpoints", FineTuningJobCheckpoint, parent_id=job.id
        )
        limit = self._page_size(operation.limit)
        return to_page(checkpoints.get_page(after=operation.after, limit=limit))

    @handles(CreateCheckpointPermissions)
    async def create_permission(
        self, operation: CreateCheckpointPermissions
    ) -> Page[CheckpointPermission]:
        """Permit projects to use a checkpoint; existing permissions are kept."""
        permissions = self._permissions(operation.fine_tuned_model_checkpoint)
        if not operation.project_ids:
            raise invalid("[] is too short - 'project_ids'", "project_ids")
        records = permissions.get_page().records
        existing = {permission.project_id: permission for permission in records}
        result: list[CheckpointPermission] = []
        for project_id in dict.fromkeys(operation.project_ids):
            permission = existing.get(project_id) or CheckpointPermission(
                object="checkpoint.permission",
                id=self._context.ids.new("permission"),
                created_at=self._context.now(),
                project_id=project_id,
            )
            permissions.put(permission.id, permission)
            result.append(permission)
        return to_page(RecordPage(result, has_more=False))

    @handles(ListCheckpointPermissions)
    async def list_permissions(
        self, operation: ListCheckpointPermissions
    ) -> Page[CheckpointPermission]:
        """List the permissions for a checkpoint."""
        project_id = operation.project_id
        window = self._permissions(operation.fine_tuned_model_checkpoint).get_page(
            after=operation.after,
            limit=self._page_size(operation.limit),
            newest_first=operation.order != "ascending",
            where=None if project_id is None else lambda item: item.project_id == project_id,
        )
        return to_page(window)

    @handles(DeleteCheckpointPermission)
    async def delete_permission(
        self, operation: DeleteCheckpointPermission
    ) -> CheckpointPermissionDeleted:
        """Delete a permission."""
        permissions = self._permissions(operation.fine_tuned_model_checkpoint)
        if permissions.delete(operation.permission_id) is None:
            message = f"Could not find checkpoint permission: {operation.permission_id}"
            raise ServiceError(404, message, param="permission_id")
        return CheckpointPermissionDeleted(
            id=operation.permission_id, object="checkpoint.permission", deleted=True
        )

    def _page_size(self, limit: int | None) -> int:
        return validate_limit(limit, default=10, maximum=self._context.behavior.max_page_size)

    def _permissions(self, checkpoint: str) -> Collection[CheckpointPermission]:
        if not self._models.is_tuned(checkpoint):
            raise model_not_found(checkpoint)
        return self._context.store.collection(
            "permissions", CheckpointPermission, parent_id=checkpoint
        )
