"""What a service tells by webhooks: that a batch or a fine-tuning job is over."""

from typing import Literal

from tunesmith.types.base import APIModel
from tunesmith.types.fields import CreatedObject

__all__ = ["WebhookData", "WebhookEvent"]


class WebhookData(APIModel):
    """What the event is about."""

    id: str
    """The id of the batch or of the fine-tuning job."""


class WebhookEvent(CreatedObject):
    """That something happened; ask the service for the rest.

    Source: https://platform.openai.com/docs/api-reference/webhook-events
    """

    id: str
    object: str = "event"
    type: (
        Literal[
            "batch.cancelled",
            "batch.completed",
            "batch.expired",
            "batch.failed",
            "fine_tuning.job.cancelled",
            "fine_tuning.job.failed",
            "fine_tuning.job.succeeded",
        ]
        | str
    )
    data: WebhookData

    @property
    def is_about_a_batch(self) -> bool:
        """Whether `data.id` is a batch."""
        return self.type.startswith("batch.")

    @property
    def is_about_a_job(self) -> bool:
        """Whether `data.id` is a fine-tuning job."""
        return self.type.startswith("fine_tuning.job.")
