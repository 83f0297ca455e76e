from tunesmith._version import __version__ as __version__
from tunesmith.backends.azure import AzureBackend as AzureBackend
from tunesmith.backends.base import (
    Backend as Backend,
    Clock as Clock,
)
from tunesmith.backends.fast.backend import FastBackend as FastBackend
from tunesmith.backends.httpx import HttpxBackend as HttpxBackend
from tunesmith.client import AsyncClient as AsyncClient
from tunesmith.errors import (
    APIConnectionError as APIConnectionError,
    APIError as APIError,
    APIStatusError as APIStatusError,
    APITimeoutError as APITimeoutError,
    AuthenticationError as AuthenticationError,
    BackendError as BackendError,
    BadRequestError as BadRequestError,
    ConfigurationError as ConfigurationError,
    ConflictError as ConflictError,
    DatasetError as DatasetError,
    DeadlineExceededError as DeadlineExceededError,
    FileRejectedError as FileRejectedError,
    InsufficientQuotaError as InsufficientQuotaError,
    InternalServerError as InternalServerError,
    InvalidRequestError as InvalidRequestError,
    InvalidResponseError as InvalidResponseError,
    JobCancelledError as JobCancelledError,
    JobError as JobError,
    JobFailedError as JobFailedError,
    NotFoundError as NotFoundError,
    PaginationError as PaginationError,
    PermissionDeniedError as PermissionDeniedError,
    RateLimitError as RateLimitError,
    RequestTooLargeError as RequestTooLargeError,
    StreamError as StreamError,
    StreamInterruptedError as StreamInterruptedError,
    TunesmithError as TunesmithError,
    UnknownOutcomeError as UnknownOutcomeError,
    UnprocessableEntityError as UnprocessableEntityError,
)
from tunesmith.fine_tuning_run import (
    FineTuneHandle as FineTuneHandle,
    fine_tune as fine_tune,
)
from tunesmith.operations.param_types import (
    NOT_GIVEN as NOT_GIVEN,
    not_given as not_given,
    omit as omit,
)
from tunesmith.protocol.message import (
    Request as Request,
    Response as Response,
)
from tunesmith.protocol.structured import pydantic_function_tool as pydantic_function_tool
from tunesmith.resources.stream import Stream as Stream
from tunesmith.service.memory_backend import MemoryBackend as MemoryBackend
from tunesmith.types.base import Page as Page
from tunesmith.types.response import ResponseInfo as ResponseInfo
from tunesmith.webhooks import InvalidWebhookSignatureError as InvalidWebhookSignatureError
