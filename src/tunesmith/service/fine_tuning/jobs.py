"""The Fine-tuning Jobs API."""

from collections.abc import Callable
from typing import Any, cast

from tunesmith.known_models import Ability
from tunesmith.operations.fine_tuning import (
    CancelFineTuningJob,
    CreateFineTuningJob,
    ListFineTuningJobEvents,
    ListFineTuningJobs,
    PauseFineTuningJob,
    ResumeFineTuningJob,
    RetrieveFineTuningJob,
)
from tunesmith.service.core.behavior import ServiceBehavior
from tunesmith.service.core.errors import fine_tune_not_found, invalid
from tunesmith.service.core.handlers import handles
from tunesmith.service.core.pagination import to_page, validate_limit
from tunesmith.service.fine_tuning.graders import Graders
from tunesmith.service.fine_tuning.job_lifecycle import FineTuningJobLifecycle
from tunesmith.service.fine_tuning.lifecycle import JobContext, LifecycleState
from tunesmith.service.fine_tuning.method import hyperparameters_of, resolve_method, training_format
from tunesmith.service.fine_tuning.stubbed_outcomes import FailurePoints, StubbedOutcomes
from tunesmith.service.fine_tuning.timeline import JOB_TIMELINE
from tunesmith.service.inference.stub_queue import StubQueue
from tunesmith.types.base import Page
from tunesmith.types.fine_tuning import (
    FineTuningJob,
    FineTuningJobError,
    FineTuningJobEvent,
    FineTuningJobWandbIntegration,
    FineTuningJobWandbIntegrationObject,
)

__all__ = ["FineTuningJobService"]

_MAX_INTEGRATIONS = 5
_MAX_SEED = 2**31
_ACTIVE = frozenset({"validating_files", "queued", "running", "paused"})


class FineTuningJobService(StubbedOutcomes[FineTuningJobLifecycle]):
    """Fine-tuning jobs.

    Args:
        context: Dependencies shared by all jobs.
        graders: Graders of reinforcement jobs.
    """

    def __init__(self, context: JobContext, graders: Graders) -> None:
        super().__init__(context, JOB_TIMELINE, FailurePoints(files="validate", model="finish"))
        self._behaviors = StubQueue[ServiceBehavior]()
        self._graders = graders
        self._jobs = context.core.store.collection("jobs", FineTuningJob)
        for job in self._jobs.get_page(newest_first=False).records:
            if not job.is_finished or job.status == "succeeded":
                self._lifecycle(job).reopen()

    def set_behavior(self, behavior: ServiceBehavior, *, times: int | None = None) -> None:
        """Set the events, errors and result files of the next jobs.

        Args:
            behavior: The behavior, such as `BEHAVIOR_2023`.
            times: Number of jobs; None for all.

        Raises:
            ValueError: `times` is less than 1.

        Example:
            ```python
            from tunesmith.testing import BEHAVIOR_2023, Service

            service = Service()
            service.jobs.set_behavior(BEHAVIOR_2023, times=1)
            ```
        """
        self._behaviors.add(behavior, times)

    @handles(CreateFineTuningJob)
    async def create(self, operation: CreateFineTuningJob) -> FineTuningJob:
        """Create a job; its files are validated later."""
        context, core = self._context, self._context.core
        method = resolve_method(operation)
        kind = cast("Ability", method.type or "supervised")
        info = context.validate_base_model(operation.model, kind)
        context.validate_file(operation.training_file, "training_file")
        context.validate_file(operation.validation_file, "validation_file")
        options = dict(operation.tunesmith or {})
        file_format = training_format(method, info, context.files.read(operation.training_file))
        context.models.check_options(info, file_format, options)
        if method.reinforcement is not None:
            await self._graders.check(method.reinforcement.grader or {})
        behavior = self._behaviors.next() or core.behavior
        extra: dict[str, object] = {"user_provided_suffix": operation.suffix}
        if options:
            extra["tunesmith"] = options
        job = FineTuningJob(
            object="fine_tuning.job",
            id=core.ids.new("job"),
            model=operation.model,
            created_at=core.now(),
            finished_at=None,
            fine_tuned_model=None,
            organization_id=core.organization,
            result_files=[],
            status="validating_files",
            validation_file=operation.validation_file,
            training_file=operation.training_file,
            hyperparameters=None if method.dpo is not None else hyperparameters_of(method),
            trained_tokens=None,
            error=FineTuningJobError() if behavior.empty_error else None,
            seed=core.ids.number("job", _MAX_SEED) if operation.seed is None else operation.seed,
            estimated_finish=None,
            integrations=_integrations(operation),
            metadata=None if operation.metadata is None else dict(operation.metadata),
            method=method,
            **cast("dict[str, Any]", extra),
        )
        state = LifecycleState(behavior)
        await self._begin(FineTuningJobLifecycle(context, job, state), job.id)
        return job

    @handles(RetrieveFineTuningJob)
    async def retrieve(self, operation: RetrieveFineTuningJob) -> FineTuningJob:
        """Return a job."""
        return self.find(operation.fine_tuning_job_id)

    @handles(ListFineTuningJobs)
    async def list(self, operation: ListFineTuningJobs) -> Page[FineTuningJob]:
        """List the jobs, newest first."""
        window = self._jobs.get_page(
            after=operation.after, limit=self._page_size(operation.limit), where=_filter(operation)
        )
        return to_page(window, with_ids=False)

    @handles(CancelFineTuningJob)
    async def cancel(self, operation: CancelFineTuningJob) -> FineTuningJob:
        """Cancel a job."""
        return self._find_in_status(operation.fine_tuning_job_id, _ACTIVE).cancel()

    @handles(PauseFineTuningJob)
    async def pause(self, operation: PauseFineTuningJob) -> FineTuningJob:
        """Pause a job."""
        return self._find_in_status(operation.fine_tuning_job_id, {"queued", "running"}).pause()

    @handles(ResumeFineTuningJob)
    async def resume(self, operation: ResumeFineTuningJob) -> FineTuningJob:
        """Resume a paused job."""
        return self._find_in_status(operation.fine_tuning_job_id, {"paused"}).resume()

    @handles(ListFineTuningJobEvents)
    async def list_events(self, operation: ListFineTuningJobEvents) -> Page[FineTuningJobEvent]:
        """List a job's events, newest first."""
        job = self.find(operation.fine_tuning_job_id)
        events = self._lifecycle(job).events
        window = events.get_page(operation.after, self._page_size(operation.limit))
        return to_page(window, with_ids=False)

    def find(self, id: str) -> FineTuningJob:
        """Return a job.

        Raises:
            ServiceError: The job does not exist.
        """
        job = self._jobs.get(id)
        if job is None:
            raise fine_tune_not_found(id)
        return job

    def _page_size(self, limit: int | None) -> int:
        maximum = self._context.core.behavior.max_page_size
        return validate_limit(limit, default=20, maximum=maximum)

    def _find_in_status(
        self, id: str, statuses: set[str] | frozenset[str]
    ) -> FineTuningJobLifecycle:
        job = self.find(id)
        if job.status not in statuses:
            message = self._context.core.behavior.job_state_conflict_message
            raise invalid(message.format(id=id, status=job.status), "fine_tune_id")
        return self._lifecycle(job)

    def _lifecycle(self, job: FineTuningJob) -> FineTuningJobLifecycle:
        if job.id not in self._lifecycles:
            lifecycle = FineTuningJobLifecycle(self._context, job)
            self._lifecycles[job.id] = lifecycle
        return self._lifecycles[job.id]


def _integrations(operation: CreateFineTuningJob) -> list[FineTuningJobWandbIntegrationObject]:
    integrations = operation.integrations or ()
    if len(integrations) > _MAX_INTEGRATIONS:
        raise invalid(f"At most {_MAX_INTEGRATIONS} integrations are allowed.", "integrations")
    return [
        FineTuningJobWandbIntegrationObject(
            type="wandb",
            wandb=FineTuningJobWandbIntegration.model_validate(
                {"name": None, "entity": None, "tags": [], **integration["wandb"]}
            ),
        )
        for integration in integrations
    ]


def _filter(operation: ListFineTuningJobs) -> Callable[[FineTuningJob], bool] | None:
    metadata = operation.metadata
    if metadata is None:
        return None
    if metadata == "null":
        return lambda job: not job.metadata
    items = dict(cast("dict[str, str]", metadata)).items()
    return lambda job: items <= (job.metadata or {}).items()
