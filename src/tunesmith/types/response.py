"""What is known of a response beside its body."""

from collections.abc import Mapping
from dataclasses import dataclass

from tunesmith.types.rate_limits import RateLimits

__all__ = ["ResponseInfo", "request_id_of"]


# Azure and proxies rename it.
_REQUEST_IDS = ("x-request-id", "apim-request-id", "x-ms-request-id", "request-id")


def request_id_of(headers: Mapping[str, str]) -> str | None:
    """Find the service's id of a request.

    Args:
        headers: The answer's headers, names in lower case.
    """
    return next((headers[name] for name in _REQUEST_IDS if headers.get(name)), None)


@dataclass(frozen=True, slots=True)
class ResponseInfo:
    """The response that an answer came in.

    Args:
        status: The HTTP status.
        headers: The headers, names in lower case.
        attempts: How many times the request was sent.
        elapsed_s: Seconds from the first attempt to the end of the answer's headers.

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
    elapsed_s: float = 0.0

    @property
    def request_id(self) -> str | None:
        """The service's id of the request, for its support."""
        return request_id_of(self.headers)

    @property
    def rate_limits(self) -> RateLimits:
        """How many requests and tokens are left, as far as the service tells."""
        return RateLimits.from_headers(self.headers)
