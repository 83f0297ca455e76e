"""Completions of prompts."""

from tunesmith.operations.completions import CreateCompletion
from tunesmith.resources.base import Resource, operation_method, streamed

__all__ = ["Completions"]


class Completions(Resource):
    """Completions of prompts."""

    create = operation_method(CreateCompletion)
    stream = streamed(CreateCompletion)
