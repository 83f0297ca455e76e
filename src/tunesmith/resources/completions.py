"""Continuations of a prompt."""

from tunesmith.operations.completions import CreateCompletion
from tunesmith.resources.base import Resource, operation_method, streamed

__all__ = ["Completions"]


class Completions(Resource):
    """Continuations of a prompt."""

    create = operation_method(CreateCompletion)
    stream = streamed(CreateCompletion)
