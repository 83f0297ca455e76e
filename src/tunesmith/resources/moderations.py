"""Judgements of whether a text may be harmful."""

from tunesmith.operations.moderations import CreateModeration
from tunesmith.resources.base import Resource, operation_method

__all__ = ["Moderations"]


class Moderations(Resource):
    """Judgements of whether a text may be harmful."""

    create = operation_method(CreateModeration)
