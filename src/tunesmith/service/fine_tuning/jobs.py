"""The room of fine-tuning jobs."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, cast

from tunesmith.operations.fine_tuning import (
    CancelFineTuningJob,
    CreateFineTuningJob,
    ListFineTuningJobEvents,
    ListFineTuningJobs,
    PauseFineTuningJob,
    ResumeFineTuningJob,
    RetrieveFineTuningJob,
)
from tunesmith.service.core.errors import fine_tune_not_found, invalid
from tunesmith.service.core.event_messages import EventMessages
from tunesmith.service.core.models import TUNABLE_MODELS
from tunesmith.service.core.pagination import to_page, validate_limit
from tunesmith.service.fine_tuning.graders import Graders
from tunesmith.service.fine_tuning.job_lifecycle import FineTuningJobLifecycle, JobFormat
from tunesmith.service.fine_tuning.lifecycle import ServiceContext
from tunesmith.service.fine_tuning.method import grader_config, resolve_method, training_spec_loader
from tunesmith.service.fine_tuning.stubbed_outcomes import FailurePoints, StubbedOutcomes
from tunesmith.service.fine_tuning.timeline import JOB_TIMELINE, Timeline
from tunesmith.service.fine_tuning.validation import validate_base_model, validate_training_file
from tunesmith.service.inference.stub_queue import StubQueue
from tunesmith.types.base import Page
from tunesmith.types.fine_tuning import (
    FineTuningHyperparameters,
    FineTuningJob,
    FineTuningJobError,
    FineTuningJobEvent,
    FineTuningJobWandbIntegration,
    FineTuningJobWandbIntegrationObject,
)

__all__ = ["FineTuningJobService"]

_MAX_INTEGRATIONS = 5
_MAX_SEED = 2**31


@dataclass(frozen=True, slots=True)
class _EmptyErrorValue:
    shown: dict[str, Any] | None


class FineTuningJobService(StubbedOutcomes[FineTuningJobLifecycle]):
    """Takes jobs, and lets their owners look at them and stop them.

    Args:
        context: What jobs work with.
        timeline: What happens in a job, and when.
        graders: Score answers in reinforcement jobs.
    """

    def __init__(self, context: ServiceContext, timeline: Timeline, graders: Graders) -> None:
        super().__init__(timeline, JOB_TIMELINE, FailurePoints(files="validate", model="finish"))
        self._context = context
        self._wordings = StubQueue[EventMessages]()
        self._no_errors = StubQueue[_EmptyErrorValue]()
        self._encodings = StubQueue[Literal["plain", "base64"]]()
        self._graders = graders
        self._jobs = context.store.collection("jobs", FineTuningJob)

    def set_event_messages(self, wording: EventMessages, *, times: int | None = None) -> None:
        """Let the events of jobs say this from now on.

        Args:
            wording: The words, such as `EVENT_MESSAGES_2023`.
            times: So many jobs; None for all.
        """
        self._wordings.add(wording, times)

    def set_empty_error(self, value: dict[str, Any] | None, *, times: int | None = None) -> None:
        """Let jobs that have no error show this as their `error` from now on.

        Args:
            value: `{}`, as in 2024, or None, which is null.
            times: So many jobs; None for all.

        Raises:
            ValueError: It is an error.
        """
        if value:
            raise ValueError("a job without an error shows {} or None; see fail_next for errors")
        self._no_errors.add(_EmptyErrorValue(value), times)

    def set_result_encoding(
        self, encoding: Literal["plain", "base64"], *, times: int | None = None
    ) -> None:
        """Let result files be written so from now on.

        Args:
            encoding: `base64`, as of newer services, or `plain` CSV.
            times: So many jobs; None for all.
        """
        self._encodings.add(encoding, times)

    async def create(self, operation: CreateFineTuningJob) -> FineTuningJob:
        """Take a job; its files are checked later."""
        context = self._context
        validate_base_model(context, operation.model, TUNABLE_MODELS)
        validate_training_file(context, operation.training_file, "training_file")
        if operation.validation_file is not None:
            validate_training_file(context, operation.validation_file, "validation_file")
        method = resolve_method(operation)
        grader = grader_config(method)
        if grader is not None:
            self._graders.check(grader)
        kind = method.type or "supervised"
        hyperparameters: FineTuningHyperparameters = getattr(method, kind).hyperparameters
        no_error = self._no_errors.next() or _EmptyErrorValue(
            {} if context.behavior.error_when_none else None
        )
        job = FineTuningJob(
            object="fine_tuning.job",
            id=context.ids.new("job"),
            model=operation.model,
            created_at=int(context.clock.time()),
            finished_at=None,
            fine_tuned_model=None,
            organization_id=context.organization,
            result_files=[],
            status="validating_files",
            validation_file=operation.validation_file,
            training_file=operation.training_file,
            hyperparameters=None if kind == "dpo" else hyperparameters,
            trained_tokens=None,
            error=None if no_error.shown is None else FineTuningJobError(),
            seed=context.ids.number("job", _MAX_SEED) if operation.seed is None else operation.seed,
            estimated_finish=None,
            integrations=_integrations(operation),
            metadata=None if operation.metadata is None else dict(operation.metadata),
            method=method,
            **cast("dict[str, Any]", {"user_provided_suffix": operation.suffix}),
        )
        spec = training_spec_loader(
            job, context.files, context.models.base_of(operation.model), self._graders
        )
        encoding = self._encodings.next()
        base64 = context.behavior.results_base64 if encoding is None else encoding == "base64"
        style = JobFormat(self._wordings.next() or EventMessages(), results_base64=base64)
        life = FineTuningJobLifecycle(context, self._timeline, job, spec, operation.suffix, style)
        self._register(life, job.id)
        return job

    async def retrieve(self, operation: RetrieveFineTuningJob) -> FineTuningJob:
        """Look up a job."""
        return self.find(operation.fine_tuning_job_id)

    async def list(self, operation: ListFineTuningJobs) -> Page[FineTuningJob]:
        """List the jobs, newest first."""
        window = self._jobs.get_page(
            after=operation.after,
            limit=self._page_size(operation.limit),
            where=_filter(operation),
        )
        return to_page(window, with_ids=False)

    async def cancel(self, operation: CancelFineTuningJob) -> FineTuningJob:
        """End a job before it is done."""
        life = self._lifecycle_in(
            operation.fine_tuning_job_id, {"validating_files", "queued", "running", "paused"}
        )
        return life.stop("cancelled", self._context.behavior.cancel_message)

    async def pause(self, operation: PauseFineTuningJob) -> FineTuningJob:
        """Let a job wait."""
        life = self._lifecycle_in(operation.fine_tuning_job_id, {"queued", "running"})
        return life.stop("paused", self._context.behavior.pause_message)

    async def resume(self, operation: ResumeFineTuningJob) -> FineTuningJob:
        """Let a paused job go on."""
        return self._lifecycle_in(operation.fine_tuning_job_id, {"paused"}).resume()

    async def list_events(self, operation: ListFineTuningJobEvents) -> Page[FineTuningJobEvent]:
        """List a job's events, newest first."""
        job = self.find(operation.fine_tuning_job_id)
        limit = self._page_size(operation.limit)
        window = self._lives[job.id].events.window(operation.after, limit)
        return to_page(window, with_ids=False)

    def find(self, id: str) -> FineTuningJob:
        """Look up a job.

        Raises:
            ServiceError: There is none.
        """
        job = self._jobs.get(id)
        if job is None:
            raise fine_tune_not_found(id)
        return job

    def _page_size(self, limit: int | None) -> int:
        return validate_limit(limit, default=20, maximum=self._context.behavior.max_page_size)

    def _lifecycle_in(self, id: str, states: set[str]) -> FineTuningJobLifecycle:
        job = self.find(id)
        if job.status not in states:
            raise invalid(
                self._context.behavior.job_state_conflict_message.format(id=id, status=job.status),
                "fine_tune_id",
            )
        return self._lives[id]


def _integrations(
    operation: CreateFineTuningJob,
) -> list[FineTuningJobWandbIntegrationObject]:
    given = operation.integrations or ()
    if len(given) > _MAX_INTEGRATIONS:
        raise invalid(f"At most {_MAX_INTEGRATIONS} integrations are allowed.", "integrations")
    return [
        FineTuningJobWandbIntegrationObject(
            type="wandb",
            wandb=FineTuningJobWandbIntegration.model_validate(
                {"name": None, "entity": None, "tags": [], **item["wandb"]}
            ),
        )
        for item in given
    ]


def _filter(operation: ListFineTuningJobs) -> Callable[[FineTuningJob], bool] | None:
    wanted = operation.metadata
    if wanted is None:
        return None
    if wanted == "null":
        return lambda job: not job.metadata
    pairs = dict(cast("dict[str, str]", wanted)).items()
    return lambda job: pairs <= (job.metadata or {}).items()
