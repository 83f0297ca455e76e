"""What the lives of all jobs share: a walk along the timeline, and a failure where it stumbles."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from tunesmith.clock import VirtualClock
from tunesmith.service.core.behavior import Assumptions
from tunesmith.service.core.errors import ServiceError
from tunesmith.service.core.ids import Ids
from tunesmith.service.core.models import Models
from tunesmith.service.core.scheduler import Schedule
from tunesmith.service.core.store import Store
from tunesmith.service.files.files import Files
from tunesmith.service.fine_tuning.timeline import Failure, Next, Timeline, Transition, Walk
from tunesmith.service.fine_tuning.training_data import TrainingFileInvalid
from tunesmith.service.fine_tuning.training_run import TrainingRun

__all__ = ["Deed", "Fate", "Life", "Workshop"]

_LOG = logging.getLogger("tunesmith.service")

Deed = Callable[[float], Awaitable[Next]]
"""What a row of the timeline does; it is told the time."""


@dataclass(frozen=True, slots=True)
class Workshop:
    """What jobs work with.

    Args:
        store: Keeps jobs, events and checkpoints.
        clock: Stands still while the engine works.
        ids: Makes the ids.
        schedule: Lets things happen at their time.
        files: Has the training files and takes the results.
        models: Has the weights to start from, and takes the tuned ones.
        assumptions: What to do where nobody knows.
        organization: The organization's id.
        organization_name: What it is called in the names of tuned models.
    """

    store: Store
    clock: VirtualClock
    ids: Ids
    schedule: Schedule
    files: Files
    models: Models
    assumptions: Assumptions
    organization: str
    organization_name: str


@dataclass(frozen=True, slots=True)
class Fate:
    """Where a job is to fail, and why.

    Args:
        failure: The reason.
        at: The row of the timeline, by what it does.
        after_steps: Fail after so many steps, at the latest after the last; for the row `step`.
        done: Whether the row is done first.
    """

    failure: Failure
    at: str
    after_steps: int = 0
    done: bool = False


class _Foreseen(Exception):
    """A job comes to where it is to fail."""


class Life(ABC):
    """Takes one job from its creation to its end.

    Args:
        workshop: What to work with.
        timeline: What happens, and when.
        id: The job's id.
    """

    def __init__(self, workshop: Workshop, timeline: Timeline, id: str) -> None:
        self._shop = workshop
        self._timeline = timeline
        self._id = id
        self._training: TrainingRun | None = None
        self._fate: Fate | None = None
        self._held = False
        self._waits = False
        self._walk = Walk(timeline.rows, workshop.schedule, self._perform)

    def foresee(self, fate: Fate | None, *, held: bool) -> None:
        """Decide what will happen.

        Args:
            fate: Where it fails; None leaves that to its files.
            held: Whether it stays in the queue until it is released.
        """
        self._fate = fate
        self._held = held

    def release(self) -> None:
        """Leave the queue, if that is what the job waits for."""
        self._held = False
        if self._waits:
            self._waits = False
            self._walk.go_to("start", self._shop.clock.time())

    def _halt(self) -> None:
        self._waits = False
        self._walk.stop()

    @abstractmethod
    def _deeds(self) -> Mapping[str, Deed]:
        """What the rows of the timeline can do, by name."""

    @abstractmethod
    def _enter(self, status: str, at: float) -> None:
        """Be in a state."""

    @abstractmethod
    def _end_in_failure(self, failure: Failure, at: float) -> None:
        """Be over without a model."""

    @property
    def _run(self) -> TrainingRun:
        if self._training is None:
            raise RuntimeError("the timeline trains before it reads the files")
        return self._training

    async def _perform(self, row: Transition, at: float) -> Next:
        if row.does == "start" and self._held:
            self._waits = True
            return "over"
        try:
            if row.does == "fail":
                failure = self._timeline.failure
            else:
                self._meet_fate(row.does, done=False)
                following = await self._deeds()[row.does](at)
                if following == "on":
                    self._meet_fate(row.does, done=True)
                self._enter(row.to, at)
                return following
        except _Foreseen:
            assert self._fate is not None  # noqa: S101 - it was met
            failure = self._fate.failure
        except TrainingFileInvalid as invalid:
            failure = invalid.failure
        except ServiceError as error:  # a file or a model was deleted meanwhile
            failure = Failure("invalid_request", error.message, error.param)
        except Exception as error:  # noqa: BLE001 - an engine may raise anything
            # One job's trouble must not stop the others, nor whoever asks for something else.
            _LOG.exception("job %s failed in the engine", self._id)
            message = f"The job failed due to an internal error: {error}"
            failure = Failure("server_error", message)
        self._end_in_failure(failure, at)
        return "over"

    def _meet_fate(self, does: str, *, done: bool) -> None:
        fate = self._fate
        if fate is None or fate.at != does:
            return
        steps = 0 if self._training is None else len(self._training.steps)
        last_step = done and does == "step"
        if last_step or (fate.done == done and steps >= fate.after_steps):
            raise _Foreseen
