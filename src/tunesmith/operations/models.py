"""What can be asked about models."""

from tunesmith.operations.base import Operation, operation
from tunesmith.types.base import Page
from tunesmith.types.models import Model, ModelDeleted


@operation("models.list", "GET", "/models")
class ListModels(Operation[Page[Model]]):
    """List the models that the key may use.

    Source: https://platform.openai.com/docs/api-reference/models/list
    """


@operation("models.retrieve", "GET", "/models/{model}")
class RetrieveModel(Operation[Model]):
    """Look up one model.

    Args:
        model: The model's name.

    Source: https://platform.openai.com/docs/api-reference/models/retrieve
    """

    model: str


@operation("models.delete", "DELETE", "/models/{model}")
class DeleteModel(Operation[ModelDeleted]):
    """Delete a tuned model; base models cannot be deleted.

    Args:
        model: The tuned model's name.

    Source: https://platform.openai.com/docs/api-reference/models/delete
    """

    model: str
