"""Bodies in cassettes: readable when they are text, exact when they are replayed."""

import base64
import hashlib
import json
import re
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any, NoReturn, cast

from pydantic import JsonValue

from tunesmith.protocol.message import Request
from tunesmith.protocol.multipart import MultipartError, decode_multipart
from tunesmith.testing.cassettes.redaction import Redaction

__all__ = [
    "UNREAD",
    "RecordedBody",
    "RequestBodyEncoder",
    "decode_chunks",
    "encode_body",
    "encode_chunks",
    "encode_request_body",
]

RecordedBody = dict[str, JsonValue]
"""One of these:

- `{"json": …}`: a JSON value
- `{"text": "…"}`, `{"lines": ["…", …]}`: text, or its lines without the line feeds
- `{"base64": "…"}`: other content
- `{"chunks": ["…", …]}`: an event stream; each chunk is a text or `{"base64": "…"}`
- `{"form": [{"name": …, "filename": …, "type": …, and one of the above}, …]}`: a form
- `{"file": "…", "bytes": …}`: a long response body, in a file named by its SHA-256
- `{"sha256": "…", "bytes": …, "begins": "…"}`: a long request body
- `{"unread": true}`: a request body that was not read to its end
"""

UNREAD: RecordedBody = {"unread": True}

_BEGINNING_BYTES = 300
_BOUNDARY = re.compile(r'boundary="?([^";]+)')


def encode_body(content: bytes, content_type: str = "") -> RecordedBody:
    """Encode a body; only JSON with a JSON content type may lose its whitespace."""
    if "json" in content_type.lower():
        value = _parse_json(content)
        if value is not None:
            return {"json": value}
    encoded = _encode_text(content)
    if not isinstance(encoded, str):
        return encoded
    if "\n" in encoded:
        return {"lines": cast("list[JsonValue]", encoded.split("\n"))}
    return {"text": encoded}


def encode_chunks(chunks: Sequence[bytes], redaction: Redaction) -> RecordedBody:
    """Encode the chunks of a stream. Secrets that span chunks are removed too."""
    content = redaction.body(b"".join(chunks))
    encoded: list[JsonValue] = []
    start = 0
    for chunk in chunks:
        encoded.append(_encode_text(content[start : start + len(chunk)]))
        start += len(chunk)
    return {"chunks": encoded}


def decode_chunks(body: RecordedBody | None) -> list[bytes]:
    """Decode a response body that is stored in the cassette itself.

    Raises:
        ValueError: The body has an unknown form.
    """
    match body:
        case None:
            return []
        case {"chunks": [*chunks]}:
            return [
                chunk.encode() if isinstance(chunk, str) else _decode_base64(chunk)
                for chunk in chunks
            ]
        case {"json": value}:
            return [json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()]
        case {"text": str(text)}:
            return [text.encode()]
        case {"lines": [*lines]}:
            return ["\n".join(map(str, lines)).encode()]
        case _:
            return [_decode_base64(body)]


def _encode_text(content: bytes) -> str | dict[str, JsonValue]:
    try:
        return content.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(content).decode()}


def _decode_base64(value: JsonValue) -> bytes:
    match value:
        case {"base64": str(text)}:
            return base64.b64decode(text, validate=True)
        case _:
            raise ValueError("unknown form of a body")


def _parse_json(content: bytes) -> JsonValue:
    def refuse(constant: str) -> NoReturn:
        raise ValueError(f"{constant} is not JSON")

    def refuse_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        value = dict(pairs)
        if len(value) < len(pairs):
            raise ValueError("duplicate name")
        return value

    try:
        value = json.loads(content, parse_constant=refuse, object_pairs_hook=refuse_duplicates)
        json.dumps(value, ensure_ascii=False).encode()  # fails for lone surrogates
    except (ValueError, RecursionError):
        return None
    return cast("JsonValue", value)


class RequestBodyEncoder:
    """Encoder of a request body, fed chunk by chunk; its memory use is bounded.

    The random boundary of a form is removed, so that the same form is always encoded the same.

    Args:
        content_type: The request's `content-type`.
        redaction: Removes secrets.
        max_bytes: Maximum length; longer bodies are encoded as their hash.
    """

    def __init__(self, content_type: str, redaction: Redaction, max_bytes: int) -> None:
        self._content_type = content_type
        self._redaction = redaction
        self._max_bytes = max_bytes
        boundary = _BOUNDARY.search(content_type)
        self._boundary = boundary[1].encode() if boundary else None
        self._head = bytearray()
        self._length = 0
        self._hash = hashlib.sha256()
        self._pending = b""

    def feed(self, chunk: bytes) -> None:
        """Add the next chunk."""
        self._length += len(chunk)
        if len(self._head) <= self._max_bytes:
            self._head += chunk[: self._max_bytes + 1 - len(self._head)]
        if self._boundary is None:
            self._hash.update(chunk)
            return
        # A boundary may span chunks.
        pending = (self._pending + chunk).replace(self._boundary, b"")
        cut = max(len(pending) - len(self._boundary) + 1, 0)
        self._hash.update(pending[:cut])
        self._pending = pending[cut:]

    async def encode(self) -> RecordedBody | None:
        """Return the encoded body; None if it is empty. Never blocks."""
        if not self._length:
            return None
        content = self._redaction.body(bytes(self._head))
        if self._length > self._max_bytes:
            digest = self._hash.copy()
            digest.update(self._pending)
            beginning = content[:_BEGINNING_BYTES]
            if self._boundary is not None:
                beginning = beginning.replace(self._boundary, b"")
            return {
                "sha256": digest.hexdigest(),
                "bytes": self._length,
                "begins": beginning.decode(errors="replace"),
            }
        if self._boundary is not None:
            try:
                return {"form": await self._form(content)}
            except MultipartError:
                pass
        return encode_body(content, self._content_type)

    async def _form(self, content: bytes) -> list[JsonValue]:
        async def body() -> AsyncGenerator[bytes]:
            yield content

        fields: list[JsonValue] = []
        for part in await decode_multipart(self._content_type, body(), max_bytes=self._max_bytes):
            field: dict[str, JsonValue] = {"name": part.name}
            if part.filename is not None:
                field["filename"] = part.filename
            if part.content_type is not None:
                field["type"] = part.content_type
            fields.append(field | encode_body(part.content))
        return fields


async def encode_request_body(
    request: Request, redaction: Redaction, max_bytes: int
) -> RecordedBody | None:
    """Read and encode the body of a request."""
    encoder = RequestBodyEncoder(request.headers.get("content-type", ""), redaction, max_bytes)
    async with aclosing(request.chunks()) as chunks:
        async for chunk in chunks:
            encoder.feed(chunk)
    return await encoder.encode()
