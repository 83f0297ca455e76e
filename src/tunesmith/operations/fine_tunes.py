"""What can be asked of the legacy API for fine-tunes."""

from collections.abc import Sequence
from dataclasses import KW_ONLY
from typing import Annotated, Literal

from annotated_types import Ge, Le, Len
from typing_extensions import TypedDict

from tunesmith.operations.base import Operation, StreamOperation, operation
from tunesmith.types.base import Page
from tunesmith.types.fine_tunes import FineTune, FineTuneEvent


class FineTuneHyperparametersParam(TypedDict, total=False):
    """How to train, as the last version of the legacy API wrote it; older ones: `n_epochs`."""

    n_epochs: Annotated[int, Ge(1), Le(50)] | Literal["auto"]


@operation("fine_tunes.create", "POST", "/fine-tunes", creates=True)
class CreateFineTune(Operation[FineTune]):
    """Tune a model by the legacy API; wrong files show later, by a fine-tune that fails.

    Args:
        training_file: The id of a file with purpose `fine-tune`: JSON Lines with `prompt` and
            `completion`.
        batch_size: Examples a step; the service's default is about 0.2 % of all, at most 256.
        classification_betas: F-beta scores to compute, of a binary classification.
        classification_n_classes: How many classes there are; required for more than two.
        classification_positive_class: The class that counts as found, of a binary classification.
        compute_classification_metrics: Whether to measure accuracy and F-scores on the validation
            file after each epoch.
        hyperparameters: `n_epochs` as the last version of the legacy API wrote it.
        learning_rate_multiplier: Multiplies the learning rate of the pre-training; 0.02 to 0.2 are
            recommended.
        model: `ada`, `babbage`, `curie` (the service's default), `davinci`, or a tuned model.
        n_epochs: How often to go through the training file; the service's default is 4.
        prompt_loss_weight: How much to learn from prompts; the service's default is 0.01.
        suffix: 1 to 40 characters for the tuned model's name.
        validation_file: The id of a file to measure the loss on; it must not share examples with
            the training file.

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
    """List all fine-tunes, oldest first and without their events.

    Source: https://github.com/openai/openai-openapi/blob/3d9e0ae/openapi.yaml
    """


@operation("fine_tunes.retrieve", "GET", "/fine-tunes/{fine_tune_id}")
class RetrieveFineTune(Operation[FineTune]):
    """Look up one fine-tune, with its events.

    Args:
        fine_tune_id: The fine-tune's id.

    Source: https://github.com/openai/openai-openapi/blob/3d9e0ae/openapi.yaml
    """

    fine_tune_id: str


@operation("fine_tunes.cancel", "POST", "/fine-tunes/{fine_tune_id}/cancel")
class CancelFineTune(Operation[FineTune]):
    """End a fine-tune before it is done.

    Args:
        fine_tune_id: The fine-tune's id.

    Source: https://github.com/openai/openai-openapi/blob/3d9e0ae/openapi.yaml
    """

    fine_tune_id: str


@operation("fine_tunes.list_events", "GET", "/fine-tunes/{fine_tune_id}/events")
class ListFineTuneEvents(StreamOperation[Page[FineTuneEvent], FineTuneEvent]):
    """List what happened in a fine-tune, oldest first; a stream ends when the fine-tune is over.

    Args:
        fine_tune_id: The fine-tune's id.

    Source: https://github.com/openai/openai-openapi/blob/3d9e0ae/openapi.yaml
    """

    fine_tune_id: str
