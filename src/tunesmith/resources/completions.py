"""Continuations of a prompt."""

from tunesmith.operations.completions import CreateCompletion
from tunesmith.resources.base import Resource
from tunesmith.resources.method import call, streamed

__all__ = ["Completions"]


class Completions(Resource):
    """Continuations of a prompt."""

    create = call(CreateCompletion)
    stream = streamed(CreateCompletion)
