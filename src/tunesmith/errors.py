"""Every error that tunesmith raises.

```
TunesmithError
├── ConfigurationError            the client cannot be built as asked
├── InvalidRequestError           a wrong parameter: nothing was sent      (also a ValueError)
├── DatasetError                  a data file cannot be read or used       (also a ValueError)
├── BackendError                  what a backend raises; callers see an APIError
├── APIError                      a call that was made and went wrong
│   ├── APIStatusError            the service answered with an error status
│   │   ├── BadRequestError               400
│   │   ├── AuthenticationError           401
│   │   ├── PermissionDeniedError         403
│   │   ├── NotFoundError                 404
│   │   ├── ConflictError                 409
│   │   ├── RequestTooLargeError          413
│   │   ├── UnprocessableEntityError      422
│   │   ├── RateLimitError                429, wait and try again
│   │   ├── InsufficientQuotaError        429, waiting will not help
│   │   └── InternalServerError           5xx
│   ├── APIConnectionError        no answer came
│   │   ├── APITimeoutError               within `timeout`                (also a TimeoutError)
│   │   └── StreamInterruptedError        it broke off after it had begun
│   ├── InvalidResponseError      an answer that cannot be understood
│   ├── StreamError               the service reported an error inside a stream
│   ├── UnknownOutcomeError       a create whose answer was lost, and that cannot be looked up
│   └── PaginationError           a list that would never end
├── DeadlineExceededError         the whole call took longer than `deadline` (also a TimeoutError)
├── FileRejectedError             the service found an uploaded file to be wrong
└── JobError                      a fine-tuning job is over without a model
    ├── JobFailedError
    └── JobCancelledError
```

Errors carry plain data, so they pickle; none of them ever holds a key.
"""

from collections.abc import Mapping, Sequence
from typing import Literal, TypedDict, Unpack


class TunesmithError(Exception):
    """The root: `except TunesmithError` catches whatever this package raises on purpose."""

    def __reduce__(self) -> tuple[object, ...]:
        # Exception.__reduce__ calls the class with `args` alone, which loses keyword-only data.
        return _rebuild, (type(self), self.args, self.__dict__)


def _rebuild(
    cls: type[TunesmithError], args: tuple[object, ...], state: dict[str, object]
) -> TunesmithError:
    error = cls.__new__(cls, *args)
    error.args = args
    error.__dict__.update(state)
    return error


class ConfigurationError(TunesmithError):
    """The client, or an optional part of the package, cannot be set up as asked."""


class InvalidRequestError(TunesmithError, ValueError):
    """A parameter is wrong, and nothing was sent.

    Args:
        message: What is wrong and what would be right.
        operation: The operation, such as `files.create`.
        param: The parameter at fault, such as `messages.0.role`.
    """

    def __init__(
        self, message: str, *, operation: str | None = None, param: str | None = None
    ) -> None:
        super().__init__(message)
        self.operation = operation
        self.param = param


class DatasetError(TunesmithError, ValueError):
    """A data file cannot be read, or not be used as asked.

    Args:
        message: What is wrong, without the place.
        file: The file's name as the user gave it.
        line: The line, counted from 1.
        field: The column or key.
        remedy: What to do about it.
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
    """The one error a backend may raise: no answer came, or it broke off.

    Args:
        message: What happened, in words; never a header or a key.
        phase: How far the call had come. After `connect` the service cannot have seen the request;
            after `write`, `read` and `timeout` it may have.
    """

    def __init__(
        self,
        message: str,
        *,
        phase: Phase,
    ) -> None:
        super().__init__(message)
        self.phase: Phase = phase


class CallInfo(TypedDict, total=False):
    """What every `APIError` knows of its call."""

    operation: str | None
    attempts: int
    request_id: str | None


class APIError(TunesmithError):
    """A call that was made and went wrong.

    Args:
        message: What happened and what to do next.
        operation: The operation, such as `completions.create`.
        attempts: How many times it was sent.
        request_id: The service's id of the request, for its support.
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
    """The service answered with an error status.

    Args:
        message: The service's own words.
        status: The HTTP status.
        type: The service's error type, such as `invalid_request_error`.
        code: The service's error code, such as `model_not_found`.
        param: The parameter that the service names.
        headers: The answer's headers, names in lower case.
        body: The beginning of the answer's body, as text.
        retry_after_s: Seconds the service asks to wait.
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
        body: str = "",
        retry_after_s: float | None = None,
        **facts: Unpack[CallInfo],
    ) -> None:
        super().__init__(message, **facts)
        self.status = status
        self.type = type
        self.code = code
        self.param = param
        self.headers = dict(headers or {})
        self.body = body
        self.retry_after_s = retry_after_s

    @property
    def status_code(self) -> int:
        """The status, under the official SDK's name."""
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
    """400: the service does not accept the request as it is."""


class AuthenticationError(APIStatusError):
    """401: the key is missing, wrong or revoked."""


class PermissionDeniedError(APIStatusError):
    """403: the key is right, but may not do this."""


class NotFoundError(APIStatusError):
    """404: there is no such object, model or path."""


class ConflictError(APIStatusError):
    """409: the object is not in a state that allows it."""


class RequestTooLargeError(APIStatusError):
    """413: the request's body is larger than the service takes."""


class UnprocessableEntityError(APIStatusError):
    """422: the request is well formed, but a value is wrong."""


class RateLimitError(APIStatusError):
    """429: too many requests or tokens in a while; wait `retry_after_s` and try again."""


class InsufficientQuotaError(APIStatusError):
    """429 with the code `insufficient_quota`: the account has run out; it is never retried."""


class InternalServerError(APIStatusError):
    """5xx: the service failed."""


class APIConnectionError(APIError):
    """No answer came: the service could not be reached, or the connection broke."""


class APITimeoutError(APIConnectionError, TimeoutError):
    """An attempt took longer than `timeout`."""


class StreamInterruptedError(APIConnectionError):
    """An answer broke off after it had begun; what came before it was handed over."""


class InvalidResponseError(APIError):
    """An answer that cannot be understood.

    Args:
        message: What was expected.
        excerpt: The beginning of the answer's body.
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
    """The service reported an error inside a stream that had begun well.

    Args:
        message: The service's own words.
        type, code, param: As of `APIStatusError`.
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
    """A create whose answer was lost, and that cannot be told from others by looking it up.

    Args:
        message: What happened and what to do next.
        candidates: Ids of the objects that may be it; empty if none was seen.
    """

    def __init__(
        self,
        message: str,
        *,
        candidates: Sequence[str] = (),
        **facts: Unpack[CallInfo],
    ) -> None:
        super().__init__(message, **facts)
        self.candidates = tuple(candidates)


class PaginationError(APIError):
    """A list that comes back to where it was: it would never end."""


class DeadlineExceededError(TunesmithError, TimeoutError):
    """The whole call, with its attempts, pauses and reads, took longer than `deadline`.

    Args:
        message: What was being done when the time was up.
        operation: The operation, such as `completions.create`.
        deadline_s: The time it had, in seconds.
        attempts: How many times it was sent.
    """

    def __init__(
        self,
        message: str,
        *,
        operation: str | None = None,
        deadline_s: float | None = None,
        attempts: int = 0,
    ) -> None:
        super().__init__(message)
        self.operation = operation
        self.deadline_s = deadline_s
        self.attempts = attempts


class FileRejectedError(TunesmithError):
    """The service found an uploaded file to be wrong.

    Args:
        message: The service's reason.
        file_id: The file.
    """

    def __init__(self, message: str, *, file_id: str) -> None:
        super().__init__(message)
        self.file_id = file_id


class JobError(TunesmithError):
    """A fine-tuning job is over without a model.

    Args:
        message: The service's reason.
        job_id: The job.
        code: The service's code, such as `invalid_training_file`.
        param: What the service names as the cause, such as `training_file`.
    """

    def __init__(
        self, message: str, *, job_id: str, code: str | None = None, param: str | None = None
    ) -> None:
        super().__init__(message)
        self.job_id = job_id
        self.code = code
        self.param = param


class JobFailedError(JobError):
    """The job ended as `failed`; `code` and `param` are the service's."""


class JobCancelledError(JobError):
    """The job was cancelled, here or elsewhere."""
