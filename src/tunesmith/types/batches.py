"""Batches: many requests in one file, answered within a day."""

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from tunesmith.types.base import APIModel, APIResponse, to_datetime
from tunesmith.types.fields import CreatedObject, NullableList, UnixTime

__all__ = ["Batch", "BatchError", "BatchErrors", "BatchRequestCounts", "BatchUsage"]


class BatchError(APIModel):
    """What is wrong with a batch's input file."""

    code: str | None = None
    message: str | None = None
    param: str | None = None
    line: int | None = None
    """The line of the input file, if it is one line's fault."""


class BatchErrors(APIModel):
    """Everything that is wrong with a batch's input file."""

    object: str | None = None
    data: NullableList[BatchError] = Field(default_factory=list[BatchError])


class BatchRequestCounts(APIModel):
    """How many requests a batch has; expired ones may not count as failed."""

    total: int = 0
    completed: int = 0
    failed: int = 0


class BatchUsage(APIModel):
    """The tokens that a batch has used."""

    input_tokens: int | None = None
    input_tokens_details: dict[str, Any] | None = None
    output_tokens: int | None = None
    output_tokens_details: dict[str, Any] | None = None
    total_tokens: int | None = None


class Batch(CreatedObject, APIResponse):
    """Many requests in one file, answered within a day.

    Source: https://platform.openai.com/docs/api-reference/batch/object
    """

    id: str
    object: str = "batch"
    status: (
        Literal[
            "validating",
            "failed",
            "in_progress",
            "finalizing",
            "completed",
            "expired",
            "cancelling",
            "cancelled",
        ]
        | str
    )
    endpoint: str | None = None
    model: str | None = None
    errors: BatchErrors | None = None
    input_file_id: str | None = None
    completion_window: str | None = None
    output_file_id: str | None = None
    error_file_id: str | None = None
    in_progress_at: UnixTime | None = None
    expires_at: UnixTime | None = None
    finalizing_at: UnixTime | None = None
    completed_at: UnixTime | None = None
    failed_at: UnixTime | None = None
    expired_at: UnixTime | None = None
    cancelling_at: UnixTime | None = None
    cancelled_at: UnixTime | None = None
    request_counts: BatchRequestCounts | None = None
    usage: BatchUsage | None = None
    metadata: dict[str, str] | None = None

    @property
    def is_over(self) -> bool:
        """Whether nothing more will come: it is completed, failed, expired or cancelled."""
        return self.status in {"completed", "failed", "expired", "cancelled"}

    @property
    def in_progress_datetime(self) -> datetime | None:
        """When the first request was begun."""
        return to_datetime(self.in_progress_at)

    @property
    def expires_datetime(self) -> datetime | None:
        """Until when requests are answered."""
        return to_datetime(self.expires_at)

    @property
    def finalizing_datetime(self) -> datetime | None:
        """When the service began to write the output files."""
        return to_datetime(self.finalizing_at)

    @property
    def completed_datetime(self) -> datetime | None:
        """When the batch was completed."""
        return to_datetime(self.completed_at)

    @property
    def failed_datetime(self) -> datetime | None:
        """When the batch failed."""
        return to_datetime(self.failed_at)

    @property
    def expired_datetime(self) -> datetime | None:
        """When the batch ran out of time."""
        return to_datetime(self.expired_at)

    @property
    def cancelling_datetime(self) -> datetime | None:
        """When cancelling was asked for."""
        return to_datetime(self.cancelling_at)

    @property
    def cancelled_datetime(self) -> datetime | None:
        """When the batch was cancelled."""
        return to_datetime(self.cancelled_at)
