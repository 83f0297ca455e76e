"""Lifecycle of jobs: the part that fine-tuning jobs and legacy fine-tunes share."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeVar

from tunesmith.service.core.context import ServiceContext
from tunesmith.service.core.errors import ServiceError, invalid
from tunesmith.service.core.scheduler import ActionCancelledError, ScheduledAction
from tunesmith.service.files.files import FileService
from tunesmith.service.fine_tuning.timeline import Failure, Timeline, Transition
from tunesmith.service.fine_tuning.training_data import InvalidTrainingFileError
from tunesmith.service.fine_tuning.training_run import TrainingRun
from tunesmith.service.inference.models import Models

__all__ = ["JobContext", "JobLifecycle", "PlannedFailure", "TransitionAction", "TransitionResult"]

_logger = logging.getLogger("tunesmith.service")

T = TypeVar("T")

TransitionResult = Literal["next", "repeat", "stop"]
"""Whether the timeline continues with the next row, repeats the row, or stops."""

TransitionAction = Callable[[float], Awaitable[TransitionResult]]
"""An action of a timeline; its argument is the Unix time at which it was due."""


@dataclass(frozen=True, slots=True)
class JobContext:
    """Dependencies shared by all jobs.

    Args:
        core: Dependencies shared by all parts of the service.
        files: Training files and result files.
        models: Base models and tuned models.
        timeline: The transitions of a job.
    """

    core: ServiceContext
    files: FileService
    models: Models
    timeline: Timeline

    def validate_base_model(self, name: str, tunable: tuple[str, ...]) -> None:
        """Validate that a model can be tuned.

        Raises:
            ServiceError: The model does not exist or cannot be tuned.
        """
        if not self.models.exists(name):
            message = self.core.behavior.model_not_found_message.format(name=name)
            raise invalid(message, "model", "model_not_found")
        if self.models.base_of(name) not in tunable:
            message = self.core.behavior.model_not_tunable_message.format(name=name)
            raise invalid(message, "model", "model_not_available")

    def validate_file(self, id: str | None, param: str) -> None:
        """Validate that a file, if any, exists and is for fine-tuning.

        Raises:
            ServiceError: It does not exist or has another purpose.
        """
        if id is None:
            return
        behavior = self.core.behavior
        try:
            file = self.files.find(id)
        except ServiceError:
            message = behavior.file_not_found_message.format(id=id)
            raise invalid(message, param, "invalid_file_id") from None
        if file.purpose != "fine-tune":
            message = behavior.file_purpose_message.format(id=id, purpose=file.purpose)
            raise invalid(message, param)


@dataclass(frozen=True, slots=True)
class PlannedFailure:
    """Planned failure of a job.

    Args:
        failure: The reason.
        at_action: The action to fail at.
        after_steps: Number of training steps before the failure, for the action `step`; more
            steps than there are mean after the last.
        after_action: Whether the action is executed before the failure.
    """

    failure: Failure
    at_action: str
    after_steps: int = 0
    after_action: bool = False


class _PlannedFailureError(Exception):
    """Control flow: the job fails as planned."""


class JobLifecycle(ABC):
    """Lifecycle of one job, driven by the scheduler.

    Args:
        context: Dependencies shared by all jobs.
        id: The job's id.
    """

    def __init__(self, context: JobContext, id: str) -> None:
        self._context = context
        self._core = context.core
        self._timeline = context.timeline
        self._id = id
        self._training: TrainingRun | None = None
        self._failure_plan: PlannedFailure | None = None
        self._is_held = False
        self._awaits_release = False
        self._scheduled: ScheduledAction | None = None

    def plan_outcome(self, failure_plan: PlannedFailure | None, *, hold: bool) -> None:
        """Plan the outcome of the job.

        Args:
            failure_plan: The failure; None for none.
            hold: Whether the job stays in the queue until it is released.
        """
        self._failure_plan = failure_plan
        self._is_held = hold

    async def begin(self) -> None:
        """Announce the job and schedule the rest of its timeline."""
        now, first = self._core.clock.time(), self._timeline.rows[0]
        if first.action != "announce" or first.delay_s > 0:
            self._schedule(0, now)
        elif await self._run_action(first, now) == "next":
            self._schedule(1, now)

    def release(self) -> None:
        """Release the job from the queue."""
        self._is_held = False
        if self._awaits_release:
            self._awaits_release = False
            self._restart()

    @abstractmethod
    def _actions(self) -> Mapping[str, TransitionAction]:
        """Return the actions of the timeline by name."""

    @abstractmethod
    def _set_status(self, status: str, timestamp: float) -> None:
        """Set the status of the job."""

    @abstractmethod
    def _fail(self, failure: Failure, timestamp: float) -> None:
        """Mark the job as failed."""

    @property
    def _run(self) -> TrainingRun:
        if self._training is None:
            raise RuntimeError("the timeline trains before it validates the files")
        return self._training

    def _restart(self) -> None:
        """Continue the timeline with the start of the training."""
        self._stop()
        self._schedule(self._timeline.index("start"), self._core.clock.time())

    def _stop(self) -> None:
        """Stop the timeline."""
        self._awaits_release = False
        if self._scheduled is not None:
            self._scheduled.cancel()
        if self._training is not None:
            self._training.stop()

    def _schedule(self, index: int, timestamp: float) -> None:
        rows = self._timeline.rows
        if index >= len(rows):
            return

        async def run(timestamp: float) -> None:
            result = await self._run_action(rows[index], timestamp)
            if result != "stop":
                self._schedule(index if result == "repeat" else index + 1, timestamp)

        self._scheduled = self._core.scheduler.call_at(timestamp + rows[index].delay_s, run)

    async def _unless_stopped(self, work: Awaitable[T]) -> T:
        """Await the engine's work; end the action if the job was stopped meanwhile."""
        result = await work
        self._core.scheduler.check_cancelled()
        return result

    async def _run_action(self, row: Transition, timestamp: float) -> TransitionResult:
        if row.action == "start" and self._is_held:
            self._awaits_release = True
            return "stop"
        try:
            if row.action == "fail":
                failure = self._timeline.failure
            else:
                self._raise_planned_failure(row.action, done=False)
                result = await self._actions()[row.action](timestamp)
                if result == "next":
                    self._raise_planned_failure(row.action, done=True)
                self._set_status(row.to_status, timestamp)
                return result
        except ActionCancelledError:
            raise
        except _PlannedFailureError:
            assert self._failure_plan is not None  # noqa: S101 - it was raised for the plan
            failure = self._failure_plan.failure
        except InvalidTrainingFileError as error:
            failure = error.failure
        except ServiceError as error:  # a file or a model was deleted meanwhile
            failure = Failure("invalid_request", error.message, error.param)
        except Exception as error:
            # A failure in one job must not affect other jobs or requests.
            _logger.exception("job %s failed in the engine", self._id)
            message = f"The job failed due to an internal error: {error}"
            failure = Failure("server_error", message)
        self._fail(failure, timestamp)
        return "stop"

    def _raise_planned_failure(self, action: str, *, done: bool) -> None:
        plan = self._failure_plan
        if plan is None or plan.at_action != action:
            return
        steps = 0 if self._training is None else len(self._training.steps)
        is_last_step = done and action == "step"
        if is_last_step or (plan.after_action == done and steps >= plan.after_steps):
            raise _PlannedFailureError
