"""Base and fine-tuned models."""

from tunesmith.operations.models import DeleteModel, ListModels, RetrieveModel
from tunesmith.resources.base import Resource, operation_method, paged

__all__ = ["Models"]


class Models(Resource):
    """Base and fine-tuned models."""

    list = paged(ListModels)
    retrieve = operation_method(RetrieveModel)
    delete = operation_method(DeleteModel)
