"""Errors in responses and streams."""

from tunesmith.types.base import APIModel


class ErrorObject(APIModel):
    """The `error` of an error response, or of an event in a stream.

    Source: https://platform.openai.com/docs/guides/error-codes
    """

    message: str | None = None
    type: str | None = None
    param: str | None = None
    code: str | int | None = None
