"""Backend that records every interaction in a cassette."""

from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Literal

from tunesmith.backends.base import Backend, get_clock
from tunesmith.errors import BackendError
from tunesmith.protocol.message import Request, Response
from tunesmith.testing.cassettes.bodies import (
    UNREAD,
    RecordedBody,
    RequestBodyEncoder,
    encode_body,
    encode_chunks,
)
from tunesmith.testing.cassettes.cassette import (
    MAX_BODY_BYTES,
    BodyFile,
    CassetteWriter,
    Interaction,
    RecordedError,
    RecordedRequest,
    RecordedResponse,
)
from tunesmith.testing.cassettes.redaction import Redaction

__all__ = ["RecordingBackend"]

_DONE = b"data: [DONE]"
_Abandoned = Literal["no", "early", "waiting"]


class RecordingBackend:
    """Backend around another one that records every interaction for `ReplayBackend`.

    The cassette is a JSON file that is readable in a diff. It is written beside its path as
    `….part` and moved into place by `aclose`, replacing an existing one.

    Credentials never reach it, and texts in headers, queries and bodies that look like secrets are
    removed. Review a cassette before you publish it: it may hold private data.

    Args:
        inner: The backend to record.
        path: Path of the cassette, such as `tests/cassettes/fine_tune.json`.
        secrets: Further texts to remove.
        max_body_bytes: Maximum length of a body in the cassette. Longer request bodies are recorded
            as their hash, longer response bodies in files beside the cassette.

    Example:
        ```python
        from tunesmith.testing import RecordingBackend

        recording = RecordingBackend(MemoryBackend(), "cassettes/models.json")
        async with AsyncClient(backend=recording) as client:
            await client.models.retrieve("davinci-002")
        ```
    """

    def __init__(
        self,
        inner: Backend,
        path: str | PathLike[str],
        *,
        secrets: Iterable[str] = (),
        max_body_bytes: int = MAX_BODY_BYTES,
    ) -> None:
        self.inner = inner
        self._redaction = Redaction(secrets)
        self._max_body_bytes = max_body_bytes
        self._writer = CassetteWriter(Path(path), max_body_bytes)
        self._path = path
        self._clock = get_clock(inner)
        self._count = 0
        self._closed = False

    def __repr__(self) -> str:
        return f"<RecordingBackend to {str(self._path)!r} over {self.inner!r}>"

    @asynccontextmanager
    async def send(self, request: Request, /) -> AsyncGenerator[Response]:
        """Send a request; see `Backend.send`.

        Raises:
            BackendError: Raised by the inner backend, or the recording is closed.
        """
        if self._closed:
            raise BackendError("the recording is closed", phase="closed")
        self._count += 1
        number, started_at = self._count, self._clock.time()
        sent = _RequestCapture(request, self._redaction, self._max_body_bytes)
        received: _ResponseCapture | None = None
        error: BackendError | None = None
        is_readable = True
        try:
            async with AsyncExitStack() as stack:
                try:
                    response = await stack.enter_async_context(self.inner.send(sent.request))
                except BackendError as raised:
                    error = raised
                    raise
                except Exception:
                    is_readable = False  # raised by the request body
                    raise
                received = _ResponseCapture(
                    response,
                    self._redaction.with_headers(request.headers),  # a server may echo them
                    self._max_body_bytes,
                    self._writer.bodies_folder,
                )
                stream = await stack.enter_async_context(aclosing(received.chunks()))
                yield replace(response, stream=stream)
        finally:
            if is_readable:
                await self._add(number, started_at, sent, received, error)

    async def aclose(self) -> None:
        """Close the inner backend, and move the cassette into place."""
        if not self._closed:
            self._closed = True
            self._writer.finish()
        await self.inner.aclose()

    async def _add(
        self,
        number: int,
        started_at: float,
        sent: "_RequestCapture",
        received: "_ResponseCapture | None",
        error: BackendError | None,
    ) -> None:
        if self._closed:
            if received is not None:
                received.discard()
            return
        response: RecordedResponse | None = None
        abandoned: _Abandoned = "waiting"
        if received is not None:
            response, abandoned, error = received.record(), received.abandoned, received.error
        message = self._redaction.text(str(error))
        interaction = Interaction(
            number=number,
            started_at=started_at,
            request=await sent.record(),
            response=response,
            error=None if error is None else RecordedError(phase=error.phase, message=message),
            abandoned=abandoned if error is None else "no",
        )
        self._writer.add(interaction)


class _RequestCapture:
    """A request whose body is recorded while it is sent."""

    def __init__(self, request: Request, redaction: Redaction, max_body_bytes: int) -> None:
        self._original = request
        self._redaction = redaction
        self._max_body_bytes = max_body_bytes
        self._encoder = self._new_encoder()
        self._is_read = not callable(request.body)
        self.request = request
        if callable(request.body):
            self.request = replace(request, body=self._chunks)
        elif request.body is not None:
            self._encoder.feed(request.body)

    async def record(self) -> RecordedRequest:
        """Return the record of the request. Never blocks."""
        body = await self._encoder.encode() if self._is_read else UNREAD
        return RecordedRequest.from_request(self._original, body, self._redaction)

    def _new_encoder(self) -> RequestBodyEncoder:
        content_type = self._original.headers.get("content-type", "")
        return RequestBodyEncoder(content_type, self._redaction, self._max_body_bytes)

    async def _chunks(self) -> AsyncIterator[bytes]:
        self._encoder = self._new_encoder()
        self._is_read = False
        async with aclosing(self._original.chunks()) as chunks:
            async for chunk in chunks:
                self._encoder.feed(chunk)
                yield chunk
        self._is_read = True


class _ResponseCapture:
    """A response whose body is recorded while it is read."""

    def __init__(
        self, response: Response, redaction: Redaction, max_body_bytes: int, folder: Path
    ) -> None:
        self._response = response
        self._redaction = redaction
        self._max_body_bytes = max_body_bytes
        self._folder = folder
        self._content_type = response.headers.get("content-type", "")
        self._is_stream = "event-stream" in self._content_type
        self._chunks: list[bytes] = []
        self._length = 0
        self._file: BodyFile | None = None
        self.abandoned: _Abandoned = "early"
        self.error: BackendError | None = None

    async def chunks(self) -> AsyncGenerator[bytes]:
        """Store the chunks of the body while yielding them."""
        stream = aiter(self._response.stream)
        while True:
            self.abandoned = "waiting"
            try:
                chunk = await anext(stream, None)
            except BackendError as error:
                self.error = error
                raise
            if chunk is None:
                self.abandoned = "no"
                return
            self.abandoned = "early"
            self._store(chunk)
            yield chunk

    def record(self) -> RecordedResponse:
        """Return the record of the response."""
        # Clients do not read beyond the terminator.
        if self._is_stream and _DONE in b"".join(self._chunks[-2:]):
            self.abandoned = "no"
        return RecordedResponse(
            status=self._response.status,
            headers=self._redaction.headers(self._response.headers),
            body=self._encode(),
        )

    def discard(self) -> None:
        """Delete what was stored."""
        if self._file is not None:
            self._file.discard()

    def _store(self, chunk: bytes) -> None:
        self._length += len(chunk)
        if self._file is not None:
            self._file.feed(chunk)
            return
        self._chunks.append(chunk)
        if self._length > self._max_body_bytes and not self._is_stream:
            self._file = BodyFile(self._folder, self._redaction)
            for stored in self._chunks:
                self._file.feed(stored)
            self._chunks.clear()

    def _encode(self) -> RecordedBody | None:
        if self._file is not None:
            return self._file.finish()
        if self._is_stream:
            return encode_chunks(self._chunks, self._redaction)
        if not self._length:
            return None
        return encode_body(self._redaction.body(b"".join(self._chunks)), self._content_type)
