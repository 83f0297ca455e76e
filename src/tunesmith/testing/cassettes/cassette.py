"""Cassettes: requests and responses in a readable JSON file."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from textwrap import indent
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tunesmith.errors import ConfigurationError, Phase
from tunesmith.protocol.message import Request
from tunesmith.testing.cassettes.bodies import RecordedBody, decode_chunks
from tunesmith.testing.cassettes.redaction import Redaction

__all__ = [
    "MAX_BODY_BYTES",
    "BodyFile",
    "Cassette",
    "CassetteWriter",
    "Interaction",
    "RecordedError",
    "RecordedRequest",
    "RecordedResponse",
]

MAX_BODY_BYTES = 64 * 1024
"""Longer bodies are not readable in a diff."""

_VERSION = 3
_READ_BYTES = 64 * 1024
_MAX_SECRET_BYTES = 8 * 1024
_TAIL = b"\n  ]\n}\n"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class RecordedRequest(_Part):
    """A request; of its headers only `range` and `if-range` are compared."""

    operation: str
    method: str
    path: str
    query: list[str] = Field(default_factory=list[str])
    headers: dict[str, str] = Field(default_factory=dict[str, str])
    body: RecordedBody | None = None

    @classmethod
    def from_request(
        cls, request: Request, body: RecordedBody | None, redaction: Redaction
    ) -> Self:
        """Create the record of a request, without secrets and random values."""
        headers = redaction.request_headers(request.headers)
        content_type, boundary, _ = headers.get("content-type", "").partition("; boundary=")
        if boundary:
            headers["content-type"] = content_type
        return cls(
            operation=request.operation,
            method=request.method,
            path=redaction.text(request.path),
            query=redaction.query(request.query),
            headers=headers,
            body=body,
        )


class RecordedResponse(_Part):
    """A response."""

    status: int
    headers: dict[str, str] = Field(default_factory=dict[str, str])
    body: RecordedBody | None = None


class RecordedError(_Part):
    """Error that prevented or interrupted the response."""

    phase: Phase
    message: str


class Interaction(_Part):
    """A request and its outcome.

    Args:
        number: Position among all requests by their start, counting from 1.
        started_at: Start of the request, in Unix seconds.
        request: The request.
        response: The response; None if the request failed before it.
        error: Error that prevented or interrupted the response.
        abandoned: Whether the caller left before the end: `early`, or while it was `waiting` for
            the response or the next chunk.
    """

    number: int
    started_at: float
    request: RecordedRequest
    response: RecordedResponse | None = None
    error: RecordedError | None = None
    abandoned: Literal["no", "early", "waiting"] = "no"

    @property
    def is_complete(self) -> bool:
        """Whether the response was received to its end."""
        return self.response is not None and self.error is None and self.abandoned == "no"


class _Version(BaseModel):
    tunesmith_cassette: int


class _Document(_Part):
    tunesmith_cassette: int
    max_body_bytes: int
    interactions: list[Interaction]


class Cassette:
    """A recorded cassette.

    Args:
        path: Path of the file.

    Raises:
        ConfigurationError: The file is missing or not a valid cassette.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            content = path.read_bytes()
            version = _Version.model_validate_json(content).tunesmith_cassette
            if version != _VERSION:
                raise ConfigurationError(
                    f"{path} has cassette format version {version}, but this version of tunesmith "
                    f"reads version {_VERSION}. Record it again."
                )
            document = _Document.model_validate_json(content)
        except FileNotFoundError:
            raise ConfigurationError(
                f"{path} does not exist. Record it first with RecordingBackend."
            ) from None
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(map(str, first["loc"])) or "the file"
            raise ConfigurationError(
                f"{path} is not a valid cassette: {where}: {first['msg']}. Record it again."
            ) from None
        self.max_body_bytes = document.max_body_bytes
        # Interactions are written when they end, and replayed in the order of their start.
        self.interactions = sorted(document.interactions, key=lambda item: item.number)

    def chunks(self, response: RecordedResponse) -> Iterator[bytes]:
        """Yield the chunks of a response body.

        Raises:
            ConfigurationError: The body cannot be read.
        """
        match response.body:
            case {"file": str(name)}:
                yield from self._read_file(name)
            case body:
                try:
                    yield from decode_chunks(body)
                except ValueError as error:
                    raise ConfigurationError(f"{self.path}: {error}") from None

    def _read_file(self, name: str) -> Iterator[bytes]:
        path = _bodies_folder(self.path) / Path(name).name
        try:
            with path.open("rb") as file:
                while chunk := file.read(_READ_BYTES):
                    yield chunk
        except FileNotFoundError:
            raise ConfigurationError(
                f"{path} is missing; it belongs to the cassette {self.path}"
            ) from None


class CassetteWriter:
    """Writer of a cassette.

    Interactions are written to `….part` beside the cassette, which is complete after each one, so
    that a crash loses nothing. `finish` renames it.

    Args:
        path: Path of the cassette.
        max_body_bytes: Maximum length of bodies in the cassette itself.
    """

    def __init__(self, path: Path, max_body_bytes: int) -> None:
        self._path = path
        self._part = path.with_name(f"{path.name}.part")
        self._max_body_bytes = max_body_bytes
        self._started = False
        self._empty = True

    @property
    def bodies_folder(self) -> Path:
        """The folder of long bodies."""
        return _bodies_folder(self._path)

    def add(self, interaction: Interaction) -> None:
        """Append an interaction."""
        self._start()
        text = indent(interaction.model_dump_json(indent=2, exclude_defaults=True), "    ")
        separator = "\n" if self._empty else ",\n"
        with self._part.open("r+b") as file:
            file.seek(-len(_TAIL), os.SEEK_END)
            file.write(separator.encode() + text.encode() + _TAIL)
        self._empty = False

    def finish(self) -> None:
        """Move the cassette into place, replacing an existing one."""
        self._start()
        self._part.replace(self._path)

    def _start(self) -> None:
        if self._started:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        head = (
            f'{{\n  "tunesmith_cassette": {_VERSION},\n'
            f'  "max_body_bytes": {self._max_body_bytes},\n  "interactions": ['
        )
        self._part.write_bytes(head.encode() + _TAIL)
        self._started = True


class BodyFile:
    """Writer of a long response body to a file named by its hash.

    Args:
        folder: Folder of the file.
        redaction: Removes secrets.
    """

    def __init__(self, folder: Path, redaction: Redaction) -> None:
        self._folder = folder
        self._redaction = redaction
        self._hash = hashlib.sha256()
        self._length = 0
        self._pending = b""
        folder.mkdir(parents=True, exist_ok=True)
        self._part = folder / f"{os.urandom(8).hex()}.part"

    def feed(self, chunk: bytes) -> None:
        """Add the next chunk."""
        # A secret may span chunks, but not lines.
        self._pending += chunk
        if len(self._pending) < _READ_BYTES:
            return
        cut = self._pending.rfind(b"\n") + 1 or len(self._pending) - _MAX_SECRET_BYTES
        self._write(self._pending[:cut])
        self._pending = self._pending[cut:]

    def finish(self) -> RecordedBody:
        """Rename the file to its hash and return its reference."""
        self._write(self._pending)
        name = self._hash.hexdigest()
        self._part.replace(self._folder / name)
        return {"file": name, "bytes": self._length}

    def discard(self) -> None:
        """Delete the file."""
        self._part.unlink(missing_ok=True)

    def _write(self, content: bytes) -> None:
        content = self._redaction.body(content)
        self._hash.update(content)
        self._length += len(content)
        # The file is not kept open: many responses may be recorded at once.
        with self._part.open("ab") as file:
            file.write(content)


def _bodies_folder(path: Path) -> Path:
    return path.with_name(f"{path.stem}.bodies")
