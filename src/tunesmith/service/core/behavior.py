"""What nobody has written down about the real service, and what this one does instead."""

from dataclasses import dataclass

__all__ = ["ServiceBehavior"]


@dataclass(frozen=True, slots=True)
class ServiceBehavior:
    """Answers that are guesses, in one place, for whoever knows better.

    In the texts `{id}`, `{name}` and `{status}` stand for what the error is about.

    Args:
        unknown_training_file: The 400 for a job whose file does not exist.
        unknown_training_model: The 400 for a job on a model that does not exist.
        wrong_file_purpose: The 400 for a job on a file that is not for fine-tuning.
        model_not_tunable_message: The 400 for a job on a model that cannot be tuned.
        job_state_conflict_message: The 400 for cancelling, pausing or resuming a job in a state
            that forbids it.
        base_model_status: The HTTP status for deleting a base model.
        base_model_undeletable: The text for it.
        cancel_message: The event of a cancelled job; None for none.
        pause_message: The event of a paused job; None for none.
        resume_message: The event of a resumed job; None for none.
        failure_level: The level of the event that a failed job ends with.
        error_when_none: Whether a job without an error has `error: {}`, as in 2024, or null.
        max_page_size: The largest `limit` of jobs, events, checkpoints and permissions.
        empty_file_ids: Whether a batch has an empty text, not null, for a file that is not there.
        enqueued_tokens: The tokens of questions that the batches of a model may have at a time;
            None for any number.
        results_base64: Whether result files of jobs are base64, as of newer services.
    """

    unknown_training_file: str = "File '{id}' does not exist"
    unknown_training_model: str = "Model '{name}' does not exist or you do not have access to it"
    wrong_file_purpose: str = "File '{id}' has the purpose '{purpose}', not 'fine-tune'"
    model_not_tunable_message: str = "Model '{name}' is not available for fine-tuning"
    job_state_conflict_message: str = "Job '{id}' is {status}: this cannot be done now"
    base_model_status: int = 403
    base_model_undeletable: str = "The model '{name}' is a base model: only tuned ones are deleted"
    cancel_message: str | None = "The job has been cancelled"
    pause_message: str | None = "The job has been paused"
    resume_message: str | None = "The job has been resumed and moved to queued state"
    failure_level: str = "error"
    error_when_none: bool = True
    max_page_size: int = 100
    results_base64: bool = True
    empty_file_ids: bool = False
    enqueued_tokens: int | None = None
