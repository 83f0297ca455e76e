"""Jobs of many requests, done by the service within a day."""

from tunesmith.operations.batches import CancelBatch, CreateBatch, ListBatches, RetrieveBatch
from tunesmith.resources.base import Resource, operation_method, paged

__all__ = ["Batches"]


class Batches(Resource):
    """Jobs of many requests, done by the service within a day."""

    create = operation_method(CreateBatch)
    retrieve = operation_method(RetrieveBatch)
    list = paged(ListBatches)
    cancel = operation_method(CancelBatch)
