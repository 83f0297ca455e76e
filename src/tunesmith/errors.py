"""All errors raised by tunesmith: plain data that can be pickled, never with an API key.

```
TunesmithError
├── ConfigurationError            invalid configuration
├── InvalidRequestError           invalid parameter; nothing was sent      (also a ValueError)
├── DatasetError                  data file cannot be read or used         (also a ValueError)
├── BackendError                  raised by backends; callers see an APIError
├── APIError                      failed call
│   ├── APIStatusError            error status
│   │   ├── BadRequestError               400
│   │   ├── AuthenticationError           401
│   │   ├── PermissionDeniedError         403
│   │   ├── NotFoundError                 404
│   │   ├── ConflictError                 409
│   │   ├── RequestTooLargeError          413
│   │   ├── UnprocessableEntityError      422
│   │   ├── RateLimitError                429, retry later
│   │   ├── InsufficientQuotaError        429, retrying does not help
│   │   └── InternalServerError           5xx
│   ├── APIConnectionError        no response
│   │   ├── APITimeoutError               no response within `timeout`    (also a TimeoutError)
│   │   └── StreamInterruptedError        response ended early
│   ├── InvalidResponseError      response cannot be parsed
│   ├── StreamError               error reported inside a stream
│   ├── UnknownOutcomeError       unknown whether a create succeeded
│   └── PaginationError           endless list
├── DeadlineExceededError         call took longer than `deadline`         (also a TimeoutError)
├── FileRejectedError             uploaded file was rejected by the service
└── JobError                      fine-tuning job ended without a model
    ├── JobFailedError
    └── JobCancelledError
```
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypedDict, Unpack

from tunesmith._lazy import missing_attribute


class TunesmithError(Exception):
    """Base class of all errors of this package."""

    def __reduce__(self) -> tuple[object, ...]:
        # Exception.__reduce__ passes only `args`, which loses keyword-only data.
        return _rebuild, (type(self), self.args, self.__dict__)

    if not TYPE_CHECKING:  # type checkers report unknown names themselves

        def __getattr__(self, name: str) -> Any:
            raise missing_attribute(self, ("error",), name)


def _rebuild(
    cls: type[TunesmithError], args: tuple[object, ...], state: dict[str, object]
) -> TunesmithError:
    error = cls.__new__(cls, *args)
    error.args = args
    error.__dict__.update(state)
    return error


class ConfigurationError(TunesmithError):
    """Invalid configuration of the client or of an optional part of the package."""


class InvalidRequestError(TunesmithError, ValueError):
    """Invalid parameter; nothing was sent.

    Args:
        message: The problem and its fix.
        operation: The operation, such as `files.create`.
        param: The invalid parameter, such as `messages.0.role`.
    """

    def __init__(
        self, message: str, *, operation: str | None = None, param: str | None = None
    ) -> None:
        super().__init__(message)
        self.operation = operation
        self.param = param


class DatasetError(TunesmithError, ValueError):
    """Data file that cannot be read or used.

    Args:
        message: The problem, without its location.
        file: Name of the file, as passed by the user.
        line: Line number, starting at 1.
        field: The column or key.
        remedy: How to fix it.
    """

    def __init__(
        self,
        message: str,
        *,
        file: str | None = None,
        line: int | None = None,
        field: str | None = None,
        remedy: str | None = None,
    ) -> None:
        place = ":".join(str(part) for part in (file, line) if part is not None)
        if field is not None:
            place = f"{place} [{field}]" if place else f"[{field}]"
        text = f"{place}: {message}" if place else message
        super().__init__(f"{text} {remedy}" if remedy else text)
        self.message = message
        self.file = file
        self.line = line
        self.field = field
        self.remedy = remedy


Phase = Literal["connect", "connect_timeout", "write", "read", "timeout", "closed"]


class BackendError(TunesmithError):
    """Connection failure, the only error that backends raise.

    Args:
        message: Description without headers and keys.
        phase: Phase of the request. The service cannot have received a request that failed in
            `connect` or `connect_timeout`; after `write`, `read` and `timeout` it may have.
    """

    def __init__(self, message: str, *, phase: Phase) -> None:
        super().__init__(message)
        self.phase: Phase = phase


class CallInfo(TypedDict, total=False):
    """Fields of every `APIError`."""

    operation: str | None
    attempts: int
    request_id: str | None


class APIError(TunesmithError):
    """Failed call.

    Args:
        message: The problem and its fix.
        operation: The operation, such as `completions.create`.
        attempts: Number of times the request was sent.
        request_id: The service's ID of the request, for support requests.
    """

    def __init__(
        self,
        message: str,
        *,
        operation: str | None = None,
        attempts: int = 1,
        request_id: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.operation = operation
        self.attempts = attempts
        self.request_id = request_id


class APIStatusError(APIError):
    """Response with an error status.

    Args:
        message: The service's message.
        status: The HTTP status.
        type: The service's error type, such as `invalid_request_error`.
        code: The service's error code, such as `model_not_found`.
        param: The parameter named by the service.
        headers: Response headers, names in lower case.
        body: The service's error object: message, type, param and code; text if it sent no JSON.
        text: Beginning of the response body.
        retry_after: Seconds to wait before retrying, if the service asks for it.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int,
        type: str | None = None,
        code: str | None = None,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
        body: Any = None,
        text: str = "",
        retry_after: float | None = None,
        **facts: Unpack[CallInfo],
    ) -> None:
        super().__init__(message, **facts)
        self.status = status
        self.type = type
        self.code = code
        self.param = param
        self.headers = dict(headers or {})
        self.body = body
        self.text = text
        self.retry_after = retry_after

    @property
    def status_code(self) -> int:
        """Alias of `status`, as in the official SDK."""
        return self.status

    def __str__(self) -> str:
        details = [f"status {self.status}"]
        details += [f"code {self.code}"] if self.code else []
        details += [f"param {self.param}"] if self.param else []
        details += [f"request {self.request_id}"] if self.request_id else []
        details += [f"after {self.attempts} attempts"] if self.attempts > 1 else []
        where = f"{self.operation}: " if self.operation else ""
        return f"{where}{self.message} ({', '.join(details)})"


class BadRequestError(APIStatusError):
    """400: the request is invalid."""


class AuthenticationError(APIStatusError):
    """401: the API key is missing or invalid."""


class PermissionDeniedError(APIStatusError):
    """403: the API key lacks permission."""


class NotFoundError(APIStatusError):
    """404: the object, model or path does not exist."""


class ConflictError(APIStatusError):
    """409: the state of the object does not allow the operation."""


class RequestTooLargeError(APIStatusError):
    """413: the request body is too large."""


class UnprocessableEntityError(APIStatusError):
    """422: the request is well-formed, but a value is invalid."""


class RateLimitError(APIStatusError):
    """429: a rate limit is exceeded; retry after `retry_after` seconds."""


class InsufficientQuotaError(APIStatusError):
    """429 with the code `insufficient_quota`: the quota is used up. Never retried."""


class InternalServerError(APIStatusError):
    """5xx: the service failed."""


class APIConnectionError(APIError):
    """No response: the connection failed."""


class APITimeoutError(APIConnectionError, TimeoutError):
    """Attempt that took longer than `timeout`."""


class StreamInterruptedError(APIConnectionError):
    """Response that ended early, after its beginning was delivered."""


class InvalidResponseError(APIError):
    """Response that cannot be parsed.

    Args:
        message: The problem.
        excerpt: Beginning of the response body.
        status: The HTTP status.
    """

    def __init__(
        self,
        message: str,
        *,
        excerpt: str = "",
        status: int | None = None,
        **facts: Unpack[CallInfo],
    ) -> None:
        super().__init__(message, **facts)
        self.excerpt = excerpt
        self.status = status


class StreamError(APIError):
    """Error reported by the service inside a stream.

    Args:
        message: The service's message.
        type: The service's error type.
        code: The service's error code.
        param: The parameter named by the service.
    """

    def __init__(
        self,
        message: str,
        *,
        type: str | None = None,
        code: str | None = None,
        param: str | None = None,
        **facts: Unpack[CallInfo],
    ) -> None:
        super().__init__(message, **facts)
        self.type = type
        self.code = code
        self.param = param


class UnknownOutcomeError(APIError):
    """Create whose response was lost, and whose outcome could not be determined.

    Args:
        message: The problem and its fix.
        candidates: IDs of objects that may be the created one.
    """

    def __init__(
        self, message: str, *, candidates: Sequence[str] = (), **facts: Unpack[CallInfo]
    ) -> None:
        super().__init__(message, **facts)
        self.candidates = tuple(candidates)


class PaginationError(APIError):
    """Endless list: a page ends at the same object as an earlier one."""


class DeadlineExceededError(TunesmithError, TimeoutError):
    """Call that took longer than `deadline`, including retries, pauses and reads.

    Args:
        message: Activity during which the deadline passed.
        operation: The operation, such as `completions.create`.
        deadline: The deadline, in seconds.
        attempts: Number of times the request was sent.
    """

    def __init__(
        self,
        message: str,
        *,
        operation: str | None = None,
        deadline: float | None = None,
        attempts: int = 0,
    ) -> None:
        super().__init__(message)
        self.operation = operation
        self.deadline = deadline
        self.attempts = attempts


class FileRejectedError(TunesmithError):
    """Uploaded file that was rejected by the service.

    Args:
        message: The service's reason.
        file_id: ID of the file.
    """

    def __init__(self, message: str, *, file_id: str) -> None:
        super().__init__(message)
        self.file_id = file_id


class JobError(TunesmithError):
    """Fine-tuning job that ended without a model.

    Args:
        message: The service's reason.
        job_id: ID of the job.
        code: The service's error code, such as `invalid_training_file`.
        param: The parameter named by the service, such as `training_file`.
    """

    def __init__(
        self, message: str, *, job_id: str, code: str | None = None, param: str | None = None
    ) -> None:
        super().__init__(message)
        self.job_id = job_id
        self.code = code
        self.param = param


class JobFailedError(JobError):
    """Job that failed."""


class JobCancelledError(JobError):
    """Job that was cancelled."""
