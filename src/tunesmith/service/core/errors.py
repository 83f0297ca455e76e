"""Errors of the API, as the service raises them."""

from collections.abc import Mapping
from typing import Any

from tunesmith.errors import ConfigurationError
from tunesmith.protocol.error_body import error_body

__all__ = [
    "UPSTREAM_UNAVAILABLE",
    "ServiceError",
    "StoreError",
    "StubError",
    "fine_tune_not_found",
    "internal_error",
    "invalid",
    "model_not_found",
    "object_not_found",
    "unknown_url",
]


UPSTREAM_UNAVAILABLE = "upstream_unavailable"
"""Code of the error if the server behind this one was not reached by a request."""


class ServiceError(Exception):
    """An API error with its HTTP status.

    Args:
        status: The HTTP status.
        message: The problem and its fix.
        type: The API's class of error.
        param: The invalid parameter.
        code: The API's error code.
        headers: Response headers, names in lower case.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        type: str = "invalid_request_error",
        param: str | None = None,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.type = type
        self.param = param
        self.code = code
        self.headers: Mapping[str, str] = headers or {}

    def body(self) -> dict[str, Any]:
        """Return the body of the error response."""
        return error_body(self.message, type=self.type, param=self.param, code=self.code)


class StoreError(ConfigurationError):
    """The state of the service cannot be read or written; the message says what to do."""


class StubError(AssertionError):
    """A stub's function raised or returned an invalid reply; see the error's cause.

    It is a mistake of the test, not an API error, so it is raised through the client and not
    retried. A server answers 500 and logs it.
    """


def invalid(message: str, param: str | None = None, code: str | None = None) -> ServiceError:
    """Return an error for an invalid request (400)."""
    return ServiceError(400, message, param=param, code=code)


def object_not_found(kind: str, id: str) -> ServiceError:
    """Return an error for an unknown id of a kind such as `Upload` (404)."""
    return ServiceError(404, f"No such {kind} object: {id}", param="id")


def fine_tune_not_found(id: str) -> ServiceError:
    """Return an error for an unknown job or fine-tune (404)."""
    message = f"Could not find fine tune: {id}"
    return ServiceError(404, message, param="fine_tune_id", code="fine_tune_not_found")


def model_not_found(name: str) -> ServiceError:
    """Return an error for an unknown model (404)."""
    message = f"The model '{name}' does not exist"
    return ServiceError(404, message, param="model", code="model_not_found")


def unknown_url(method: str, path: str) -> ServiceError:
    """Return an error for an unknown URL (404)."""
    return ServiceError(
        404,
        f"Unknown request URL: {method} {path}. Please check the URL for typos, or see the docs "
        "at https://platform.openai.com/docs/api-reference/.",
        code="unknown_url",
    )


def internal_error() -> ServiceError:
    """Return an error for a bug of the service (500)."""
    message = "The server had an error while processing your request. Sorry about that!"
    return ServiceError(500, message, type="server_error")
