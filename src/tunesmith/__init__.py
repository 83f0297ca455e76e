"""An asynchronous SDK for the fine-tuning life cycle of GPT models and for batch jobs.

```python
import tunesmith


async def main() -> None:
    async with tunesmith.AsyncClient() as client:
        file = await client.files.upload("train.jsonl", purpose="fine-tune")
        job = await client.fine_tuning.jobs.create(model="davinci-002", training_file=file.id)
        async for event in client.fine_tuning.jobs.follow(job):
            print(event.message)
```
"""

from typing import TYPE_CHECKING

from tunesmith._lazy import lazy_names
from tunesmith.errors import (
    APIConnectionError,
    APIError,
    APIStatusError,
    APITimeoutError,
    AuthenticationError,
    BackendError,
    BadRequestError,
    ConfigurationError,
    ConflictError,
    DatasetError,
    DeadlineExceededError,
    FileRejectedError,
    InsufficientQuotaError,
    InternalServerError,
    InvalidRequestError,
    InvalidResponseError,
    JobCancelledError,
    JobError,
    JobFailedError,
    NotFoundError,
    PaginationError,
    PermissionDeniedError,
    RateLimitError,
    RequestTooLargeError,
    StreamError,
    StreamInterruptedError,
    TunesmithError,
    UnknownOutcomeError,
    UnprocessableEntityError,
)

if TYPE_CHECKING:
    from tunesmith._version import __version__
    from tunesmith.backends.azure import AzureBackend
    from tunesmith.backends.base import Backend, Clock
    from tunesmith.backends.fast.backend import FastBackend
    from tunesmith.backends.httpx import HttpxBackend
    from tunesmith.client import AsyncClient
    from tunesmith.lifecycle import FineTuneHandle, fine_tune
    from tunesmith.protocol.message import Request, Response
    from tunesmith.protocol.structured import pydantic_function_tool
    from tunesmith.resources.stream import Stream
    from tunesmith.service.memory_backend import MemoryBackend
    from tunesmith.types.base import Page
    from tunesmith.types.response import ResponseInfo

__all__ = [
    "APIConnectionError",
    "APIError",
    "APIStatusError",
    "APITimeoutError",
    "AsyncClient",
    "AuthenticationError",
    "AzureBackend",
    "Backend",
    "BackendError",
    "BadRequestError",
    "Clock",
    "ConfigurationError",
    "ConflictError",
    "DatasetError",
    "DeadlineExceededError",
    "FastBackend",
    "FileRejectedError",
    "FineTuneHandle",
    "HttpxBackend",
    "InsufficientQuotaError",
    "InternalServerError",
    "InvalidRequestError",
    "InvalidResponseError",
    "JobCancelledError",
    "JobError",
    "JobFailedError",
    "MemoryBackend",
    "NotFoundError",
    "Page",
    "PaginationError",
    "PermissionDeniedError",
    "RateLimitError",
    "Request",
    "RequestTooLargeError",
    "Response",
    "ResponseInfo",
    "Stream",
    "StreamError",
    "StreamInterruptedError",
    "TunesmithError",
    "UnknownOutcomeError",
    "UnprocessableEntityError",
    "__version__",
    "fine_tune",
    "pydantic_function_tool",
]

_LOADED_ON_FIRST_USE = {
    "__version__": "tunesmith._version",
    "AsyncClient": "tunesmith.client",
    "AzureBackend": "tunesmith.backends.azure",
    "Backend": "tunesmith.backends.base",
    "Clock": "tunesmith.backends.base",
    "FastBackend": "tunesmith.backends.fast.backend",
    "FineTuneHandle": "tunesmith.lifecycle",
    "HttpxBackend": "tunesmith.backends.httpx",
    "MemoryBackend": "tunesmith.service.memory_backend",
    "Page": "tunesmith.types.base",
    "Request": "tunesmith.protocol.message",
    "Response": "tunesmith.protocol.message",
    "ResponseInfo": "tunesmith.types.response",
    "Stream": "tunesmith.resources.stream",
    "fine_tune": "tunesmith.lifecycle",
    "pydantic_function_tool": "tunesmith.protocol.structured",
}
"""Where the other public names are: importing tunesmith loads none of their modules."""


__getattr__ = lazy_names(__name__, _LOADED_ON_FIRST_USE)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
