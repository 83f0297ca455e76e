"""The room of checkpoints, and of who may use them."""

from tunesmith.clock import VirtualClock
from tunesmith.operations.fine_tuning import (
    CreateCheckpointPermissions,
    DeleteCheckpointPermission,
    ListCheckpointPermissions,
    ListFineTuningJobCheckpoints,
)
from tunesmith.service.core.errors import ServiceError, invalid, model_not_found
from tunesmith.service.core.ids import IdGenerator
from tunesmith.service.core.models import Models
from tunesmith.service.core.pagination import to_page, validate_limit
from tunesmith.service.core.store import Collection, RecordPage, Store
from tunesmith.service.fine_tuning.jobs import FineTuningJobService
from tunesmith.types.base import Page
from tunesmith.types.fine_tuning import (
    CheckpointPermission,
    CheckpointPermissionDeleted,
    FineTuningJobCheckpoint,
)

__all__ = ["Checkpoints"]


class Checkpoints:
    """Lists the checkpoints of jobs, and keeps which projects may use them.

    Args:
        store: Keeps checkpoints and permissions.
        clock: Tells when a permission was given.
        ids: Makes the ids of permissions.
        jobs: Knows which jobs there are.
        models: Knows which checkpoints are models.
        max_page_size: The largest `limit` that a list takes.
    """

    def __init__(
        self,
        store: Store,
        clock: VirtualClock,
        ids: IdGenerator,
        jobs: FineTuningJobService,
        models: Models,
        max_page_size: int,
    ) -> None:
        self._store = store
        self._clock = clock
        self._ids = ids
        self._jobs = jobs
        self._models = models
        self._max_page_size = max_page_size

    async def list(self, operation: ListFineTuningJobCheckpoints) -> Page[FineTuningJobCheckpoint]:
        """List a job's checkpoints, newest first."""
        job = self._jobs.find(operation.fine_tuning_job_id)
        checkpoints = self._store.collection(
            "checkpoints", FineTuningJobCheckpoint, parent_id=job.id
        )
        limit = validate_limit(operation.limit, default=10, maximum=self._max_page_size)
        return to_page(checkpoints.get_page(after=operation.after, limit=limit))

    async def create_permission(
        self, operation: CreateCheckpointPermissions
    ) -> Page[CheckpointPermission]:
        """Let projects use a checkpoint; a project that may already keeps its permission."""
        permissions = self._permissions(operation.fine_tuned_model_checkpoint)
        if not operation.project_ids:
            raise invalid("[] is too short - 'project_ids'", "project_ids")
        known = {permission.project_id: permission for permission in permissions.get_page().records}
        given: list[CheckpointPermission] = []
        for project_id in dict.fromkeys(operation.project_ids):
            permission = known.get(project_id) or CheckpointPermission(
                object="checkpoint.permission",
                id=self._ids.new("permission"),
                created_at=int(self._clock.time()),
                project_id=project_id,
            )
            permissions.put(permission.id, permission)
            given.append(permission)
        return to_page(RecordPage(given, has_more=False))

    async def list_permissions(
        self, operation: ListCheckpointPermissions
    ) -> Page[CheckpointPermission]:
        """List which projects may use a checkpoint."""
        project_id = operation.project_id
        window = self._permissions(operation.fine_tuned_model_checkpoint).get_page(
            after=operation.after,
            limit=validate_limit(operation.limit, default=10, maximum=self._max_page_size),
            newest_first=operation.order != "ascending",
            where=None if project_id is None else lambda given: given.project_id == project_id,
        )
        return to_page(window)

    async def delete_permission(
        self, operation: DeleteCheckpointPermission
    ) -> CheckpointPermissionDeleted:
        """Take a permission back."""
        permissions = self._permissions(operation.fine_tuned_model_checkpoint)
        if permissions.delete(operation.permission_id) is None:
            text = f"Could not find checkpoint permission: {operation.permission_id}"
            raise ServiceError(404, text, param="permission_id")
        return CheckpointPermissionDeleted(
            id=operation.permission_id, object="checkpoint.permission", deleted=True
        )

    def _permissions(self, checkpoint: str) -> Collection[CheckpointPermission]:
        if not self._models.is_tuned(checkpoint):
            raise model_not_found(checkpoint)
        return self._store.collection("permissions", CheckpointPermission, parent_id=checkpoint)
