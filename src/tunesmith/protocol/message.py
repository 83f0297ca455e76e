"""Requests and responses of backends: without HTTP library, credentials and host."""

import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Self

import anyio
import anyio.lowlevel

from tunesmith.errors import InvalidRequestError

__all__ = [
    "Body",
    "Request",
    "Response",
    "SecretHeaders",
    "SecretQuery",
    "find_header_problem",
    "is_header_safe",
    "redact_headers",
]

Body = bytes | Callable[[], AsyncIterator[bytes]]
"""Bytes, or a function that opens the body again for each attempt."""


class SecretHeaders(dict[str, str]):
    """Headers whose repr shows the names alone: error reports may print variables."""

    def __repr__(self) -> str:
        return f"<headers {', '.join(self)}>"


class SecretQuery(tuple[tuple[str, str], ...]):
    """Query whose repr shows the names alone: some services take their key in it."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<query {', '.join(name for name, _ in self)}>"


_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""A token of RFC 9110, section 5.6.2."""

_FRAMING_HEADERS = frozenset({"content-length", "transfer-encoding"})
"""Headers that tell where a request ends; what a wrong one leaves is read as another request."""


def is_header_safe(text: str) -> bool:
    """Return whether an HTTP header can hold a text."""
    return text.isascii() and text.isprintable()


def find_header_problem(headers: Mapping[str, object]) -> str | None:
    """Return which header users must not set, and why; None if they may set all.

    Args:
        headers: The headers; no value is in the problem.
    """
    for name, value in headers.items():
        if not _HEADER_NAME.fullmatch(name):
            return f"header {name!r} is not a name of a header"
        if name.lower() in _FRAMING_HEADERS:
            return f"header {name!r} must not be set: it follows from the body"
        if not isinstance(value, str) or not is_header_safe(value):
            return f"header {name!r} must be one line of ASCII text"
    return None


_PUBLIC_HEADERS = frozenset(
    {"accept", "content-length", "content-type", "idempotency-key", "if-range", "range"}
)
_MIN_SECRET_CHARS = 8


def redact_headers(body: bytes, headers: Mapping[str, str]) -> bytes:
    """Replace the values of request headers in a body, since some servers echo them.

    Args:
        body: The body of an error response.
        headers: The headers of its request, names in lower case.
    """
    for name, value in headers.items():
        if name not in _PUBLIC_HEADERS and len(value) >= _MIN_SECRET_CHARS:
            body = body.replace(value.encode(), b"[header]")
    return body


@dataclass(frozen=True, slots=True)
class Request:
    """Request to a service.

    Args:
        operation: Name of the operation, such as `files.create`, for faults, cassettes, logs and
            metrics.
        method: The HTTP method.
        path: The path below the base URL, percent-encoded, such as `/files/file-1`.
        query: Names and values, not percent-encoded.
        headers: Headers, names in lower case, without credentials, which the backend adds.
        body: The body; None for no body. Its length, if known, is in `content-length`.
        timeout: Seconds the attempt may take; None for no limit.
        replayable: Whether the body can be opened more than once.
    """

    operation: str
    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    body: Body | None = field(default=None, repr=False)
    timeout: float | None = None
    replayable: bool = True

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """Open the body and iterate over it; closing the generator closes the body.

        Raises:
            InvalidRequestError: The length of the body differs from `content-length`. Surplus bytes
                would be read as another request.
        """
        if isinstance(self.body, bytes):
            yield self.body
        elif self.body is not None:
            length = self.headers.get("content-length")
            announced = None if length is None else int(length)
            sent = 0
            body = self.body()
            try:
                async for chunk in body:
                    sent += len(chunk)
                    if announced is not None and sent > announced:
                        raise self._length_error(announced)
                    yield chunk
                if announced is not None and sent < announced:
                    raise self._length_error(announced)
            finally:
                if isinstance(body, AsyncGenerator):
                    # Shielded, so that cancelled calls close their file too.
                    with anyio.CancelScope(shield=True):
                        await body.aclose()

    def _length_error(self, announced: int) -> InvalidRequestError:
        return InvalidRequestError(
            f"{self.operation}: the body does not have the announced {announced} bytes; a file may "
            "have changed while it was sent",
            operation=self.operation,
        )


class _SingleChunk:
    """Body of one chunk, which need not be closed, unlike a generator."""

    def __init__(self, chunk: bytes) -> None:
        self._chunk: bytes | None = chunk

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        await anyio.lowlevel.checkpoint()
        chunk, self._chunk = self._chunk, None
        if chunk is None:
            raise StopAsyncIteration
        return chunk


@dataclass(frozen=True, slots=True)
class Response:
    """Response of a service, whatever its status.

    Args:
        status: The HTTP status.
        headers: Names in lower case; values of a repeated name joined by `, `.
        stream: Chunks of the body.
        keeps_timeout: Whether the stream itself raises a `BackendError` of phase `timeout` if a
            chunk is not received within the request's `timeout`.
    """

    status: int
    headers: Mapping[str, str]
    stream: AsyncIterator[bytes] = field(repr=False)
    keeps_timeout: bool = False

    @classmethod
    def from_bytes(cls, status: int, headers: Mapping[str, str], body: bytes) -> Self:
        """Create a response whose body is one chunk.

        Args:
            status: The HTTP status.
            headers: Names in lower case.
            body: The body.
        """
        return cls(status, headers, _SingleChunk(body))

    async def read(self, *, max_bytes: int | None = None) -> bytes:
        """Read the body to its end, or until more than `max_bytes` were read."""
        if max_bytes is None:
            return b"".join([chunk async for chunk in self.stream])
        chunks: list[bytes] = []
        size = 0
        async for chunk in self.stream:
            chunks.append(chunk)
            size += len(chunk)
            if size > max_bytes:
                break
        return b"".join(chunks)
