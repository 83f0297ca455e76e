"""What a request asked for: its parameters, read as it passes by."""

import hashlib
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import cache
from typing import Any, cast, get_type_hints

from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json

from tunesmith.errors import InvalidRequestError
from tunesmith.operations import all_operations
from tunesmith.operations.base import Operation
from tunesmith.protocol.flatten import unflatten
from tunesmith.protocol.message import Request
from tunesmith.protocol.multipart import MultipartError, ReceivedPart, decode_multipart
from tunesmith.protocol.route import Router, UnknownRouteError
from tunesmith.testing.cassettes.redaction import Redaction

__all__ = ["CappedBuffer", "RequestCapture", "UploadedFile"]

_END_BYTES = 16 * 1024
"""The fields that come after a long file are shorter."""


@dataclass(frozen=True, slots=True)
class UploadedFile:
    """A file that was sent.

    Args:
        filename: Its name.
        content_type: Its media type.
        bytes: How long it is.
        sha256: The hash of its content; of a very long one, of what was kept.
    """

    filename: str
    content_type: str | None
    bytes: int
    sha256: str = field(repr=False)

    def __repr__(self) -> str:
        return f"<{self.filename}, {self.bytes} bytes>"


class CappedBuffer:
    """The beginning of a body that passes by, and its end.

    Args:
        max_bytes: No more than this is kept of the beginning.
        end_bytes: No more than this is kept of the end, if the beginning is not all.
    """

    def __init__(self, max_bytes: int, end_bytes: int = 0) -> None:
        self._max_bytes = max_bytes
        self._end_bytes = end_bytes
        self._begin = bytearray()
        self._end = bytearray()
        self._length = 0

    @property
    def content(self) -> bytes:
        """What was kept."""
        return bytes(self._begin + self._end)

    @property
    def omitted_bytes(self) -> int:
        """How much was not."""
        return self._length - len(self._begin) - len(self._end)

    def feed(self, chunk: bytes) -> None:
        """Take a chunk."""
        self._length += len(chunk)
        room = max(self._max_bytes - len(self._begin), 0)
        self._begin += chunk[:room]
        self._end += chunk[room:]
        del self._end[: max(len(self._end) - self._end_bytes, 0)]


class RequestCapture:
    """A request that is passed on, and looked at as its body is read.

    Args:
        request: The request.
        max_bytes: No more of its body is kept.
    """

    def __init__(self, request: Request, max_bytes: int) -> None:
        self._request = request
        self._max_bytes = max_bytes
        self._body = CappedBuffer(max_bytes, _END_BYTES)
        if isinstance(request.body, bytes):
            self._body.feed(request.body)

    async def chunks(self) -> AsyncGenerator[bytes]:
        """Open the body afresh, and pass it on."""
        self._body = CappedBuffer(self._max_bytes, _END_BYTES)
        async with aclosing(self._request.chunks()) as chunks:
            async for chunk in chunks:
                self._body.feed(chunk)
                yield chunk

    async def parameters(self, redaction: Redaction) -> dict[str, Any]:
        """Read the parameters, as far as the body has come. Waits for nothing."""
        request = self._request
        operation, in_path = _route(request.method, redaction.text(request.path))
        query = (pair.partition("=") for pair in redaction.query(request.query))
        parameters = _coerce_types(operation, [(name, value) for name, _, value in query])
        content = redaction.body(self._body.content)
        content_type = request.headers.get("content-type", "")
        if "multipart" in content_type.lower():
            parameters |= _coerce_types(operation, await self._form(content_type, content))
        elif content:
            parameters |= _json_object(content)
        return {**in_path, **parameters}

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


def _route(method: str, path: str) -> tuple[type[Operation[Any]] | None, dict[str, str]]:
    try:
        return _router().find(method, path)
    except UnknownRouteError:
        return None, {}


def _coerce_types(
    operation: type[Operation[Any]] | None, pairs: Sequence[tuple[str, Any]]
) -> dict[str, Any]:
    """Read a query or a form; its numbers are text, which whoever asked for a number never saw."""
    try:
        values = unflatten(pairs)
    except InvalidRequestError:
        return dict(pairs)
    return {name: _coerce(operation, name, value) for name, value in values.items()}


def _coerce(operation: type[Operation[Any]] | None, name: str, value: Any) -> Any:
    if operation is None or isinstance(value, UploadedFile):
        return value
    declared = get_type_hints(operation, include_extras=True)
    if operation.spec.event_type is not None:
        declared["stream"] = bool
    try:
        return TypeAdapter(declared.get(name, Any)).validate_python(value)
    except ValidationError:
        return value  # it is wrong, and the service will say so
