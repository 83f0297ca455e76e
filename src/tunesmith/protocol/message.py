"""A request and a response, as a backend sees them: no HTTP library, no credentials, no host."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field

import anyio

from tunesmith.errors import InvalidRequestError

__all__ = ["Body", "Request", "Response", "SecretHeaders", "redact_headers"]

Body = bytes | Callable[[], AsyncIterator[bytes]]
"""Bytes, or a function that opens the body afresh, so that an attempt can be repeated."""


class SecretHeaders(dict[str, str]):
    """Headers whose repr shows the names alone: error reports may print variables."""

    def __repr__(self) -> str:
        return f"<headers {', '.join(self)}>"


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
    """What is sent.

    Args:
        operation: The operation's name, such as `files.create`: faults, cassettes, logs and
            metrics match on it.
        method: The HTTP method.
        path: The path below the base URL, percent-encoded, such as `/files/file-1`.
        query: Names and values, not yet percent-encoded.
        headers: Names in lower case. Credentials are not among them: the backend adds its own.
        body: The body; None for none. Its length, where known, is in `content-length`.
        timeout_s: Seconds that the attempt may take; None for no limit.
        replayable: Whether the body can be opened more than once.
    """

    operation: str
    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    body: Body | None = field(default=None, repr=False)
    timeout_s: float | None = None
    replayable: bool = True

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """Open the body and go through it; whoever stops early closes this, and so the body.

        Raises:
            InvalidRequestError: The body is not as long as `content-length` says. What is too much
                would be taken for another request.
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
                        raise self._other_length(announced)
                    yield chunk
                if announced is not None and sent < announced:
                    raise self._other_length(announced)
            finally:
                if isinstance(body, AsyncGenerator):
                    # Shielded, so that a call that is cancelled closes its file too.
                    with anyio.CancelScope(shield=True):
                        await body.aclose()

    def _other_length(self, announced: int) -> InvalidRequestError:
        return InvalidRequestError(
            f"{self.operation}: the body has not the {announced} bytes that were announced: was a "
            "file changed while it was sent?",
            operation=self.operation,
        )


@dataclass(frozen=True, slots=True)
class Response:
    """What comes back; an error status is a response too.

    Args:
        status: The HTTP status.
        headers: Names in lower case; values of a repeated name joined by `, `.
        stream: The body, chunk by chunk, as it comes.
        keeps_timeout: Whether the stream itself raises a `BackendError` of the phase `timeout` when
            a chunk does not come within the request's `timeout_s`, so that nobody else need watch.
    """

    status: int
    headers: Mapping[str, str]
    stream: AsyncIterator[bytes] = field(repr=False)
    keeps_timeout: bool = False

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
