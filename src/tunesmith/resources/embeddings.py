"""Texts as vectors."""

from tunesmith.operations.embeddings import CreateEmbedding
from tunesmith.resources.base import Resource
from tunesmith.resources.method import call

__all__ = ["Embeddings"]


class Embeddings(Resource):
    """Texts as vectors."""

    create = call(CreateEmbedding)
