"""What the lives of all jobs share: a walk along the timeline, and a failure where it stumbles."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from tunesmith.clock import VirtualClock
from tunesmith.service.core.behavior import ServiceBehavior
from tunesmith.service.core.errors import ServiceError
from tunesmith.service.core.ids import IdGenerator
from tunesmith.service.core.models import Models
from tunesmith.service.core.scheduler import Scheduler
from tunesmith.service.core.store import Store
from tunesmith.service.files.files import FileService
from tunesmith.service.fine_tuning.timeline import (
    Failure,
    Timeline,
    TimelineRunner,
    Transition,
    TransitionResult,
)
from tunesmith.service.fine_tuning.training_data import InvalidTrainingFileError
from tunesmith.service.fine_tuning.training_run import TrainingRun

__all__ = ["JobLifecycle", "PlannedFailure", "ServiceContext", "TransitionAction"]

_LOG = logging.getLogger("tunesmith.service")

TransitionAction = Callable[[float], Awaitable[TransitionResult]]
"""What a row of the timeline does; it is told the time."""


@dataclass(frozen=True, slots=True)
class ServiceContext:
    """What jobs work with.

    Args:
        store: Keeps jobs, events and checkpoints.
        clock: Stands still while the engine works.
        ids: Makes the ids.
        schedule: Lets things happen at their time.
        files: Has the training files and takes the results.
        models: Has the weights to start from, and takes the tuned ones.
        behavior: What to do where nobody knows.
        organization: The organization's id.
        organization_name: What it is called in the names of tuned models.
    """

    store: Store
    clock: VirtualClock
    ids: IdGenerator
    schedule: Scheduler
    files: FileService
    models: Models
    behavior: ServiceBehavior
    organization: str
    organization_name: str


@dataclass(frozen=True, slots=True)
class PlannedFailure:
    """Where a job is to fail, and why.

    Args:
        failure: The reason.
        at_action: The row of the timeline, by what it does.
        after_steps: Fail after so many steps, at the latest after the last; for the row `step`.
        after_action: Whether the row is done first.
    """

    failure: Failure
    at_action: str
    after_steps: int = 0
    after_action: bool = False


class _PlannedFailureError(Exception):
    """A job comes to where it is to fail."""


class JobLifecycle(ABC):
    """Takes one job from its creation to its end.

    Args:
        context: What to work with.
        timeline: What happens, and when.
        id: The job's id.
    """

    def __init__(self, context: ServiceContext, timeline: Timeline, id: str) -> None:
        self._context = context
        self._timeline = timeline
        self._id = id
        self._training: TrainingRun | None = None
        self._failure_plan: PlannedFailure | None = None
        self._held = False
        self._waits = False
        self._walk = TimelineRunner(timeline.rows, context.schedule, self._run_action)

    def plan_outcome(self, failure_plan: PlannedFailure | None, *, hold: bool) -> None:
        """Decide what will happen.

        Args:
            failure_plan: Where it fails; None leaves that to its files.
            hold: Whether it stays in the queue until it is released.
        """
        self._failure_plan = failure_plan
        self._held = hold

    def release(self) -> None:
        """Leave the queue, if that is what the job waits for."""
        self._held = False
        if self._waits:
            self._waits = False
            self._walk.restart_from("start", self._context.clock.time())

    def _cancel_timers(self) -> None:
        self._waits = False
        self._walk.stop()

    @abstractmethod
    def _actions(self) -> Mapping[str, TransitionAction]:
        """What the rows of the timeline can do, by name."""

    @abstractmethod
    def _set_status(self, status: str, at: float) -> None:
        """Be in a state."""

    @abstractmethod
    def _fail(self, failure: Failure, at: float) -> None:
        """Be over without a model."""

    @property
    def _run(self) -> TrainingRun:
        if self._training is None:
            raise RuntimeError("the timeline trains before it reads the files")
        return self._training

    async def _run_action(self, row: Transition, at: float) -> TransitionResult:
        if row.action == "start" and self._held:
            self._waits = True
            return "stop"
        try:
            if row.action == "fail":
                failure = self._timeline.failure
            else:
                self._raise_planned_failure(row.action, done=False)
                following = await self._actions()[row.action](at)
                if following == "next":
                    self._raise_planned_failure(row.action, done=True)
                self._set_status(row.to_status, at)
                return following
        except _PlannedFailureError:
            assert self._failure_plan is not None  # noqa: S101 - it was met
            failure = self._failure_plan.failure
        except InvalidTrainingFileError as invalid:
            failure = invalid.failure
        except ServiceError as error:  # a file or a model was deleted meanwhile
            failure = Failure("invalid_request", error.message, error.param)
        except Exception as error:  # noqa: BLE001 - an engine may raise anything
            # One job's trouble must not stop the others, nor whoever asks for something else.
            _LOG.exception("job %s failed in the engine", self._id)
            message = f"The job failed due to an internal error: {error}"
            failure = Failure("server_error", message)
        self._fail(failure, at)
        return "stop"

    def _raise_planned_failure(self, action: str, *, done: bool) -> None:
        failure_plan = self._failure_plan
        if failure_plan is None or failure_plan.at_action != action:
            return
        steps = 0 if self._training is None else len(self._training.steps)
        last_step = done and action == "step"
        if last_step or (failure_plan.after_action == done and steps >= failure_plan.after_steps):
            raise _PlannedFailureError
