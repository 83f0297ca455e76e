"""Webhook events, such as the end of a batch or a fine-tuning job."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from tunesmith.types.base import APIModel
from tunesmith.types.fields import CreatedObject, NullableStr


def _as_object(value: Any) -> Any:
    return value if isinstance(value, Mapping | APIModel) else {}  # pyright: ignore[reportUnknownVariableType]


class WebhookData(APIModel):
    """Object that an event is about."""

    id: NullableStr = ""
    """ID of the batch or fine-tuning job; empty for events about other objects."""


class WebhookEvent(CreatedObject):
    """Event sent by a webhook.

    Source: https://platform.openai.com/docs/api-reference/webhook-events
    """

    id: NullableStr = ""
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
    data: Annotated[WebhookData, BeforeValidator(_as_object)] = Field(default_factory=WebhookData)

    @property
    def is_about_a_batch(self) -> bool:
        """Whether `data.id` is a batch."""
        return self.type.startswith("batch.")

    @property
    def is_about_a_job(self) -> bool:
        """Whether `data.id` is a fine-tuning job."""
        return self.type.startswith("fine_tuning.job.")
