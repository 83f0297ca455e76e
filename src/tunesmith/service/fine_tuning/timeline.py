"""Timelines of jobs: tables of transitions, which tests can replace."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

__all__ = ["FINE_TUNE_TIMELINE", "JOB_TIMELINE", "Failure", "Timeline", "Transition"]


@dataclass(frozen=True, slots=True)
class Transition:
    """A row of a timeline.

    Args:
        from_status: Status of the job before; for the reader.
        delay: Seconds after the previous row, and between repetitions of the row.
        to_status: Status of the job afterwards.
        action: The action: `fail`, or one of the job's default timeline. For a job: `announce`,
            `validate`, `enqueue`, `start`, `step` (repeated for each training step), `finish`,
            `report`. For a legacy fine-tune: `announce`, `price`, `enqueue`, `wait`, `start`,
            `step`, `upload_model`, `upload_results`, `finish`.

    Raises:
        ValueError: `delay` is negative.
    """

    from_status: str
    delay: float
    to_status: str
    action: str

    def __post_init__(self) -> None:
        if self.delay < 0:
            raise ValueError(f"delay must not be negative: {self.delay}")


@dataclass(frozen=True, slots=True)
class Failure:
    """Reason for the failure of a job.

    Args:
        code: The API's error code.
        message: The error message.
        param: The invalid parameter of the job.
    """

    code: str
    message: str
    param: str | None = None


@dataclass(frozen=True, slots=True)
class Timeline:
    """Transitions of a job, in order.

    Args:
        rows: The transitions. The action `fail` ends the job.
        failure: Reason of the action `fail`.
        queue_length: Number of legacy fine-tunes in the queue before each new one.

    Example:
        ```python
        from tunesmith.testing import JOB_TIMELINE, Service

        service = Service(job_timeline=JOB_TIMELINE.with_delays(start=3600))
        ```
    """

    rows: tuple[Transition, ...]
    failure: Failure = Failure("server_error", "The job failed due to an internal error.")
    queue_length: int = 0

    @property
    def actions(self) -> tuple[str, ...]:
        """Actions of the rows, in order."""
        return tuple(dict.fromkeys(row.action for row in self.rows))

    def with_delays(self, **delays: float) -> "Timeline":
        """Return a copy with other durations.

        Args:
            **delays: Seconds before an action, such as `start=3600` for an hour in the queue, or
                `step=30` for the duration of a step.

        Raises:
            ValueError: The timeline has no such action, or a duration is negative.
        """
        self.validate_actions(delays)
        rows = tuple(replace(row, delay=delays.get(row.action, row.delay)) for row in self.rows)
        return replace(self, rows=rows)

    def at_speed(self, speed: float) -> "Timeline":
        """Return a copy whose durations are divided by a speed."""
        rows = tuple(replace(row, delay=row.delay / speed) for row in self.rows)
        return replace(self, rows=rows)

    def validate_actions(self, actions: Iterable[str]) -> None:
        """Validate that the timeline has all of the actions.

        Raises:
            ValueError: It lacks one.
        """
        for action in actions:
            if action not in self.actions:
                raise ValueError(
                    f"the timeline has no action {action!r}; use one of {', '.join(self.actions)}"
                )

    def remaining_s(self, action: str, total_steps: int) -> float:
        """Return the seconds from the end of an action to the end of the job."""
        return sum(
            row.delay * (total_steps if row.action == "step" else 1)
            for row in self.rows[self.index(action) + 1 :]
        )

    def index(self, action: str) -> int:
        """Return the index of the first row with an action."""
        return next(i for i, row in enumerate(self.rows) if row.action == action)


JOB_TIMELINE = Timeline(
    (
        Transition("validating_files", 0, "validating_files", "announce"),
        Transition("validating_files", 15, "validating_files", "validate"),
        Transition("validating_files", 15, "queued", "enqueue"),
        Transition("queued", 60, "running", "start"),
        Transition("running", 2, "running", "step"),
        Transition("running", 20, "succeeded", "finish"),
        # The real service creates the last events after the job has ended.
        Transition("succeeded", 8, "succeeded", "report"),
    )
)
"""Timeline of a fine-tuning job."""

FINE_TUNE_TIMELINE = Timeline(
    (
        Transition("pending", 0, "pending", "announce"),
        Transition("pending", 20, "pending", "price"),
        Transition("pending", 0, "pending", "enqueue"),
        Transition("pending", 30, "pending", "wait"),
        Transition("pending", 30, "running", "start"),
        Transition("running", 2, "running", "step"),
        Transition("running", 10, "running", "upload_model"),
        Transition("running", 1, "running", "upload_results"),
        Transition("running", 1, "succeeded", "finish"),
    )
)
"""Timeline of a fine-tune of the legacy API."""
