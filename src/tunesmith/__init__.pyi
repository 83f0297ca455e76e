from tunesmith._version import __version__ as __version__
from tunesmith.backends.azure import AzureBackend as AzureBackend
from tunesmith.backends.base import (
    Backend as Backend,
)
from tunesmith.backends.base import (
    Clock as Clock,
)
from tunesmith.backends.fast.backend import FastBackend as FastBackend
from tunesmith.backends.httpx import HttpxBackend as HttpxBackend
from tunesmith.client import AsyncClient as AsyncClient
from tunesmith.errors import (
    APIConnectionError as APIConnectionError,
)
from tunesmith.errors import (
    APIError as APIError,
)
from tunesmith.errors import (
    APIStatusError as APIStatusError,
)
from tunesmith.errors import (
    APITimeoutError as APITimeoutError,
)
from tunesmith.errors import (
    AuthenticationError as AuthenticationError,
)
from tunesmith.errors import (
    BackendError as BackendError,
)
from tunesmith.errors import (
    BadRequestError as BadRequestError,
)
from tunesmith.errors import (
    ConfigurationError as ConfigurationError,
)
from tunesmith.errors import (
    ConflictError as ConflictError,
)
from tunesmith.errors import (
    DatasetError as DatasetError,
)
from tunesmith.errors import (
    DeadlineExceededError as DeadlineExceededError,
)
from tunesmith.errors import (
    FileRejectedError as FileRejectedError,
)
from tunesmith.errors import (
    InsufficientQuotaError as InsufficientQuotaError,
)
from tunesmith.errors import (
    InternalServerError as InternalServerError,
)
from tunesmith.errors import (
    InvalidRequestError as InvalidRequestError,
)
from tunesmith.errors import (
    InvalidResponseError as InvalidResponseError,
)
from tunesmith.errors import (
    JobCancelledError as JobCancelledError,
)
from tunesmith.errors import (
    JobError as JobError,
)
from tunesmith.errors import (
    JobFailedError as JobFailedError,
)
from tunesmith.errors import (
    NotFoundError as NotFoundError,
)
from tunesmith.errors import (
    PaginationError as PaginationError,
)
from tunesmith.errors import (
    PermissionDeniedError as PermissionDeniedError,
)
from tunesmith.errors import (
    RateLimitError as RateLimitError,
)
from tunesmith.errors import (
    RequestTooLargeError as RequestTooLargeError,
)
from tunesmith.errors import (
    StreamError as StreamError,
)
from tunesmith.errors import (
    StreamInterruptedError as StreamInterruptedError,
)
from tunesmith.errors import (
    TunesmithError as TunesmithError,
)
from tunesmith.errors import (
    UnknownOutcomeError as UnknownOutcomeError,
)
from tunesmith.errors import (
    UnprocessableEntityError as UnprocessableEntityError,
)
from tunesmith.lifecycle import (
    FineTuneHandle as FineTuneHandle,
)
from tunesmith.lifecycle import (
    fine_tune as fine_tune,
)
from tunesmith.protocol.message import (
    Request as Request,
)
from tunesmith.protocol.message import (
    Response as Response,
)
from tunesmith.protocol.structured import pydantic_function_tool as pydantic_function_tool
from tunesmith.resources.stream import Stream as Stream
from tunesmith.service.memory_backend import MemoryBackend as MemoryBackend
from tunesmith.types.base import Page as Page
from tunesmith.types.response import ResponseInfo as ResponseInfo
