"""What jobs shall do, where a test says so."""

from dataclasses import dataclass
from typing import Generic, TypeVar

from tunesmith.service.fine_tuning.lifecycle import JobLifecycle, PlannedFailure
from tunesmith.service.fine_tuning.timeline import Failure, Timeline
from tunesmith.service.inference.stub_queue import StubQueue

__all__ = ["FailurePoints", "StubbedOutcomes"]

L = TypeVar("L", bound=JobLifecycle)


@dataclass(frozen=True, slots=True)
class FailurePoints:
    """Where in a timeline jobs fail.

    Args:
        files: What reads and checks the files.
        model: What makes the model known.
    """

    files: str
    model: str


class StubbedOutcomes(Generic[L]):
    """Tells the next jobs, or all of them, what to do.

    Args:
        timeline: What happens in a job.
        default: What usually happens in it.
        rows: Where it can fail.

    Raises:
        ValueError: The timeline does what cannot be done.
    """

    def __init__(self, timeline: Timeline, default: Timeline, rows: FailurePoints) -> None:
        timeline.validate_actions(default)
        self._timeline = timeline
        self._rows = rows
        self._failure_plans = StubQueue[PlannedFailure]()
        self._holds = StubQueue[bool]()
        self._lives: dict[str, L] = {}

    def fail_next(
        self,
        code: str,
        message: str,
        *,
        param: str | None = None,
        at_action: str | None = None,
        after_steps: int | None = None,
        times: int | None = 1,
    ) -> None:
        """Let the next job fail.

        Args:
            code: The code of its error, such as `invalid_training_file`.
            message: The text of its error, and of its last event.
            param: The parameter that is to blame.
            at_action: The row of the timeline to fail at, by what it does, such as `start`; when
                the files are read if None.
            after_steps: Fail after so many steps of training, at the latest after the last.
            times: So many jobs fail; None for all.

        Raises:
            ValueError: The timeline does no such thing, `after_steps` is negative, or `times` is
                less than 1.

        Example:
            ```python
            from tunesmith.service.service import Service

            service = Service()
            service.jobs.fail_next("invalid_training_file", "Line 3 is no JSON.")
            service.jobs.fail_next("server_error", "A GPU is on fire.", after_steps=5)
            ```
        """
        if after_steps is not None:
            if after_steps < 0:
                raise ValueError(f"after_steps is 0 or more, not {after_steps}")
            at_action = "step"
        failure_plan = PlannedFailure(
            Failure(code, message, param), at_action or self._rows.files, after_steps or 0
        )
        self._plan_failure(failure_plan, times)

    def fail_after_model_created(
        self, code: str, message: str, *, param: str | None = None, times: int | None = 1
    ) -> None:
        """Let the next job fail late: its model is there and has a name, and yet it failed.

        Args:
            code: The code of its error.
            message: The text of its error, and of its last event.
            param: The parameter that is to blame.
            times: So many jobs fail; None for all.
        """
        failure_plan = PlannedFailure(
            Failure(code, message, param), self._rows.model, after_action=True
        )
        self._plan_failure(failure_plan, times)

    def hold_in_queue(self, *, times: int | None = 1) -> None:
        """Let the next job wait in the queue until `release`; it can be cancelled meanwhile.

        Args:
            times: So many jobs wait; None for all.
        """
        self._holds.add(item=True, times=times)

    def release(self, id: str | None = None) -> None:
        """Let jobs go on that `hold_in_queue` holds.

        Args:
            id: Which one; None for all there are.

        Raises:
            ValueError: There is no such job.
        """
        if id is not None and id not in self._lives:
            raise ValueError(f"there is no job {id!r}")
        for life in list(self._lives.values()) if id is None else [self._lives[id]]:
            life.release()

    def _register(self, lifecycle: L, id: str) -> None:
        """Tell a new job what to do."""
        self._lives[id] = lifecycle
        lifecycle.plan_outcome(self._failure_plans.next(), hold=self._holds.next() or False)

    def _plan_failure(self, failure_plan: PlannedFailure, times: int | None) -> None:
        rows = [row.action for row in self._timeline.rows]
        if failure_plan.at_action not in rows:
            raise ValueError(
                f"the timeline does no {failure_plan.at_action!r}: it does {', '.join(rows)}"
            )
        self._failure_plans.add(failure_plan, times)
