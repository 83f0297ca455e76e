"""Operations of the legacy fine-tunes API."""

from collections.abc import Sequence
from dataclasses import KW_ONLY
from typing import Annotated, Literal

from annotated_types import Ge, Le, Len
from typing_extensions import TypedDict

from tunesmith.operations.base import Operation, StreamOperation, operation
from tunesmith.types.base import Page
from tunesmith.types.fine_tunes import FineTune, FineTuneEvent


class FineTuneHyperparametersParam(TypedDict, total=False):
    """Hyperparameters in the last version of the legacy API; earlier versions used `n_epochs`."""

    n_epochs: Annotated[int, Ge(1), Le(50)] | Literal["auto"]


@operation("fine_tunes.create", "POST", "/fine-tunes", is_create=True)
class CreateFineTune(Operation[FineTune]):
    """Create a fine-tune with the legacy API. Invalid files make it fail later.

    Args:
        training_file: ID of a file with purpose `fine-tune`: JSON Lines with `prompt` and
            `completion`.
        batch_size: Examples per step; the service's default is about 0.2 % of all, at most 256.
        classification_betas: F-beta scores to compute for a binary classification.
        classification_n_classes: Number of classes; required for more than two.
        classification_positive_class: Positive class of a binary classification.
        compute_classification_metrics: Whether to measure accuracy and F-scores on the validation
            file after each epoch.
        hyperparameters: `n_epochs` in the form of the last version of the legacy API.
        learning_rate_multiplier: Multiplier of the pre-training learning rate; 0.02 to 0.2 are
            recommended.
        model: `ada`, `babbage`, `curie` (the service's default), `davinci`, or a fine-tuned model.
        n_epochs: Number of epochs; the service's default is 4.
        prompt_loss_weight: Weight of the loss on prompts; the service's default is 0.01.
        suffix: Part of the fine-tuned model's name, 1 to 40 characters.
        validation_file: ID of a file to measure validation loss on, without examples of the
            training file.

    Source: https://github.com/openai/openai-openapi/blob/3d9e0ae/openapi.yaml
    """

    _: KW_ONLY
    training_file: str
    batch_size: int | None = None
    classification_betas: Sequence[float] | None = None
    classification_n_classes: int | None = None
    classification_positive_class: str | None = None
    compute_classification_metrics: bool | None = None
    hyperparameters: FineTuneHyperparametersParam | None = None
    learning_rate_multiplier: float | None = None
    model: str | None = None
    n_epochs: int | None = None
    prompt_loss_weight: float | None = None
    suffix: Annotated[str, Len(1, 40)] | None = None
    validation_file: str | None = None


@operation("fine_tunes.list", "GET", "/fine-tunes")
class ListFineTunes(Operation[Page[FineTune]]):
    """List all fine-tunes, oldest first, without events.

    Source: https://github.com/openai/openai-openapi/blob/3d9e0ae/openapi.yaml
    """


@operation("fine_tunes.retrieve", "GET", "/fine-tunes/{fine_tune_id}")
class RetrieveFineTune(Operation[FineTune]):
    """Retrieve a fine-tune with its events.

    Args:
        fine_tune_id: The fine-tune's id.

    Source: https://github.com/openai/openai-openapi/blob/3d9e0ae/openapi.yaml
    """

    fine_tune_id: str


@operation("fine_tunes.cancel", "POST", "/fine-tunes/{fine_tune_id}/cancel")
class CancelFineTune(Operation[FineTune]):
    """Cancel a fine-tune.

    Args:
        fine_tune_id: The fine-tune's id.

    Source: https://github.com/openai/openai-openapi/blob/3d9e0ae/openapi.yaml
    """

    fine_tune_id: str


@operation("fine_tunes.list_events", "GET", "/fine-tunes/{fine_tune_id}/events")
class ListFineTuneEvents(StreamOperation[Page[FineTuneEvent], FineTuneEvent]):
    """List the events of a fine-tune, oldest first. A stream ends with the fine-tune.

    Args:
        fine_tune_id: The fine-tune's id.

    Source: https://github.com/openai/openai-openapi/blob/3d9e0ae/openapi.yaml
    """

    fine_tune_id: str
