"""What the service answers when it cannot do what was asked."""

from collections.abc import Mapping
from typing import Any

from tunesmith.protocol.error_body import error_body

__all__ = [
    "ServiceError",
    "fine_tune_not_found",
    "internal_error",
    "invalid",
    "model_not_found",
    "no_such_file",
    "no_such_object",
    "unknown_url",
]


class ServiceError(Exception):
    """An error that the caller of the API sees, with its HTTP status.

    Args:
        status: The HTTP status.
        message: What went wrong.
        type: The API's class of error.
        param: The parameter that is to blame.
        code: The API's code of the error.
        headers: Headers to send with the error, names in lower case.
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
        """Give the body of the error's response."""
        return error_body(self.message, type=self.type, param=self.param, code=self.code)


def invalid(message: str, param: str | None = None, code: str | None = None) -> ServiceError:
    """Refuse a request: 400."""
    return ServiceError(400, message, param=param, code=code)


def no_such_object(kind: str, id: str) -> ServiceError:
    """Tell that there is no object of a kind, such as `Upload`, with this id: 404."""
    return ServiceError(404, f"No such {kind} object: {id}", param="id")


def no_such_file(id: str) -> ServiceError:
    """Tell that there is no file with this id: 404."""
    return no_such_object("File", id)


def fine_tune_not_found(id: str) -> ServiceError:
    """Tell that there is no fine-tuning job with this id: 404."""
    return ServiceError(
        404,
        f"Could not find fine tune: {id}",
        param="fine_tune_id",
        code="fine_tune_not_found",
    )


def model_not_found(name: str) -> ServiceError:
    """Tell that there is no model of this name: 404."""
    return ServiceError(
        404, f"The model '{name}' does not exist", param="model", code="model_not_found"
    )


def unknown_url(method: str, path: str) -> ServiceError:
    """Tell that nothing has this URL: 404."""
    return ServiceError(
        404,
        f"Unknown request URL: {method} {path}. Please check the URL for typos, or see the docs "
        "at https://platform.openai.com/docs/api-reference/.",
        code="unknown_url",
    )


def internal_error() -> ServiceError:
    """Tell that the service itself is at fault: 500."""
    return ServiceError(
        500,
        "The server had an error while processing your request. Sorry about that!",
        type="server_error",
    )
