"""What the events of a fine-tuning job say: the service has changed its words over the years."""

from dataclasses import dataclass

__all__ = ["EVENT_MESSAGES_2023", "EventMessages"]


@dataclass(frozen=True, slots=True)
class EventMessages:
    """The words of a job's events. An event that is None does not come.

    In the texts `{job}`, `{files}`, `{step}` and `{model}` stand for what the event is about.

    Args:
        created: The job was taken.
        validating: Its files are being read.
        validated: They are good.
        started: The training begins.
        checkpoint: A checkpoint of an epoch can be used.
        model_created: The tuned model can be used.
        completed: All is done.
        empty_data: Whether messages carry `{}` as data, or null.
        total_steps: Whether the data of a step tells how many there are.
        every_steps: Each so many-th step has an event, and the last one; None leaves it to the
            timeline.

    Example:
        ```python
        from tunesmith.testing import EventMessages, Service

        service = Service()
        service.jobs.set_event_messages(EventMessages(completed="All done."))
        ```
    """

    created: str | None = "Created fine-tuning job: {job}"
    validating: str | None = "Validating training file: {files}"
    validated: str | None = "Files validated, moving job to queued state"
    started: str | None = "Fine-tuning job started"
    checkpoint: str | None = "Checkpoint created at step {step} with Snapshot ID: {model}"
    model_created: str | None = "New fine-tuned model created: {model}"
    completed: str | None = "The job has successfully completed"
    empty_data: bool = True
    total_steps: bool = True
    every_steps: int | None = None


EVENT_MESSAGES_2023 = EventMessages(
    created="Created fine-tune: {job}",
    validating=None,
    validated=None,
    started="Fine tuning job started",
    checkpoint=None,
    completed="Fine-tuning job successfully completed",
    empty_data=False,
    total_steps=False,
    every_steps=10,
)
"""The words of the first months of the fine-tuning API.

Source: a job of 27 August 2023, shown in the README of the npm package `gpt-fine-tuner`.
"""
