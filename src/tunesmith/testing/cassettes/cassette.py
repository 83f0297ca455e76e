"""A cassette: what was asked of a service and what it answered, as one readable JSON file."""

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
"""Longer bodies are no longer read by anybody."""

_VERSION = 2
_PIECE_BYTES = 64 * 1024
_LONGEST_SECRET_BYTES = 8 * 1024


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class RecordedRequest(_Part):
    """A question; its headers are for the reader, but for `range` and `if-range`."""

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
        """Write a question down, without what is secret or made up anew each time."""
        headers = redaction.headers(request.headers)
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
    """An answer."""

    status: int
    headers: dict[str, str] = Field(default_factory=dict[str, str])
    body: RecordedBody | None = None


class RecordedError(_Part):
    """Why no answer came, or why it broke off."""

    phase: Phase
    message: str


class Interaction(_Part):
    """A question and what became of it.

    Args:
        number: Counts the questions in the order in which they were asked, from 1.
        at: When it was asked, in Unix seconds.
        request: The question.
        response: The answer; None if none came.
        error: Why the answer did not come, or not to its end.
        abandoned: Whether the caller went away before the end: `early`, or while it was `waiting`
            for the answer or for more of it.
    """

    number: int
    at: float
    request: RecordedRequest
    response: RecordedResponse | None = None
    error: RecordedError | None = None
    abandoned: Literal["no", "early", "waiting"] = "no"

    @property
    def is_complete(self) -> bool:
        """Whether the answer came to its end."""
        return self.response is not None and self.error is None and self.abandoned == "no"


class _Version(BaseModel):
    tunesmith_cassette: int


class _Document(_Part):
    tunesmith_cassette: int
    max_body_bytes: int
    exchanges: list[Interaction]


class Cassette:
    """A cassette that was recorded.

    Args:
        path: The file.

    Raises:
        ConfigurationError: There is none, or it is no cassette.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            content = path.read_bytes()
            version = _Version.model_validate_json(content).tunesmith_cassette
            if version != _VERSION:
                raise ConfigurationError(
                    f"{path} is a cassette in format version {version}, but this tunesmith reads "
                    f"version {_VERSION}: record it again"
                )
            document = _Document.model_validate_json(content)
        except FileNotFoundError:
            raise ConfigurationError(
                f"there is no cassette {path}: record it first, with RecordingBackend"
            ) from None
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(map(str, first["loc"])) or "the file"
            raise ConfigurationError(
                f"{path} is no cassette: {where}: {first['msg']}. Record it again."
            ) from None
        self.max_body_bytes = document.max_body_bytes
        # They were written as they ended; code asks in the order in which they began.
        self.exchanges = sorted(document.exchanges, key=lambda exchange: exchange.number)

    def chunks(self, response: RecordedResponse) -> Iterator[bytes]:
        """Go through an answer's body.

        Raises:
            ConfigurationError: It cannot be read.
        """
        match response.body:
            case {"file": str(name)}:
                yield from self._pieces(name)
            case body:
                try:
                    yield from decode_chunks(body)
                except ValueError as error:
                    raise ConfigurationError(f"{self.path}: {error}") from None

    def _pieces(self, name: str) -> Iterator[bytes]:
        path = _bodies(self.path) / Path(name).name
        try:
            with path.open("rb") as file:
                while piece := file.read(_PIECE_BYTES):
                    yield piece
        except FileNotFoundError:
            raise ConfigurationError(
                f"{path} is missing, which belongs to the cassette {self.path}"
            ) from None


class CassetteWriter:
    """Writes a cassette beside its place, and puts it there at the end.

    What is beside it, named `….part`, is a whole cassette after each exchange, so that nothing is
    lost if the end never comes.

    Args:
        path: Where the cassette shall be.
        max_body_bytes: Longer bodies do not go into the cassette itself.
    """

    def __init__(self, path: Path, max_body_bytes: int) -> None:
        self._path = path
        self._part = path.with_name(f"{path.name}.part")
        self._max_body_bytes = max_body_bytes
        self._begun = False
        self._empty = True

    @property
    def bodies(self) -> Path:
        """The folder for bodies that are too long."""
        return _bodies(self._path)

    def add(self, exchange: Interaction) -> None:
        """Write an exchange down."""
        self._begin()
        text = indent(exchange.model_dump_json(indent=2, exclude_defaults=True), "    ")
        separator = "\n" if self._empty else ",\n"
        with self._part.open("r+b") as file:
            file.seek(-len(_TAIL), os.SEEK_END)
            file.write(separator.encode() + text.encode() + _TAIL)
        self._empty = False

    def finish(self) -> None:
        """Put the cassette in its place; one that is there is replaced."""
        self._begin()
        self._part.replace(self._path)

    def _begin(self) -> None:
        if self._begun:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        head = (
            f'{{\n  "tunesmith_cassette": {_VERSION},\n'
            f'  "max_body_bytes": {self._max_body_bytes},\n  "exchanges": ['
        )
        self._part.write_bytes(head.encode() + _TAIL)
        self._begun = True


_TAIL = b"\n  ]\n}\n"


class BodyFile:
    """Writes the body of an answer that is too long for the cassette, as it comes.

    It becomes a file named by its hash, so that the same body is there once.

    Args:
        folder: Where the file shall be.
        redaction: Takes secrets out.
    """

    def __init__(self, folder: Path, redaction: Redaction) -> None:
        self._folder = folder
        self._redaction = redaction
        self._hash = hashlib.sha256()
        self._length = 0
        self._held = b""
        folder.mkdir(parents=True, exist_ok=True)
        self._part = folder / f"{os.urandom(8).hex()}.part"

    def feed(self, chunk: bytes) -> None:
        """Take the next chunk."""
        # A secret may reach over several chunks, but not over the end of a line.
        self._held += chunk
        if len(self._held) < _PIECE_BYTES:
            return
        cut = self._held.rfind(b"\n") + 1 or len(self._held) - _LONGEST_SECRET_BYTES
        self._write(self._held[:cut])
        self._held = self._held[cut:]

    def finish(self) -> RecordedBody:
        """Name the file."""
        self._write(self._held)
        name = self._hash.hexdigest()
        self._part.replace(self._folder / name)
        return {"file": name, "bytes": self._length}

    def discard(self) -> None:
        """Leave nothing of it."""
        self._part.unlink(missing_ok=True)

    def _write(self, content: bytes) -> None:
        content = self._redaction.body(content)
        self._hash.update(content)
        self._length += len(content)
        # It is not kept open: a recording may hold many answers at once.
        with self._part.open("ab") as file:
            file.write(content)


def _bodies(path: Path) -> Path:
    return path.with_name(f"{path.stem}.bodies")
