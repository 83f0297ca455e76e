"""Outcomes of jobs that tests can plan."""

from dataclasses import dataclass
from typing import Generic, TypeVar

from tunesmith.service.fine_tuning.lifecycle import JobContext, JobLifecycle, PlannedFailure
from tunesmith.service.fine_tuning.timeline import Failure, Timeline
from tunesmith.service.inference.stub_queue import StubQueue

__all__ = ["FailurePoints", "StubbedOutcomes"]

L = TypeVar("L", bound=JobLifecycle)


@dataclass(frozen=True, slots=True)
class FailurePoints:
    """Actions of a timeline at which jobs fail.

    Args:
        files: Action that validates the files.
        model: Action that registers the model.
    """

    files: str
    model: str


class StubbedOutcomes(Generic[L]):
    """Base of job services whose jobs can fail or wait as planned by a test.

    Args:
        context: Dependencies shared by all jobs.
        default: The default timeline of the jobs, which has all actions.
        failure_points: Actions at which jobs fail.

    Raises:
        ValueError: The timeline has an unknown action.
    """

    def __init__(
        self, context: JobContext, default: Timeline, failure_points: FailurePoints
    ) -> None:
        default.validate_actions(set(context.timeline.actions) - {"fail"})
        self._context = context
        self._failure_points = failure_points
        self._failure_plans = StubQueue[PlannedFailure]()
        self._holds = StubQueue[bool]()
        self._lifecycles: dict[str, L] = {}

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
        """Make the next job fail.

        Args:
            code: Error code, such as `invalid_training_file`.
            message: Message of the error and of the last event.
            param: The invalid parameter.
            at_action: Action of the timeline to fail at, such as `start`; None for the validation
                of the files.
            after_steps: Number of training steps before the failure; more steps than there are
                mean after the last.
            times: Number of jobs that fail; None for all.

        Raises:
            ValueError: The timeline has no such action, `after_steps` is negative, or `times` is
                less than 1.

        Example:
            ```python
            from tunesmith.service.service import Service

            service = Service()
            service.jobs.fail_next("invalid_training_file", "Line 3 is not JSON.")
            service.jobs.fail_next("server_error", "CUDA out of memory.", after_steps=5)
            ```
        """
        if after_steps is not None:
            if after_steps < 0:
                raise ValueError(f"after_steps must be 0 or more, not {after_steps}")
            at_action = "step"
        action = at_action or self._failure_points.files
        failure = Failure(code, message, param)
        self._plan_failure(PlannedFailure(failure, action, after_steps or 0), times)

    def fail_after_model_created(
        self, code: str, message: str, *, param: str | None = None, times: int | None = 1
    ) -> None:
        """Make the next job fail after its model was created.

        Args:
            code: Error code.
            message: Message of the error and of the last event.
            param: The invalid parameter.
            times: Number of jobs that fail; None for all.
        """
        failure = Failure(code, message, param)
        plan = PlannedFailure(failure, self._failure_points.model, after_action=True)
        self._plan_failure(plan, times)

    def hold_in_queue(self, *, times: int | None = 1) -> None:
        """Hold the next job in the queue until `release`; it can be cancelled meanwhile.

        Args:
            times: Number of jobs to hold; None for all.
        """
        self._holds.add(item=True, times=times)

    def release(self, id: str | None = None) -> None:
        """Release jobs that `hold_in_queue` holds.

        Args:
            id: The job; None for all.

        Raises:
            ValueError: The job does not exist.
        """
        if id is not None and id not in self._lifecycles:
            raise ValueError(f"job {id!r} does not exist")
        selected = list(self._lifecycles.values()) if id is None else [self._lifecycles[id]]
        for lifecycle in selected:
            lifecycle.release()

    async def _begin(self, lifecycle: L, id: str) -> None:
        self._lifecycles[id] = lifecycle
        lifecycle.plan_outcome(self._failure_plans.next(), hold=self._holds.next() or False)
        await lifecycle.begin()

    def _plan_failure(self, plan: PlannedFailure, times: int | None) -> None:
        self._context.timeline.validate_actions([plan.at_action])
        self._failure_plans.add(plan, times)
