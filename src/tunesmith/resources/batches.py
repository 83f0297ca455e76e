"""Jobs of many requests, done by the service within a day."""

from tunesmith.operations.batches import CancelBatch, CreateBatch, ListBatches, RetrieveBatch
from tunesmith.resources.base import Resource
from tunesmith.resources.method import call, paged

__all__ = ["Batches"]


class Batches(Resource):
    """Jobs of many requests, done by the service within a day."""

    create = call(CreateBatch)
    retrieve = call(RetrieveBatch)
    list = paged(ListBatches)
    cancel = call(CancelBatch)
