"""The events of a job, kept small: there may be a million of them."""

from dataclasses import dataclass
from typing import Any

from tunesmith.service.core.event_messages import EventMessages
from tunesmith.service.core.ids import IdGenerator
from tunesmith.service.core.store import RecordPage, Store
from tunesmith.service.engines.base import TrainingStep
from tunesmith.types.fine_tuning import CheckpointMetrics, FineTuningJobEvent

__all__ = ["EventRecord", "JobEvents", "checkpoint_metrics"]


@dataclass(frozen=True, slots=True)
class EventRecord:
    """An event, as it is kept.

    Args:
        id: The event's id.
        at: When it happened, in whole Unix seconds.
        level: `info`, `warn` or `error`.
        content: What it says, or the step whose metrics it tells.
        total_steps: How many steps the job has, for a step.
        data: What it carries; a step's metrics are made when it is read.
    """

    id: str
    at: int
    level: str
    content: str | TrainingStep
    total_steps: int = 0
    data: dict[str, Any] | None = None

    def to_event(self, wording: EventMessages) -> FineTuningJobEvent:
        """Give the event as the API shows it."""
        metrics = not isinstance(self.content, str)
        return FineTuningJobEvent(
            object="fine_tuning.job.event",
            id=self.id,
            created_at=self.at,
            level=self.level,
            message=_step_message(self.content, self.total_steps)
            if isinstance(self.content, TrainingStep)
            else self.content,
            data=_step_data(self.content, self.total_steps if wording.total_steps else None)
            if isinstance(self.content, TrainingStep)
            else self.data,
            type="metrics" if metrics else "message",
        )


class JobEvents:
    """The events of one job.

    Args:
        store: Keeps them.
        ids: Makes their ids.
        job_id: The job's id.
        wording: What they say.
    """

    def __init__(self, store: Store, ids: IdGenerator, job_id: str, wording: EventMessages) -> None:
        self._events = store.collection("events", EventRecord, parent_id=job_id)
        self._ids = ids
        self._wording = wording

    def add_message(
        self,
        message: str | None,
        at: float,
        *,
        level: str = "info",
        has_data: bool = True,
        **format_args: object,
    ) -> None:
        """Add a message; most carry `{}` as data, some null.

        Args:
            message: What it says; None for no event.
            at: When, in Unix seconds.
            level: `info`, `warn` or `error`.
            has_data: Whether it has data at all.
            **format_args: What stands in the message's braces.
        """
        if message is None:
            return
        if format_args:
            message = message.format(**format_args)
        data: dict[str, Any] | None = {} if has_data and self._wording.empty_data else None
        self._add(EventRecord(self._ids.new("event"), int(at), level, message, data=data))

    def add_metrics(self, step: TrainingStep, total_steps: int, at: float) -> None:
        """Add a step's metrics."""
        self._add(EventRecord(self._ids.new("event"), int(at), "info", step, total_steps))

    def window(self, after: str | None, limit: int) -> RecordPage[FineTuningJobEvent]:
        """Show a stretch, newest first."""
        window = self._events.get_page(after=after, limit=limit)
        return RecordPage(
            [record.to_event(self._wording) for record in window.records], window.has_more
        )

    def _add(self, record: EventRecord) -> None:
        self._events.put(record.id, record)


def checkpoint_metrics(step: TrainingStep) -> CheckpointMetrics:
    """Give a checkpoint's metrics: those of its step."""
    return CheckpointMetrics(**_metrics(step))


def _step_message(step: TrainingStep, total_steps: int) -> str:
    message = f"Step {step.step}/{total_steps}: training loss={step.train.loss:.2f}"
    if step.valid is not None:
        message += f", validation loss={step.valid.loss:.2f}"
    if step.full_valid is not None:
        message += f", full validation loss={step.full_valid.loss:.2f}"
    return message


def _step_data(step: TrainingStep, total_steps: int | None) -> dict[str, Any]:
    total = {} if total_steps is None else {"total_steps": total_steps}
    return {**_metrics(step), **total}


def _metrics(step: TrainingStep) -> dict[str, Any]:
    metrics: dict[str, Any] = {"step": step.step}
    parts = {"train": step.train, "valid": step.valid, "full_valid": step.full_valid}
    for name, measured in parts.items():
        if measured is not None:
            metrics[f"{name}_loss"] = measured.loss
            metrics[f"{name}_mean_token_accuracy"] = measured.mean_token_accuracy
            if measured.mean_reward is not None:
                metrics[f"{name}_mean_reward"] = measured.mean_reward
    return metrics
