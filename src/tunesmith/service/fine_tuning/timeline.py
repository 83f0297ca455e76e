"""How a job gets on in time: a table that a test may rewrite."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from tunesmith.service.core.scheduler import ScheduledAction, Scheduler

__all__ = [
    "FINE_TUNE_TIMELINE",
    "JOB_TIMELINE",
    "Failure",
    "Timeline",
    "TimelineRunner",
    "Transition",
    "TransitionResult",
]


@dataclass(frozen=True, slots=True)
class Transition:
    """A row of the table.

    Args:
        from_status: The state that the job is in; for the reader.
        delay_s: Seconds after the row before, and between two times that the row is repeated.
        to_status: The state that the job is in afterwards.
        action: What happens: `fail`, or what a row of the job's usual timeline does. Of a job,
            `announce`, `validate`, `enqueue`, `start`, `step` (as often as the training has steps),
            `finish`, `report`; of a legacy fine-tune, `announce`, `price`, `enqueue`, `wait`,
            `start`, `step`, `upload_model`, `upload_results`, `finish`.

    Raises:
        ValueError: `delay_s` is negative.
    """

    from_status: str
    delay_s: float
    to_status: str
    action: str

    def __post_init__(self) -> None:
        if self.delay_s < 0:
            raise ValueError(f"time does not go back: delay_s={self.delay_s}")


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a job fails.

    Args:
        code: The API's code.
        message: What the owner of the job reads.
        param: The parameter of the job that is to blame.
    """

    code: str
    message: str
    param: str | None = None


@dataclass(frozen=True, slots=True)
class Timeline:
    """What happens in a job, in this order.

    Args:
        rows: The table. A row that does `fail` lets the job fail there.
        failure: What a row that does `fail` gives as the reason.
        queue_length: How many legacy jobs wait before each new one.
        event_every_steps: Each so many-th step has an event; the last one always.

    Example:
        ```python
        from tunesmith.testing import JOB_TIMELINE, Service

        an_hour_in_the_queue = JOB_TIMELINE.with_delays(start=3600)
        service = Service(job_timeline=an_hour_in_the_queue)
        ```
    """

    rows: tuple[Transition, ...]
    failure: Failure = Failure("server_error", "The job failed due to an internal error.")
    queue_length: int = 0
    event_every_steps: int = 1

    def with_delays(self, **delays: float) -> "Timeline":
        """Make the same timeline with other durations.

        Args:
            **delays: Seconds before what a row does, by its name, such as `start=3600` for an hour
                in the queue, or `step=30` for half a minute a step.

        Raises:
            ValueError: No row does such a thing, or a duration is negative.
        """
        self._require_actions(delays, self)
        rows = tuple(replace(row, delay_s=delays.get(row.action, row.delay_s)) for row in self.rows)
        return replace(self, rows=rows)

    def validate_actions(self, default: "Timeline") -> None:
        """Make sure that every row does what can be done.

        Args:
            default: The usual timeline of the job's kind, which does all that there is.

        Raises:
            ValueError: One does not.
        """
        self._require_actions((row.action for row in self.rows if row.action != "fail"), default)

    @staticmethod
    def _require_actions(actions: Iterable[str], timeline: "Timeline") -> None:
        known = list(dict.fromkeys(row.action for row in timeline.rows))
        for does in actions:
            if does not in known:
                raise ValueError(f"the timeline does no {does!r}: it does {', '.join(known)}")

    def remaining_s(self, does: str, total_steps: int) -> float:
        """Tell how long a job takes from the first row that does this to its end."""
        first = next(i for i, row in enumerate(self.rows) if row.action == does)
        return sum(
            row.delay_s * (total_steps if row.action == "step" else 1)
            for row in self.rows[first + 1 :]
        )


JOB_TIMELINE = Timeline(
    (
        Transition("validating_files", 0, "validating_files", "announce"),
        Transition("validating_files", 15, "validating_files", "validate"),
        Transition("validating_files", 15, "queued", "enqueue"),
        Transition("queued", 60, "running", "start"),
        Transition("running", 2, "running", "step"),
        Transition("running", 20, "succeeded", "finish"),
        # The job is over, and yet its last events are still to come.
        Transition("succeeded", 8, "succeeded", "report"),
    )
)
"""A job of the fine-tuning API."""

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
"""A fine-tune of the legacy API."""


TransitionResult = Literal["next", "repeat", "stop"]
"""Whether to go on to the next row, repeat the row, or stop."""


class TimelineRunner:
    """Takes one job along its timeline.

    Args:
        rows: The table.
        schedule: Lets each row happen at its time.
        run_action: Does what a row says; it is told the row and the time.
    """

    def __init__(
        self,
        rows: Sequence[Transition],
        schedule: Scheduler,
        run_action: Callable[[Transition, float], Awaitable[TransitionResult]],
    ) -> None:
        self._rows = rows
        self._schedule = schedule
        self._run_action = run_action
        self._due: ScheduledAction | None = None

    def begin(self, at: float) -> None:
        """Set out from the first row."""
        self._plan(0, at)

    def restart_from(self, does: str, at: float) -> None:
        """Go on from the first row that does this."""
        self.stop()
        self._plan(next(i for i, row in enumerate(self._rows) if row.action == does), at)

    def stop(self) -> None:
        """Let nothing more happen."""
        if self._due is not None:
            self._due.cancel()

    def _plan(self, index: int, at: float) -> None:
        if index < len(self._rows):
            row = self._rows[index]

            async def happen(at: float) -> None:
                following = await self._run_action(row, at)
                if following != "stop":
                    self._plan(index if following == "repeat" else index + 1, at)

            self._due = self._schedule.call_at(at + row.delay_s, happen)
