"""Events of fine-tuning jobs, stored compactly: a job may have millions."""

from dataclasses import dataclass
from typing import Any

from tunesmith.service.core.behavior import ServiceBehavior
from tunesmith.service.core.ids import IdGenerator
from tunesmith.service.core.store import RecordPage, Store
from tunesmith.service.engines.training import TrainingStep
from tunesmith.types.fine_tuning import CheckpointMetrics, FineTuningJobEvent

__all__ = ["EventRecord", "JobEvents", "checkpoint_metrics"]


@dataclass(frozen=True, slots=True)
class EventRecord:
    """An event as it is stored.

    Args:
        id: The event's id.
        timestamp: Creation time, in whole Unix seconds.
        level: `info`, `warn` or `error`.
        content: The message, or a training step.
        total_steps: Number of steps of the job, for a training step.
        data: Data of a message.
    """

    id: str
    timestamp: int
    level: str
    content: str | TrainingStep
    total_steps: int = 0
    data: dict[str, Any] | None = None

    def to_event(self, behavior: ServiceBehavior) -> FineTuningJobEvent:
        """Return the event as the API shows it."""
        message, data, is_step = self.content, self.data, isinstance(self.content, TrainingStep)
        if isinstance(self.content, TrainingStep):
            message = _step_message(self.content, self.total_steps)
            data = _metrics(self.content)
            if behavior.total_steps_in_events:
                data["total_steps"] = self.total_steps
        return FineTuningJobEvent(
            object="fine_tuning.job.event",
            id=self.id,
            created_at=self.timestamp,
            level=self.level,
            message=str(message),
            data=data,
            type="metrics" if is_step else "message",
        )


class JobEvents:
    """Events of one job.

    Args:
        store: Storage of the events.
        ids: Source of ids.
        job_id: The job's id.
        behavior: Data of the events.
    """

    def __init__(
        self, store: Store, ids: IdGenerator, job_id: str, behavior: ServiceBehavior
    ) -> None:
        self._events = store.collection("events", EventRecord, parent_id=job_id)
        self._ids = ids
        self._behavior = behavior

    def add_message(
        self,
        message: str | None,
        timestamp: float,
        *,
        level: str = "info",
        has_data: bool = True,
        **placeholders: object,
    ) -> None:
        """Add a message.

        Args:
            message: The message; None for no event.
            timestamp: Creation time, in Unix seconds.
            level: `info`, `warn` or `error`.
            has_data: Whether the event has data.
            **placeholders: Values of the placeholders in the message.
        """
        if message is None:
            return
        if placeholders:
            message = message.format(**placeholders)
        data: dict[str, Any] | None = {} if has_data and self._behavior.empty_event_data else None
        self._add(EventRecord(self._ids.new("event"), int(timestamp), level, message, data=data))

    def add_metrics(self, step: TrainingStep, total_steps: int, timestamp: float) -> None:
        """Add the metrics of a training step."""
        self._add(EventRecord(self._ids.new("event"), int(timestamp), "info", step, total_steps))

    def get_page(self, after: str | None, limit: int) -> RecordPage[FineTuningJobEvent]:
        """Return a page of events, newest first."""
        page = self._events.get_page(after=after, limit=limit)
        return RecordPage(
            [record.to_event(self._behavior) for record in page.records], page.has_more
        )

    def _add(self, record: EventRecord) -> None:
        self._events.put(record.id, record)


def checkpoint_metrics(step: TrainingStep) -> CheckpointMetrics:
    """Return the metrics of a checkpoint after a training step."""
    return CheckpointMetrics(**_metrics(step))


def _step_message(step: TrainingStep, total_steps: int) -> str:
    message = f"Step {step.step}/{total_steps}: training loss={step.train.loss:.2f}"
    if step.valid is not None:
        message += f", validation loss={step.valid.loss:.2f}"
    if step.full_valid is not None:
        message += f", full validation loss={step.full_valid.loss:.2f}"
    return message


def _metrics(step: TrainingStep) -> dict[str, Any]:
    result: dict[str, Any] = {"step": step.step}
    parts = {"train": step.train, "valid": step.valid, "full_valid": step.full_valid}
    for name, metrics in parts.items():
        if metrics is not None:
            result[f"{name}_loss"] = metrics.loss
            result[f"{name}_mean_token_accuracy"] = metrics.mean_token_accuracy
            if metrics.mean_reward is not None:
                result[f"{name}_mean_reward"] = metrics.mean_reward
    return result
