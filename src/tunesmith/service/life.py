"""What the lives of all jobs share: a walk along the timeline, and a failure where it stumbles."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from tunesmith.service.assumptions import Assumptions
from tunesmith.service.clock import VirtualClock
from tunesmith.service.errors import ServiceError
from tunesmith.service.files import Files
from tunesmith.service.ids import Ids
from tunesmith.service.models import Models
from tunesmith.service.schedule import Schedule
from tunesmith.service.store import Store
from tunesmith.service.timeline import Failure, Next, Timeline, Transition, Walk
from tunesmith.service.training import TrainingRun
from tunesmith.service.training_files import TrainingFileInvalid

__all__ = ["Deed", "Life", "Workshop"]

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
        self._walk = Walk(timeline.rows, workshop.schedule, self._perform)

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
        try:
            if row.does == "fail":
                failure = self._timeline.failure
            else:
                following = await self._deeds()[row.does](at)
                self._enter(row.to, at)
                return following
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
