"""Moderations of texts and images."""

from tunesmith.operations.moderations import CreateModeration
from tunesmith.resources.base import Resource, operation_method

__all__ = ["Moderations"]


class Moderations(Resource):
    """Moderations of texts and images."""

    create = operation_method(CreateModeration)
