"""Operations on models."""

from tunesmith.operations.base import Operation, operation
from tunesmith.types.base import Page
from tunesmith.types.models import Model, ModelDeleted


@operation("models.list", "GET", "/models")
class ListModels(Operation[Page[Model]]):
    """List the models available to the API key.

    Source: https://platform.openai.com/docs/api-reference/models/list
    """


@operation("models.retrieve", "GET", "/models/{model}")
class RetrieveModel(Operation[Model]):
    """Retrieve a model.

    Args:
        model: Name of the model.

    Source: https://platform.openai.com/docs/api-reference/models/retrieve
    """

    model: str


@operation("models.delete", "DELETE", "/models/{model}")
class DeleteModel(Operation[ModelDeleted]):
    """Delete a fine-tuned model; base models cannot be deleted.

    Args:
        model: Name of the fine-tuned model.

    Source: https://platform.openai.com/docs/api-reference/models/delete
    """

    model: str
