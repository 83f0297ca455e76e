"""Lifecycle of jobs: the part that fine-tuning jobs and legacy fine-tunes share."""

import logging
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

from tunesmith.known_models import Ability
from tunesmith.service.core.behavior import ServiceBehavior
from tunesmith.service.core.context import ServiceContext
from tunesmith.service.core.errors import ServiceError, StoreError, invalid
from tunesmith.service.core.scheduler import ActionCancelledError, ScheduledAction
from tunesmith.service.engines.base import EngineError, ModelInfo
from tunesmith.service.engines.training import InvalidExampleError, TrainingRun, TrainingStep
from tunesmith.service.files.files import FileService
from tunesmith.service.fine_tuning.timeline import Failure, Timeline, Transition
from tunesmith.service.fine_tuning.training_data import InvalidTrainingFileError, to_file_error
from tunesmith.service.fine_tuning.training_slots import TrainingSlots
from tunesmith.service.inference.models import Models

__all__ = [
    "JobContext",
    "JobLifecycle",
    "LifecycleState",
    "PlannedFailure",
    "TransitionAction",
    "TransitionResult",
]

_logger = logging.getLogger("tunesmith.service")

_MAX_CHECKPOINTS = 3

T = TypeVar("T")

TransitionResult = Literal["next", "repeat", "wait", "stop"]
"""Whether the timeline continues with the next row, repeats the row, waits for a slot, or stops."""

TransitionAction = Callable[[float], Awaitable[TransitionResult]]
"""An action of a timeline; its argument is the Unix time at which it was due."""


@dataclass(frozen=True, slots=True)
class JobContext:
    """Dependencies shared by all jobs.

    Args:
        core: Dependencies shared by all parts of the service.
        files: Training files and result files.
        models: Base models and tuned models.
        slots: Slots of trainings.
        timeline: The transitions of a job.
    """

    core: ServiceContext
    files: FileService
    models: Models
    slots: TrainingSlots
    timeline: Timeline

    def validate_base_model(self, name: str, method: Ability) -> ModelInfo:
        """Return the entry of a model, which can be tuned by a method.

        Raises:
            ServiceError: The model does not exist, or cannot be tuned by the method.
        """
        if not self.models.exists(name):
            message = self.core.behavior.model_not_found_message.format(name=name)
            raise invalid(message, "model", "model_not_found")
        model = self.models.info_of(name)
        if model.can(method):
            return model
        if method == "legacy" or not model.can("supervised", "dpo", "reinforcement"):
            message = self.core.behavior.model_not_tunable_message.format(name=name)
            raise invalid(message, "model", "model_not_available")
        message = f"The model '{name}' cannot be fine-tuned by the method '{method}'"
        raise invalid(message, "method", "invalid_method")

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


@dataclass(frozen=True, slots=True)
class LifecycleState:
    """Stored state of a lifecycle.

    Args:
        behavior: Events, errors and result files of the job.
        suffix: Suffix of the model's name.
        index: Row of the timeline that is due next.
        due_at: Unix time at which it is due; None if the timeline is stopped.
        is_validated: Whether the files are valid, so that the training can start.
        is_held: Whether the job stays in the queue until it is released.
        awaits_release: Whether it waits for that.
        failure_plan: The planned failure.
        queue_number: Number of legacy fine-tunes ahead in the queue.
        checkpoint_at: Unix times of the last checkpoints, by step.
        evaluations: Classification metrics of legacy fine-tunes, by step.
    """

    behavior: ServiceBehavior
    suffix: str | None = None
    index: int = 0
    due_at: float | None = None
    is_validated: bool = False
    is_held: bool = False
    awaits_release: bool = False
    failure_plan: PlannedFailure | None = None
    queue_number: int = 0
    checkpoint_at: dict[int, float] = field(default_factory=dict[int, float])
    evaluations: dict[int, dict[str, float]] = field(default_factory=dict[int, dict[str, float]])


class JobLifecycle(ABC):
    """Lifecycle of one job, driven by the scheduler.

    Args:
        context: Dependencies shared by all jobs.
        id: The job's id.
        state: State of a new job; None for the stored one.
    """

    def __init__(self, context: JobContext, id: str, state: LifecycleState | None) -> None:
        self._context = context
        self._core = context.core
        self._timeline = context.timeline
        self._id = id
        self._training: TrainingRun | None = None
        self._is_started = False
        self._polled: deque[TrainingStep] = deque()
        self._scheduled: ScheduledAction | None = None
        self._states = context.core.store.collection("lifecycles", LifecycleState)
        self._state = state or self._states.get(id) or LifecycleState(context.core.behavior)
        context.slots.add(id)
        self._steps = context.core.store.collection("steps", TrainingStep, parent_id=id)

    def reopen(self) -> None:
        """Schedule the next row of a stored lifecycle."""
        if self._state.due_at is not None:
            if len(self._steps):
                self._context.slots.hold(self._id)
            self._schedule_at(self._state.index, self._state.due_at)

    def plan_outcome(self, failure_plan: PlannedFailure | None, *, hold: bool) -> None:
        """Plan the outcome of the job.

        Args:
            failure_plan: The failure; None for none.
            hold: Whether the job stays in the queue until it is released.
        """
        self._save(failure_plan=failure_plan, is_held=hold)

    async def begin(self) -> None:
        """Announce the job and schedule the rest of its timeline."""
        now, first = self._core.clock.time(), self._timeline.rows[0]
        if first.action != "announce" or first.delay > 0:
            self._schedule(0, now)
        elif await self._run_action(first, now) == "next":
            self._schedule(1, now)

    def release(self) -> None:
        """Release the job from the queue."""
        awaited = self._state.awaits_release
        self._save(is_held=False, awaits_release=False)
        if awaited:
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

    @abstractmethod
    async def _prepare_training(self, folder: Path) -> TrainingRun:
        """Read the files and prepare the training."""

    async def _get_training(self) -> TrainingRun:
        """Return the training, which validates the files."""
        if self._training is None:
            folder = self._core.store.folder("trainings", self._id)
            try:
                training = await self._unless_stopped(self._prepare_training(folder))
            except InvalidExampleError as error:
                raise to_file_error(error) from None
            self._training = training
        return self._training

    def _require_validation(self) -> None:
        if not self._state.is_validated:
            raise RuntimeError("the timeline trains before it validates the files")

    async def _start_training(self) -> TransitionResult:
        """Start or continue the training, once there is a slot."""
        if not self._context.slots.acquire(self._id, self._restart):
            return "wait"
        training = await self._get_training()
        if not self._is_started:
            self._is_started = True
            await self._unless_stopped(training.start())
        return "next"

    async def _next_step(self) -> TrainingStep | None:
        """Wait for the next training step; None if there is none."""
        await self._start_training()
        training, n_steps = await self._get_training(), len(self._steps)
        while not self._polled:
            progress = await self._unless_stopped(training.poll(n_steps))
            if progress.is_finished and not progress.steps:
                return None
            self._polled.extend(progress.steps)
        return self._polled.popleft()

    def _record_step(self, step: TrainingStep, timestamp: float) -> None:
        self._steps.put(str(step.step), step)
        if step.is_checkpoint:
            times = {**self._state.checkpoint_at, step.step: timestamp}
            retained = sorted(times)[-_MAX_CHECKPOINTS:]
            self._save(checkpoint_at={number: times[number] for number in retained})

    async def _save_weights(self, step: int) -> Path:
        """Write the weights after a step to a folder."""
        training = await self._get_training()
        folder = self._core.store.new_folder("weights", f"{self._id}-{step}")
        await self._unless_stopped(training.save(step, folder))
        return folder

    def _end_training(self) -> None:
        """Release all that only the training needs."""
        if self._training is not None:
            self._training.cancel()
        self._training = None
        self._core.store.delete_folder("trainings", self._id)
        self._context.slots.release(self._id)

    def _save(self, **changes: Any) -> None:
        self._state = replace(self._state, **changes)
        self._states.put(self._id, self._state)

    def _restart(self) -> None:
        """Continue the timeline with the start of the training."""
        self._stop()
        self._schedule(self._timeline.index("start"), self._core.clock.time())

    def _stop(self) -> None:
        """Stop the timeline and pause the training."""
        self._save(awaits_release=False, due_at=None)
        if self._scheduled is not None:
            self._scheduled.cancel()
        if self._training is not None and self._is_started:
            self._training.pause()
        self._is_started = False

    def _now(self, timestamp: float) -> float:
        """Return the time after an action's work; without background work, virtual time stands."""
        return self._core.clock.time() if self._core.scheduler.is_background else timestamp

    def _schedule(self, index: int, timestamp: float) -> None:
        if index >= len(self._timeline.rows):
            self._save(due_at=None)
            return
        due_at = timestamp + self._timeline.rows[index].delay
        self._save(index=index, due_at=due_at)
        self._schedule_at(index, due_at)

    def _schedule_at(self, index: int, due_at: float) -> None:
        async def run(timestamp: float) -> None:
            result = await self._run_action(self._timeline.rows[index], timestamp)
            if result == "stop":
                self._save(due_at=None)
            elif result != "wait":
                following = index if result == "repeat" else index + 1
                self._schedule(following, self._now(timestamp))

        self._scheduled = self._core.scheduler.call_at(due_at, run)

    async def _unless_stopped(self, work: Awaitable[T]) -> T:
        """Await the engine's work; end the action if the job was stopped meanwhile."""
        with self._core.clock.hold():
            result = await work
        self._core.scheduler.check_cancelled()
        return result

    async def _run_action(self, row: Transition, timestamp: float) -> TransitionResult:
        if row.action == "start" and self._state.is_held:
            self._save(awaits_release=True)
            return "stop"
        try:
            if row.action == "fail":
                failure = self._timeline.failure
            else:
                self._raise_planned_failure(row.action, done=False)
                result = await self._actions()[row.action](timestamp)
                if result == "next":
                    self._raise_planned_failure(row.action, done=True)
                if result != "wait":
                    self._set_status(row.to_status, timestamp)
                return result
        except (ActionCancelledError, StoreError):
            raise
        except Exception as error:  # noqa: BLE001 - a failed job must not affect others or requests
            failure = self._to_failure(error)
        self._end_training()
        self._fail(failure, self._now(timestamp))
        return "stop"

    def _to_failure(self, error: Exception) -> Failure:
        """Return the reason of a failure, as the job shows it."""
        if isinstance(error, _PlannedFailureError) and self._state.failure_plan is not None:
            return self._state.failure_plan.failure
        if isinstance(error, InvalidTrainingFileError):
            return error.failure
        if isinstance(error, ServiceError):  # a file or a model was deleted meanwhile
            return Failure("invalid_request", error.message, error.param)
        if isinstance(error, EngineError):
            return Failure("server_error", error.message, error.param)
        _logger.error("job %s failed in the engine", self._id, exc_info=error)
        return Failure("server_error", f"The job failed due to an internal error: {error}")

    def _raise_planned_failure(self, action: str, *, done: bool) -> None:
        plan = self._state.failure_plan
        if plan is None or plan.at_action != action:
            return
        is_last_step = done and action == "step"
        if is_last_step or (plan.after_action == done and len(self._steps) >= plan.after_steps):
            raise _PlannedFailureError
