"""Judgements of whether a text may be harmful."""

from tunesmith.operations.moderations import CreateModeration
from tunesmith.resources.base import Resource
from tunesmith.resources.method import call

__all__ = ["Moderations"]


class Moderations(Resource):
    """Judgements of whether a text may be harmful."""

    create = call(CreateModeration)
