"""What a service says when something went wrong."""

from tunesmith.types.base import APIModel

__all__ = ["ErrorObject"]


class ErrorObject(APIModel):
    """The `error` of an error answer, or of an event inside a stream.

    Source: https://platform.openai.com/docs/guides/error-codes
    """

    message: str | None = None
    type: str | None = None
    param: str | None = None
    code: str | int | None = None
