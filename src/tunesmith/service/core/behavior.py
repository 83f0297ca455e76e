"""Settings for details of the API that vary between services and over the years."""

from dataclasses import dataclass

__all__ = ["BEHAVIOR_2023", "BEHAVIOR_2024", "ServiceBehavior"]


@dataclass(frozen=True, slots=True)
class ServiceBehavior:
    """Details of responses that are undocumented or changed over the years.

    Texts may contain placeholders in braces, listed with each text. An event whose text is None
    is not created.

    Args:
        created_event: The job was created (`{job}`).
        validating_event: Its files are being read (`{files}`).
        validated_event: Its files are valid.
        started_event: Training starts.
        checkpoint_event: A checkpoint can be used (`{step}`, `{model}`).
        model_created_event: The tuned model can be used (`{model}`).
        completed_event: The job is complete.
        cancelled_event: The job was cancelled.
        paused_event: The job was paused.
        resumed_event: The job was resumed.
        failure_level: Level of the last event of a failed job.
        empty_event_data: Whether the data of messages is `{}` instead of null.
        total_steps_in_events: Whether the data of a step contains the total number of steps.
        event_every_steps: Interval, in steps, of events with metrics; the last step always has one.
        empty_error: Whether a job without an error has `error: {}` instead of null.
        results_base64: Whether result files of jobs are base64-encoded.
        max_page_size: The largest `limit` of jobs, events, checkpoints and permissions.
        file_not_found_message: A job's file does not exist (`{id}`).
        model_not_found_message: A job's model does not exist (`{name}`).
        file_purpose_message: A job's file is not for fine-tuning (`{id}`, `{purpose}`).
        model_not_tunable_message: A job's model cannot be tuned (`{name}`).
        job_state_conflict_message: The job's status forbids the action (`{id}`, `{status}`).
        base_model_status: HTTP status for deleting a base model.
        base_model_message: Message for deleting a base model (`{name}`).
        empty_file_ids: Whether a batch has an empty id instead of null for a missing file.
        enqueued_tokens: Maximum of enqueued input tokens of a model's batches; None for no limit.

    Example:
        ```python
        from tunesmith.testing import Service, ServiceBehavior

        service = Service(behavior=ServiceBehavior(completed_event="All done."))
        ```
    """

    created_event: str | None = "Created fine-tuning job: {job}"
    validating_event: str | None = "Validating training file: {files}"
    validated_event: str | None = "Files validated, moving job to queued state"
    started_event: str | None = "Fine-tuning job started"
    checkpoint_event: str | None = "Checkpoint created at step {step} with Snapshot ID: {model}"
    model_created_event: str | None = "New fine-tuned model created: {model}"
    completed_event: str | None = "The job has successfully completed"
    cancelled_event: str | None = "The job has been cancelled"
    paused_event: str | None = "The job has been paused"
    resumed_event: str | None = "The job has been resumed and moved to queued state"
    failure_level: str = "error"
    empty_event_data: bool = True
    total_steps_in_events: bool = True
    event_every_steps: int = 1
    empty_error: bool = False
    results_base64: bool = True
    max_page_size: int = 100
    file_not_found_message: str = "File '{id}' does not exist"
    model_not_found_message: str = "Model '{name}' does not exist or you do not have access to it"
    file_purpose_message: str = "File '{id}' has the purpose '{purpose}', not 'fine-tune'"
    model_not_tunable_message: str = "Model '{name}' is not available for fine-tuning"
    job_state_conflict_message: str = "Job '{id}' is {status}: this action is not allowed now"
    base_model_status: int = 403
    base_model_message: str = "The model '{name}' is a base model: only tuned models can be deleted"
    empty_file_ids: bool = False
    enqueued_tokens: int | None = None


BEHAVIOR_2024 = ServiceBehavior(empty_error=True)
"""The service in 2024: `error: {}` in jobs without an error."""

BEHAVIOR_2023 = ServiceBehavior(
    created_event="Created fine-tune: {job}",
    validating_event=None,
    validated_event=None,
    started_event="Fine tuning job started",
    checkpoint_event=None,
    completed_event="Fine-tuning job successfully completed",
    empty_event_data=False,
    total_steps_in_events=False,
    event_every_steps=10,
    results_base64=False,
)
"""The first months of the fine-tuning API.

Source: a job of 27 August 2023, shown in the README of the npm package `gpt-fine-tuner`.
"""
