"""Multipart forms: encoded in chunks by the client, decoded by the service.

Source: https://www.rfc-editor.org/rfc/rfc7578
"""

import hashlib
import re
import secrets
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Callable,
    Iterator,
    Sequence,
)
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from math import inf
from tempfile import TemporaryFile

from tunesmith.errors import InvalidRequestError

__all__ = [
    "MultipartBody",
    "MultipartError",
    "Part",
    "ReceivedPart",
    "SpooledFile",
    "closing_chunks",
    "decode_multipart",
]


_BOUNDARY = re.compile(r"[0-9A-Za-z'+_.-]{1,70}")
"""Boundaries that need no quotes: https://www.rfc-editor.org/rfc/rfc2046#section-5.1.1"""

_MAX_HEAD_BYTES = 16_384
_CHUNK_BYTES = 256 * 1024


class MultipartError(ValueError):
    """Malformed form."""


@dataclass(frozen=True, slots=True)
class Part:
    """Field of a form.

    Args:
        name: Name of the field.
        content: The bytes, or a function that opens them again for each attempt.
        filename: Name of the file; None for other fields.
        content_type: The media type.
        length_bytes: The length of opened content; None if unknown.
    """

    name: str
    content: bytes | Callable[[], AsyncIterator[bytes]]
    filename: str | None = None
    content_type: str | None = None
    length_bytes: int | None = None

    @property
    def size_bytes(self) -> int | None:
        """Length of the content; None if unknown."""
        return len(self.content) if isinstance(self.content, bytes) else self.length_bytes

    async def chunks(self) -> AsyncGenerator[bytes]:
        """Open the content and iterate over it."""
        if isinstance(self.content, bytes):
            yield self.content
        else:
            async with closing_chunks(self.content()) as chunks:
                async for chunk in chunks:
                    yield chunk


class MultipartBody:
    """Form that can be sent any number of times.

    Args:
        parts: The fields.
        boundary: Separator of the fields; random if None.

    Raises:
        InvalidRequestError: A media type contains a line end.
        ValueError: The boundary is too long or has characters that need quotes.

    Example:
        ```python
        from tunesmith.protocol.multipart import MultipartBody, Part

        body = MultipartBody([Part("purpose", b"fine-tune")], boundary="b")
        assert body.content_type == "multipart/form-data; boundary=b"
        assert body.length_bytes == 73
        ```
    """

    def __init__(self, parts: Sequence[Part], boundary: str | None = None) -> None:
        self._boundary = secrets.token_hex() if boundary is None else boundary
        if not _BOUNDARY.fullmatch(self._boundary):
            raise ValueError(f"invalid boundary of a form: {self._boundary!r}")
        self._parts = [(self._head(part), part) for part in parts]
        self._end = f"--{self._boundary}--\r\n".encode()

    @property
    def content_type(self) -> str:
        """The value of the `content-type` header."""
        return f"multipart/form-data; boundary={self._boundary}"

    @property
    def length_bytes(self) -> int | None:
        """Length of the form; None if the length of a file is unknown."""
        total = len(self._end)
        for head, part in self._parts:
            if part.size_bytes is None:
                return None
            total += len(head) + part.size_bytes + 2
        return total

    async def chunks(self) -> AsyncGenerator[bytes]:
        """Iterate over the form, opening its files one after the other.

        Closing the generator closes the open file.
        """
        for head, part in self._parts:
            if isinstance(part.content, bytes):
                yield head + part.content + b"\r\n"
                continue
            yield head
            async with closing_chunks(part.chunks()) as content:
                async for chunk in content:
                    yield chunk
            yield b"\r\n"
        yield self._end

    def _head(self, part: Part) -> bytes:
        lines = [
            f"--{self._boundary}",
            f'Content-Disposition: form-data; name="{_quoted(part.name)}"'
            + (f'; filename="{_quoted(part.filename)}"' if part.filename is not None else ""),
        ]
        if part.content_type is not None:
            if "\r" in part.content_type or "\n" in part.content_type:
                raise InvalidRequestError(
                    f"a media type must be one line, not {part.content_type!r}", param=part.name
                )
            lines.append(f"Content-Type: {part.content_type}")
        # File names that are not Unicode contain surrogates, which cannot be encoded.
        return "\r\n".join([*lines, "", ""]).encode(errors="replace")


@asynccontextmanager
async def closing_chunks(chunks: AsyncIterable[bytes]) -> AsyncGenerator[AsyncIterator[bytes]]:
    """Iterate over chunks, and close them at the end if they are a generator.

    A generator that is left unfinished would hold its file until it is collected.
    """
    iterator = aiter(chunks)
    try:
        yield iterator
    finally:
        if isinstance(iterator, AsyncGenerator):
            await iterator.aclose()


def _quoted(text: str) -> str:
    # As browsers do: https://html.spec.whatwg.org/#multipart-form-data
    text = text.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
    # Browsers do not escape backslashes, but most parsers unescape them.
    return text.replace("\\", "\\\\")


class SpooledFile:
    """Content of a large file in a temporary file, which is deleted with this object."""

    def __init__(self) -> None:
        self._file = TemporaryFile()  # noqa: SIM115 - closed with this object
        self._digest = hashlib.blake2b()
        self.size_bytes = 0
        """Size of the content."""

    def __del__(self) -> None:
        self._file.close()

    def __repr__(self) -> str:
        # Equal contents have equal names, as of requests with an idempotency key.
        return f"<SpooledFile {self._digest.hexdigest()}>"

    def write(self, chunk: bytes | bytearray | memoryview) -> None:
        """Append bytes."""
        self.size_bytes += self._file.write(chunk)
        self._digest.update(chunk)

    def chunks(self) -> Iterator[bytes]:
        """Yield the content from its beginning."""
        self._file.seek(0)
        while chunk := self._file.read(_CHUNK_BYTES):
            yield chunk


@dataclass(frozen=True, slots=True)
class ReceivedPart:
    """Field of a received form.

    Args:
        name: Name of the field.
        content: The bytes, unless they are in a temporary file.
        filename: Name of the file; None for other fields.
        content_type: The media type.
        spooled: The temporary file of a large file.
    """

    name: str
    content: bytes
    filename: str | None = None
    content_type: str | None = None
    spooled: SpooledFile | None = None


_PARAMETER = re.compile(r';\s*([\w-]+\*?)=(?:"((?:[^"\\]|\\.)*)"|([^;]*))', re.DOTALL)
_ESCAPED = re.compile(r'\\(["\\])')
_PERCENT = re.compile("%(22|[01][0-9A-F])")


async def decode_multipart(
    content_type: str,
    body: AsyncIterable[bytes],
    *,
    max_bytes: int,
    spool_bytes: float = inf,
) -> list[ReceivedPart]:
    """Decode a form.

    Args:
        content_type: The value of the `content-type` header.
        body: Chunks of the body; a generator is closed at the end.
        max_bytes: Maximum length of the body.
        spool_bytes: Size from which files are received into temporary files.

    Raises:
        MultipartError: The form is malformed, ends early, or is too long.
    """
    boundary = _parameters(content_type).get("boundary")
    if not content_type.lower().startswith("multipart/form-data") or not boundary:
        raise MultipartError(
            f"the content type must be multipart/form-data with a boundary, not {content_type!r}"
        )
    splitter = _PartParser(boundary, spool_bytes)
    parts: list[ReceivedPart] = []
    size_bytes = 0
    async with closing_chunks(body) as pieces:
        async for chunk in pieces:
            size_bytes += len(chunk)
            if size_bytes > max_bytes:
                raise MultipartError(f"the body is longer than {max_bytes} bytes")
            parts += splitter.feed(chunk)
    if not splitter.ended:
        raise MultipartError("the last boundary is missing: the body ends early")
    return parts


class _PartParser:
    """Parser that splits a body at its boundaries, and buffers only the current part."""

    _MAX_PADDING = 64

    def __init__(self, boundary: str, spool_bytes: float) -> None:
        self._spool_bytes = spool_bytes
        self._part: ReceivedPart | None = None  # of which a part is in a file
        delimiter = b"\r\n--" + boundary.encode()
        # A longer line is content that begins like a boundary.
        self._boundary = re.compile(
            re.escape(delimiter) + rb"(?:(--)|[ \t]{0,%d}(?=\r\n))" % self._MAX_PADDING
        )
        self._overlap = len(delimiter) + self._MAX_PADDING + 2
        # Makes the first boundary like all others.
        self._pending = bytearray(b"\r\n")
        self._searched = 0
        self._begun = False
        self.ended = False

    def feed(self, chunk: bytes) -> list[ReceivedPart]:
        """Parse a chunk, and return the parts completed by it."""
        parts: list[ReceivedPart] = []
        if self.ended:
            return parts
        pending = self._pending
        pending += chunk
        while not self.ended and (match := self._boundary.search(pending, self._searched)):
            # The preamble is ignored.
            if self._begun:
                parts.append(self._complete_part(match.start()))
            self._begun = True
            self.ended = match.group(1) is not None
            del pending[: match.end()]
            self._searched = 0
        self._searched = max(len(pending) - self._overlap, 0)
        is_large = self._begun and self._searched > self._spool_bytes
        if is_large and self._spool(self._searched):
            del pending[: self._searched]
            self._searched = 0
        return parts

    def _complete_part(self, end: int) -> ReceivedPart:
        if self._part is None:
            return _parse_part(self._pending, end)
        self._spool(end)
        part, self._part = self._part, None
        return part

    def _spool(self, end: int) -> bool:
        """Copy the content before `end` to a temporary file; return False if it is not a file."""
        pending, start = self._pending, 0
        if self._part is None:
            part = _parse_part(pending, end)
            if part.filename is None:
                return False
            start = pending.find(b"\r\n\r\n") + 4
            self._part = replace(part, content=b"", spooled=SpooledFile())
        with memoryview(pending) as view:
            if self._part.spooled is not None:
                self._part.spooled.write(view[start:end])
        return True


def _parse_part(piece: bytearray, end: int) -> ReceivedPart:
    """Parse the part in `piece[:end]`, after the line end of its boundary."""
    head_end = piece.find(b"\r\n\r\n", 0, end)
    if head_end < 0:
        raise MultipartError("a part has no blank line after its headers")
    if head_end > _MAX_HEAD_BYTES:
        raise MultipartError(f"the headers of a part are longer than {_MAX_HEAD_BYTES} bytes")
    headers: dict[str, str] = {}
    for line in filter(None, piece[2:head_end].decode("utf-8", "replace").split("\r\n")):
        name, colon, value = line.partition(":")
        if not colon:
            raise MultipartError(f"a part has a header without a colon: {line[:100]!r}")
        headers[name.strip().lower()] = value.strip()
    parameters = _parameters(headers.get("content-disposition", ""))
    if "name" not in parameters:
        raise MultipartError("a part has no name")
    with memoryview(piece) as view:  # slices of a bytearray would be copied twice
        content = bytes(view[head_end + 4 : end])
    return ReceivedPart(
        name=_unquoted(parameters["name"]),
        content=content,
        filename=_unquoted(parameters["filename"]) if "filename" in parameters else None,
        content_type=headers.get("content-type"),
    )


def _parameters(value: str) -> dict[str, str]:
    parameters: dict[str, str] = {}
    for name, quoted, plain in _PARAMETER.findall(value):
        # Other backslashes are literal, as in the paths that old browsers send.
        parameters[name.lower()] = _ESCAPED.sub(r"\1", quoted) or plain.strip()
    return parameters


def _unquoted(text: str) -> str:
    return _PERCENT.sub(lambda match: chr(int(match.group(1), 16)), text)
