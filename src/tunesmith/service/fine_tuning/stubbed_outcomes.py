"""What jobs shall do, where a test says so."""

from dataclasses import dataclass
from typing import Generic, TypeVar

from tunesmith.service.fine_tuning.lifecycle import Fate, Life
from tunesmith.service.fine_tuning.timeline import Failure, Timeline
from tunesmith.service.inference.stub_queue import Turns

__all__ = ["JobScripts", "ScriptedRows"]

L = TypeVar("L", bound=Life)


@dataclass(frozen=True, slots=True)
class ScriptedRows:
    """Where in a timeline jobs fail.

    Args:
        files: What reads and checks the files.
        model: What makes the model known.
    """

    files: str
    model: str


class JobScripts(Generic[L]):
    """Tells the next jobs, or all of them, what to do.

    Args:
        timeline: What happens in a job.
        usual: What usually happens in it.
        rows: Where it can fail.

    Raises:
        ValueError: The timeline does what cannot be done.
    """

    def __init__(self, timeline: Timeline, usual: Timeline, rows: ScriptedRows) -> None:
        timeline.check(usual)
        self._timeline = timeline
        self._rows = rows
        self._fates = Turns[Fate]()
        self._holds = Turns[bool]()
        self._lives: dict[str, L] = {}

    def fail_with(
        self,
        code: str,
        message: str,
        *,
        param: str | None = None,
        at: str | None = None,
        after_steps: int | None = None,
        times: int | None = 1,
    ) -> None:
        """Let the next job fail.

        Args:
            code: The code of its error, such as `invalid_training_file`.
            message: The text of its error, and of its last event.
            param: The parameter that is to blame.
            at: The row of the timeline to fail at, by what it does, such as `start`; when the files
                are read if None.
            after_steps: Fail after so many steps of training, at the latest after the last.
            times: So many jobs fail; None for all.

        Raises:
            ValueError: The timeline does no such thing, `after_steps` is negative, or `times` is
                less than 1.

        Example:
            ```python
            from tunesmith.service.service import Service

            service = Service()
            service.jobs.fail_with("invalid_training_file", "Line 3 is no JSON.")
            service.jobs.fail_with("server_error", "A GPU is on fire.", after_steps=5)
            ```
        """
        if after_steps is not None:
            if after_steps < 0:
                raise ValueError(f"after_steps is 0 or more, not {after_steps}")
            at = "step"
        fate = Fate(Failure(code, message, param), at or self._rows.files, after_steps or 0)
        self._foresee(fate, times)

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
        fate = Fate(Failure(code, message, param), self._rows.model, done=True)
        self._foresee(fate, times)

    def stay_queued(self, *, times: int | None = 1) -> None:
        """Let the next job wait in the queue until `release`; it can be cancelled meanwhile.

        Args:
            times: So many jobs wait; None for all.
        """
        self._holds.add(item=True, times=times)

    def release(self, id: str | None = None) -> None:
        """Let jobs go on that `stay_queued` holds.

        Args:
            id: Which one; None for all there are.

        Raises:
            ValueError: There is no such job.
        """
        if id is not None and id not in self._lives:
            raise ValueError(f"there is no job {id!r}")
        for life in list(self._lives.values()) if id is None else [self._lives[id]]:
            life.release()

    def _direct(self, life: L, id: str) -> None:
        """Tell a new job what to do."""
        self._lives[id] = life
        life.foresee(self._fates.take(), held=self._holds.take() or False)

    def _foresee(self, fate: Fate, times: int | None) -> None:
        rows = [row.does for row in self._timeline.rows]
        if fate.at not in rows:
            raise ValueError(f"the timeline does no {fate.at!r}: it does {', '.join(rows)}")
        self._fates.add(fate, times)
