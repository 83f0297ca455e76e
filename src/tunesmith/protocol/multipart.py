"""Forms with files: written piece by piece, and read by the service in memory.

Source: https://www.rfc-editor.org/rfc/rfc7578
"""

import re
import secrets
from collections.abc import AsyncIterable, AsyncIterator, Callable, Sequence
from dataclasses import dataclass

__all__ = ["MultipartBody", "MultipartError", "Part", "ReceivedPart", "decode_multipart"]


class MultipartError(ValueError):
    """A body is no form."""


@dataclass(frozen=True, slots=True)
class Part:
    """One field of a form.

    Args:
        name: The field's name.
        content: The bytes, or a function that opens them afresh.
        filename: The file's name; None for a field that is no file.
        content_type: The media type.
        length_bytes: The length of content that is opened; None if it shows only at the end.
    """

    name: str
    content: bytes | Callable[[], AsyncIterator[bytes]]
    filename: str | None = None
    content_type: str | None = None
    length_bytes: int | None = None

    @property
    def size_bytes(self) -> int | None:
        """How long the content is, as far as that is known."""
        return len(self.content) if isinstance(self.content, bytes) else self.length_bytes


class MultipartBody:
    """A form, which can be opened any number of times.

    Args:
        parts: The fields.
        boundary: What stands between them; chosen by chance if None.
    """

    def __init__(self, parts: Sequence[Part], boundary: str | None = None) -> None:
        self._boundary = boundary or secrets.token_hex(16)
        self._parts = [(self._head(part), part) for part in parts]
        self._end = f"--{self._boundary}--\r\n".encode()

    @property
    def content_type(self) -> str:
        """The value of the `content-type` header."""
        return f"multipart/form-data; boundary={self._boundary}"

    @property
    def length_bytes(self) -> int | None:
        """The length of the whole; None if a file's length is not known."""
        total = len(self._end)
        for head, part in self._parts:
            if part.size_bytes is None:
                return None
            total += len(head) + part.size_bytes + 2
        return total

    async def chunks(self) -> AsyncIterator[bytes]:
        """Open the files and go through the form."""
        for head, part in self._parts:
            if isinstance(part.content, bytes):
                yield head + part.content + b"\r\n"
                continue
            yield head
            async for chunk in part.content():
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
            lines.append(f"Content-Type: {part.content_type}")
        return "\r\n".join([*lines, "", ""]).encode()


def _quoted(text: str) -> str:
    # As browsers do: https://html.spec.whatwg.org/#multipart-form-data
    return text.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")


@dataclass(frozen=True, slots=True)
class ReceivedPart:
    """One field of a form that came.

    Args:
        name: The field's name.
        content: Its bytes.
        filename: The file's name; None for a field that is no file.
        content_type: The media type.
    """

    name: str
    content: bytes
    filename: str | None = None
    content_type: str | None = None


_PARAMETER = re.compile(r';\s*(\w+\*?)=(?:"((?:[^"\\]|\\.)*)"|([^;]*))')


async def decode_multipart(
    content_type: str, body: AsyncIterable[bytes], *, max_bytes: int
) -> list[ReceivedPart]:
    """Read a form.

    Args:
        content_type: The value of the `content-type` header.
        body: The body's chunks.
        max_bytes: Longer bodies are refused.

    Raises:
        MultipartError: The body is no such form, ends early, or is too long.
    """
    boundary = _parameters(content_type).get("boundary")
    if not content_type.lower().startswith("multipart/form-data") or not boundary:
        raise MultipartError(
            f"the content type must be multipart/form-data with a boundary, not {content_type!r}"
        )
    content = bytearray()
    async for chunk in body:
        content += chunk
        if len(content) > max_bytes:
            raise MultipartError(f"the body is longer than {max_bytes} bytes")
    # With a line end before it, the first boundary is like all others.
    pieces = (b"\r\n" + bytes(content)).split(b"\r\n--" + boundary.encode())
    if len(pieces) < 2 or not pieces[-1].startswith(b"--"):  # noqa: PLR2004
        raise MultipartError("the last boundary is missing: the body ends early")
    return [_received(piece) for piece in pieces[1:-1]]


def _received(piece: bytes) -> ReceivedPart:
    head, separator, content = piece.removeprefix(b"\r\n").partition(b"\r\n\r\n")
    if not separator:
        raise MultipartError("a part has no blank line after its headers")
    headers: dict[str, str] = {}
    for line in head.decode("utf-8", "replace").split("\r\n"):
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    parameters = _parameters(headers.get("content-disposition", ""))
    if "name" not in parameters:
        raise MultipartError("a part has no name")
    return ReceivedPart(
        name=_unquoted(parameters["name"]),
        content=content,
        filename=_unquoted(parameters["filename"]) if "filename" in parameters else None,
        content_type=headers.get("content-type"),
    )


def _parameters(value: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, quoted, plain in _PARAMETER.findall(value):
        found[name.lower()] = quoted.replace("\\\\", "\\").replace('\\"', '"') or plain.strip()
    return found


def _unquoted(text: str) -> str:
    return text.replace("%22", '"').replace("%0D", "\r").replace("%0A", "\n")
