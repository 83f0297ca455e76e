"""Fine-tunes of the legacy API, replaced by fine-tuning jobs."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from tunesmith.types.base import APIModel, APIResponse, to_datetime
from tunesmith.types.fields import CreatedObject, NullableList, UnixTime
from tunesmith.types.files import FileObject


class FineTuneEvent(CreatedObject):
    """Event of a fine-tune. It has no ID, and several may share one second.

    Source: https://platform.openai.com/docs/api-reference/fine-tunes/events
    """

    object: str = "fine-tune-event"
    level: Literal["info", "warn", "error"] | str | None = None
    message: str


class FineTuneHyperparams(APIModel):
    """Hyperparameters of a fine-tune; None until the service has chosen them."""

    batch_size: int | None = None
    learning_rate_multiplier: float | None = None
    n_epochs: int | Literal["auto"] | str | None = None
    prompt_loss_weight: float | None = None
    compute_classification_metrics: bool | None = None
    classification_n_classes: int | None = None
    classification_positive_class: str | None = None
    classification_betas: list[float] | None = None


class FineTune(CreatedObject, APIResponse):
    """Fine-tuning job of the legacy API.

    Its files are objects, not IDs as in the newer API.

    Source: https://platform.openai.com/docs/api-reference/fine-tunes/object
    """

    id: str
    object: str = "fine-tune"
    status: Literal["created", "pending", "running", "succeeded", "failed", "cancelled"] | str
    model: str | None = None
    updated_at: UnixTime | None = None
    fine_tuned_model: str | None = None
    organization_id: str | None = None
    hyperparams: FineTuneHyperparams | None = None
    training_files: NullableList[FileObject] = Field(default_factory=list[FileObject])
    validation_files: NullableList[FileObject] = Field(default_factory=list[FileObject])
    result_files: NullableList[FileObject] = Field(default_factory=list[FileObject])
    events: list[FineTuneEvent] | None = None
    """Oldest first; None in lists."""

    @property
    def is_over(self) -> bool:
        """Whether the fine-tune succeeded, failed or was cancelled."""
        return self.status in {"succeeded", "failed", "cancelled"}

    @property
    def updated_datetime(self) -> datetime | None:
        """Time when the fine-tune last changed."""
        return to_datetime(self.updated_at)
