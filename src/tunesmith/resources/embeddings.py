"""Texts as vectors."""

from tunesmith.operations.embeddings import CreateEmbedding
from tunesmith.resources.base import Resource, operation_method

__all__ = ["Embeddings"]


class Embeddings(Resource):
    """Texts as vectors."""

    create = operation_method(CreateEmbedding)
