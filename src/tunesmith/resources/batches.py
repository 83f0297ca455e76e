"""Batches: many requests in one file, processed within 24 hours."""

from tunesmith.operations.batches import CancelBatch, CreateBatch, ListBatches, RetrieveBatch
from tunesmith.resources.base import Resource, operation_method, paged

__all__ = ["Batches"]


class Batches(Resource):
    """Batches: many requests in one file, processed within 24 hours."""

    create = operation_method(CreateBatch)
    retrieve = operation_method(RetrieveBatch)
    list = paged(ListBatches)
    cancel = operation_method(CancelBatch)
