"""Models, base and tuned."""

from tunesmith.operations.models import DeleteModel, ListModels, RetrieveModel
from tunesmith.resources.base import Resource, operation_method, paged

__all__ = ["Models"]


class Models(Resource):
    """Models, base and tuned."""

    list = paged(ListModels)
    retrieve = operation_method(RetrieveModel)
    delete = operation_method(DeleteModel)
