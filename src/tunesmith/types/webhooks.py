"""Webhook events, such as the end of a batch or a fine-tuning job."""

from typing import Literal

from tunesmith.types.base import APIModel
from tunesmith.types.fields import CreatedObject


class WebhookData(APIModel):
    """Object that an event is about."""

    id: str | None = None
    """ID of the batch or fine-tuning job; None for events about other objects."""


class WebhookEvent(CreatedObject):
    """Event sent by a webhook.

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
