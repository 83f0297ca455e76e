"""The room of checkpoints, and of who may use them."""

from tunesmith.clock import VirtualClock
from tunesmith.operations.fine_tuning import (
    CreateCheckpointPermissions,
    DeleteCheckpointPermission,
    ListCheckpointPermissions,
    ListFineTuningJobCheckpoints,
)
from tunesmith.service.core.errors import ServiceError, invalid, model_not_found
from tunesmith.service.core.ids import Ids
from tunesmith.service.core.models import Models
from tunesmith.service.core.pagination import page_of, page_size
from tunesmith.service.core.store import Collection, Store, Window
from tunesmith.service.fine_tuning.jobs import Jobs
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
        ids: Ids,
        jobs: Jobs,
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
        checkpoints = self._store.collection("checkpoints", FineTuningJobCheckpoint, of=job.id)
        limit = page_size(operation.limit, default=10, maximum=self._max_page_size)
        return page_of(checkpoints.window(after=operation.after, limit=limit))

    async def permit(self, operation: CreateCheckpointPermissions) -> Page[CheckpointPermission]:
        """Let projects use a checkpoint; a project that may already keeps its permission."""
        permissions = self._permissions(operation.fine_tuned_model_checkpoint)
        if not operation.project_ids:
            raise invalid("[] is too short - 'project_ids'", "project_ids")
        known = {permission.project_id: permission for permission in permissions.window().records}
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
        return page_of(Window(given, has_more=False))

    async def list_permissions(
        self, operation: ListCheckpointPermissions
    ) -> Page[CheckpointPermission]:
        """List which projects may use a checkpoint."""
        project_id = operation.project_id
        window = self._permissions(operation.fine_tuned_model_checkpoint).window(
            after=operation.after,
            limit=page_size(operation.limit, default=10, maximum=self._max_page_size),
            newest_first=operation.order != "ascending",
            where=None if project_id is None else lambda given: given.project_id == project_id,
        )
        return page_of(window)

    async def forbid(self, operation: DeleteCheckpointPermission) -> CheckpointPermissionDeleted:
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
        return self._store.collection("permissions", CheckpointPermission, of=checkpoint)
