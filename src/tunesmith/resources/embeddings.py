"""Embeddings of texts."""

from tunesmith.operations.embeddings import CreateEmbedding
from tunesmith.resources.base import Resource, operation_method

__all__ = ["Embeddings"]


class Embeddings(Resource):
    """Embeddings of texts."""

    create = operation_method(CreateEmbedding)
