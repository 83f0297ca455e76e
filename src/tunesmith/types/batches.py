"""Batches: many requests in one file, processed within 24 hours."""

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from tunesmith.types.base import APIModel, APIResponse, to_datetime
from tunesmith.types.fields import CreatedObject, NullableList, UnixTime


class BatchError(APIModel):
    """Error in a batch's input file."""

    code: str | None = None
    message: str | None = None
    param: str | None = None
    line: int | None = None
    """The line of the input file, if the error is in a line."""


class BatchErrors(APIModel):
    """Errors in a batch's input file."""

    object: str | None = None
    data: NullableList[BatchError] = Field(default_factory=list[BatchError])


class BatchRequestCounts(APIModel):
    """Number of requests in a batch. Expired requests may not count as failed."""

    total: int = 0
    completed: int = 0
    failed: int = 0


class BatchUsage(APIModel):
    """Tokens used by a batch."""

    input_tokens: int | None = None
    input_tokens_details: dict[str, Any] | None = None
    output_tokens: int | None = None
    output_tokens_details: dict[str, Any] | None = None
    total_tokens: int | None = None


class Batch(CreatedObject, APIResponse):
    """Many requests in one file, processed within 24 hours.

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
        """Whether the batch is completed, failed, expired or cancelled."""
        return self.status in {"completed", "failed", "expired", "cancelled"}

    @property
    def in_progress_datetime(self) -> datetime | None:
        """Time when processing began."""
        return to_datetime(self.in_progress_at)

    @property
    def expires_datetime(self) -> datetime | None:
        """Time when the batch expires."""
        return to_datetime(self.expires_at)

    @property
    def finalizing_datetime(self) -> datetime | None:
        """Time when the service began writing the output files."""
        return to_datetime(self.finalizing_at)

    @property
    def completed_datetime(self) -> datetime | None:
        """Time when the batch was completed."""
        return to_datetime(self.completed_at)

    @property
    def failed_datetime(self) -> datetime | None:
        """Time when the batch failed."""
        return to_datetime(self.failed_at)

    @property
    def expired_datetime(self) -> datetime | None:
        """Time when the batch expired."""
        return to_datetime(self.expired_at)

    @property
    def cancelling_datetime(self) -> datetime | None:
        """Time when cancellation was requested."""
        return to_datetime(self.cancelling_at)

    @property
    def cancelled_datetime(self) -> datetime | None:
        """Time when the batch was cancelled."""
        return to_datetime(self.cancelled_at)
