"""Parameters of requests, read while their bodies are sent."""

import hashlib
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import cache
from typing import Any, cast, get_type_hints

from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json

from tunesmith.errors import InvalidRequestError
from tunesmith.operations.base import Operation
from tunesmith.operations.registry import all_operations
from tunesmith.protocol.flatten import unflatten
from tunesmith.protocol.message import Request
from tunesmith.protocol.multipart import MultipartError, ReceivedPart, decode_multipart
from tunesmith.protocol.route import Router, UnknownRouteError
from tunesmith.testing.cassettes.redaction import Redaction

__all__ = ["CappedBuffer", "RequestCapture", "UploadedFile"]

_TAIL_BYTES = 16 * 1024
"""Enough for the form fields that follow a long file."""


@dataclass(frozen=True, slots=True)
class UploadedFile:
    """A file in an upload.

    Args:
        filename: Name of the file.
        content_type: Its media type.
        bytes: Its length.
        sha256: Hash of its content; for a long file, of the part that was stored.
    """

    filename: str
    content_type: str | None
    bytes: int
    sha256: str = field(repr=False)

    def __repr__(self) -> str:
        return f"<{self.filename}, {self.bytes} bytes>"


class CappedBuffer:
    """The beginning and the end of a body.

    Args:
        head_bytes: Maximum length of the beginning.
        tail_bytes: Maximum length of the end, for bodies longer than the beginning.
    """

    def __init__(self, head_bytes: int, tail_bytes: int = 0) -> None:
        self._head_bytes = head_bytes
        self._tail_bytes = tail_bytes
        self._head = bytearray()
        self._tail = bytearray()
        self._length = 0

    @property
    def content(self) -> bytes:
        """The stored beginning and end."""
        return bytes(self._head + self._tail)

    @property
    def omitted_bytes(self) -> int:
        """Number of bytes that were not stored."""
        return self._length - len(self._head) - len(self._tail)

    def feed(self, chunk: bytes) -> None:
        """Add a chunk of the body."""
        self._length += len(chunk)
        room = max(self._head_bytes - len(self._head), 0)
        self._head += chunk[:room]
        self._tail += chunk[room:]
        del self._tail[: max(len(self._tail) - self._tail_bytes, 0)]


class RequestCapture:
    """A request whose body is stored while it is sent.

    Args:
        request: The request.
        max_bytes: Maximum number of bytes to store of the body.
    """

    def __init__(self, request: Request, max_bytes: int) -> None:
        self._request = request
        self._max_bytes = max_bytes
        self._body = CappedBuffer(max_bytes, _TAIL_BYTES)
        if isinstance(request.body, bytes):
            self._body.feed(request.body)

    async def chunks(self) -> AsyncGenerator[bytes]:
        """Open the body afresh and store its chunks while yielding them."""
        self._body = CappedBuffer(self._max_bytes, _TAIL_BYTES)
        async with aclosing(self._request.chunks()) as chunks:
            async for chunk in chunks:
                self._body.feed(chunk)
                yield chunk

    async def parameters(self, redaction: Redaction) -> dict[str, Any]:
        """Return the parameters as far as the body was sent. Never blocks."""
        request = self._request
        try:
            operation, path_parameters = _router().find(
                request.method, redaction.text(request.path)
            )
        except UnknownRouteError:
            operation, path_parameters = None, {}
        query = (pair.partition("=") for pair in redaction.query(request.query))
        parameters = _coerce_types(operation, [(name, value) for name, _, value in query])
        content = redaction.body(self._body.content)
        content_type = request.headers.get("content-type", "")
        if "multipart" in content_type.lower():
            parameters |= _coerce_types(operation, await self._form(content_type, content))
        elif content:
            parameters |= _json_object(content)
        return {**path_parameters, **parameters}

    async def _form(
        self, content_type: str, content: bytes
    ) -> list[tuple[str, str | UploadedFile]]:
        async def body() -> AsyncGenerator[bytes]:
            yield content

        try:
            parts = await decode_multipart(content_type, body(), max_bytes=len(content))
        except MultipartError:
            return []
        return [(part.name, self._value(part)) for part in parts]

    def _value(self, part: ReceivedPart) -> str | UploadedFile:
        if part.filename is None:
            return part.content.decode("utf-8", "replace")
        length = len(part.content) + self._body.omitted_bytes
        digest = hashlib.sha256(part.content).hexdigest()
        return UploadedFile(part.filename, part.content_type, length, digest)


def _json_object(content: bytes) -> dict[str, Any]:
    try:
        value = from_json(content)
    except ValueError:
        return {}
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


@cache
def _router() -> Router:
    return Router(all_operations())


def _coerce_types(
    operation: type[Operation[Any]] | None, pairs: Sequence[tuple[str, Any]]
) -> dict[str, Any]:
    """Convert the texts of a query or form to the types that the caller passed."""
    try:
        values = unflatten(pairs)
    except InvalidRequestError:
        return dict(pairs)
    return {name: _coerce(operation, name, value) for name, value in values.items()}


def _coerce(operation: type[Operation[Any]] | None, name: str, value: Any) -> Any:
    if operation is None or isinstance(value, UploadedFile):
        return value
    types = get_type_hints(operation, include_extras=True)
    if operation.spec.event_type is not None:
        types["stream"] = bool
    try:
        return TypeAdapter(types.get(name, Any)).validate_python(value)
    except ValidationError:
        return value  # the service will refuse it
