"""Rows: the requests of a job, each with a key that stays the same from run to run."""

import hashlib
import re
from typing import NamedTuple

from tunesmith.batch.endpoints import Endpoint

__all__ = ["RequestRow", "content_key", "duplicate_key", "is_reserved", "nth_key"]

_RESERVED = re.compile(r"~duplicate~\d+$|^[0-9a-f]{32}~\d+$", re.ASCII)

_BYTES_PER_TOKEN = 4
"""Average of English prose; the estimate is replaced by the response's usage."""


class RequestRow(NamedTuple):
    """Request of a job.

    Attributes:
        key: Its key in all files of the job: the `custom_id`, or a hash of the request.
        line: Line of the source, or position, counting from 1.
        endpoint: Its endpoint.
        body: Its body, as JSON.
        max_completion_tokens: Maximum output tokens; None if there is no limit.
    """

    key: str
    line: int
    endpoint: Endpoint
    body: bytes
    max_completion_tokens: int | None

    @property
    def estimated_tokens(self) -> int:
        """Estimated input tokens."""
        return len(self.body) // _BYTES_PER_TOKEN + 1


def content_key(endpoint: Endpoint, body: bytes) -> str:
    """Return the key of a request without a `custom_id`, independent of its position.

    Example:
        ```python
        from tunesmith.batch.endpoints import endpoint_of
        from tunesmith.batch.rows import content_key

        url = endpoint_of("/v1/completions")
        assert content_key(url, b'{"prompt":"a"}') == content_key(url, b'{"prompt":"a"}')
        ```
    """
    return hashlib.blake2b(endpoint.url.encode() + b"\n" + body, digest_size=16).hexdigest()


def nth_key(key: str, n: int) -> str:
    """Return the key of the n-th of equal requests; the first one has the plain key."""
    return key if n == 1 else f"{key}~{n}"


def duplicate_key(key: str, n: int) -> str:
    """Return the key under which the n-th row with the same `custom_id` fails."""
    return f"{key}~duplicate~{n}"


def is_reserved(custom_id: str) -> bool:
    """Return whether a `custom_id` has the form of a key that only jobs create."""
    return _RESERVED.search(custom_id) is not None
