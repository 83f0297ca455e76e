"""Bodies as a cassette holds them: readable where they are text, and the same when read again."""

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
- `{"text": "…"}`, `{"lines": ["…", …]}`: text, its lines joined by a line feed
- `{"base64": "…"}`: anything else
- `{"chunks": ["…", …]}`: an event stream, each chunk a text or `{"base64": "…"}`
- `{"form": [{"name": …, "filename": …, "type": …, and one of the above}, …]}`: a form
- `{"file": "…", "bytes": …}`: a long answer, in a file of its own, named by its SHA-256
- `{"sha256": "…", "bytes": …, "begins": "…"}`: a long question
- `{"unread": true}`: a question that was not read to its end
"""

UNREAD: RecordedBody = {"unread": True}

_BEGINNING_BYTES = 300
_BOUNDARY = re.compile(r'boundary="?([^";]+)')


def encode_body(content: bytes, content_type: str = "") -> RecordedBody:
    """Write bytes down; only of JSON that says it is JSON may the spaces be lost."""
    if "json" in content_type.lower():
        value = _as_json(content)
        if value is not None:
            return {"json": value}
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(content).decode()}
    if "\n" in text:
        return {"lines": cast("list[JsonValue]", text.split("\n"))}
    return {"text": text}


def encode_chunks(chunks: Sequence[bytes], redaction: Redaction) -> RecordedBody:
    """Write the chunks of a stream down; a secret may reach over several."""
    whole = redaction.body(b"".join(chunks))
    recorded: list[JsonValue] = []
    start = 0
    for chunk in chunks:
        piece = whole[start : start + len(chunk)]
        start += len(chunk)
        try:
            recorded.append(piece.decode())
        except UnicodeDecodeError:
            recorded.append({"base64": base64.b64encode(piece).decode()})
    return {"chunks": recorded}


def decode_chunks(body: RecordedBody | None) -> list[bytes]:
    """Read the chunks of an answer that is in the cassette itself.

    Raises:
        ValueError: The body has no such form.
    """
    if body is None:
        return []
    match body:
        case {"chunks": [*chunks]}:
            return [
                chunk.encode() if isinstance(chunk, str) else _base64(chunk) for chunk in chunks
            ]
        case {"json": value}:
            return [json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()]
        case {"text": str(text)}:
            return [text.encode()]
        case {"lines": [*lines]}:
            return ["\n".join(map(str, lines)).encode()]
        case _:
            return [_base64(body)]


def _base64(value: JsonValue) -> bytes:
    match value:
        case {"base64": str(text)}:
            return base64.b64decode(text, validate=True)
        case _:
            raise ValueError("a body is none of those that a cassette may hold")


def _as_json(content: bytes) -> JsonValue:
    def refuse(constant: str) -> NoReturn:
        raise ValueError(f"{constant} is not JSON")

    def once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            raise ValueError("a name stands twice")
        return found

    try:
        value = json.loads(content, parse_constant=refuse, object_pairs_hook=once_each)
        json.dumps(value, ensure_ascii=False).encode()  # half a surrogate pair cannot be written
    except (ValueError, RecursionError):
        return None
    return cast("JsonValue", value)


class RequestBodyEncoder:
    """Takes the chunks of a question's body, and writes down what they were.

    No more is kept than fits the limit. The boundary of a form is made up anew each time: it does
    not count.

    Args:
        content_type: The value of the question's `content-type`.
        redaction: Takes secrets out.
        max_bytes: Longer bodies are written as their hash.
    """

    def __init__(self, content_type: str, redaction: Redaction, max_bytes: int) -> None:
        self._content_type = content_type
        self._redaction = redaction
        self._max_bytes = max_bytes
        boundary = _BOUNDARY.search(content_type)
        self._boundary = boundary[1].encode() if boundary else None
        self._kept = bytearray()
        self._length = 0
        self._hash = hashlib.sha256()
        self._held = b""

    def feed(self, chunk: bytes) -> None:
        """Take the next chunk."""
        self._length += len(chunk)
        if len(self._kept) <= self._max_bytes:
            self._kept += chunk[: self._max_bytes + 1 - len(self._kept)]
        if self._boundary is None:
            self._hash.update(chunk)
            return
        pending = (self._held + chunk).replace(self._boundary, b"")
        keep = min(len(self._boundary) - 1, len(pending))
        self._hash.update(pending[: len(pending) - keep])
        self._held = pending[len(pending) - keep :]

    async def written(self) -> RecordedBody | None:
        """Write down what came; None if nothing did. Waits for nothing."""
        if not self._length:
            return None
        content = self._redaction.body(bytes(self._kept))
        if self._length > self._max_bytes:
            digest = self._hash.copy()
            digest.update(self._held)
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
    """Read a question's body, and write it down."""
    body = RequestBodyEncoder(request.headers.get("content-type", ""), redaction, max_bytes)
    async with aclosing(request.chunks()) as chunks:
        async for chunk in chunks:
            body.feed(chunk)
    return await body.written()
