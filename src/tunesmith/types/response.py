"""Metadata of a response."""

from collections.abc import Mapping
from dataclasses import dataclass

from tunesmith.types.rate_limits import RateLimits

# Azure and proxies rename the header.
_REQUEST_IDS = ("x-request-id", "apim-request-id", "x-ms-request-id", "request-id")


def request_id_of(headers: Mapping[str, str]) -> str | None:
    """Return the service's ID of a request from response headers, names in lower case."""
    return next((headers[name] for name in _REQUEST_IDS if headers.get(name)), None)


@dataclass(frozen=True, slots=True)
class ResponseInfo:
    """Metadata of the response that an object was received in.

    Args:
        status: The HTTP status.
        headers: The headers, names in lower case.
        attempts: Number of times the request was sent.
        elapsed: Seconds from the start of the attempt to the end of the response.

    Example:
        ```python
        completion = await client.completions.create(model="ada", prompt="Hello")
        print(completion.response.request_id)
        print(completion.response.rate_limits.remaining_requests)
        ```
    """

    status: int
    headers: Mapping[str, str]
    attempts: int = 1
    elapsed: float = 0.0

    @property
    def request_id(self) -> str | None:
        """The service's ID of the request, for support requests."""
        return request_id_of(self.headers)

    @property
    def rate_limits(self) -> RateLimits:
        """Remaining requests and tokens."""
        return RateLimits.from_headers(self.headers)
