"""Recording: every exchange with a backend goes into a cassette as well."""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Iterable
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


class RecordingBackend:
    """Passes everything on, and writes it down for `ReplayBackend`.

    The cassette is a JSON file that reads well in a diff. It is written beside its place as
    `….part` and put there by `aclose`; one that is there is replaced then. Credentials are never in
    it: requests do not have them, and what looks like a secret in headers, queries and bodies is
    taken out. Look at it before you publish it all the same: only you know what is private in your
    data.

    Args:
        inner: The backend to record.
        path: The cassette, such as `tests/cassettes/fine_tune.json`.
        secrets: Texts to take out besides.
        max_body_bytes: Longer questions are written as their hash, longer answers into files of
            their own beside the cassette.

    Example:
        ```python
        from tunesmith.testing.cassettes.recorder import RecordingBackend

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
        self._asked = 0
        self._closed = False

    def __repr__(self) -> str:
        return f"<RecordingBackend to {str(self._path)!r} over {self.inner!r}>"

    @asynccontextmanager
    async def send(self, request: Request, /) -> AsyncGenerator[Response]:
        """Send a request; see `Backend.send`.

        Raises:
            BackendError: The inner backend raised it, or the recording is closed.
        """
        if self._closed:
            raise BackendError("the recording is closed", phase="closed")
        self._asked += 1
        recording = _Recording(self._asked, self._clock.time(), self._sent(request))
        try:
            async with AsyncExitStack() as stack:
                sending = self.inner.send(recording.sent.request)
                response = await recording.wait_for_response(stack.enter_async_context(sending))
                received = _ResponseCapture(
                    response, self._redaction, self._max_body_bytes, self._writer.bodies
                )
                recording.received = received
                stream = await stack.enter_async_context(aclosing(received.chunks()))
                yield replace(response, stream=stream)
        finally:
            await self._write(recording)

    async def aclose(self) -> None:
        """Close the inner backend, and put the cassette in its place."""
        if not self._closed:
            self._closed = True
            self._writer.finish()
        await self.inner.aclose()

    async def _write(self, recording: "_Recording") -> None:
        if self._closed:
            recording.discard()
        elif recording.was_asked:
            self._writer.add(await recording.exchange(self._redaction))

    def _sent(self, request: Request) -> "_RequestCapture":
        return _RequestCapture(request, self._redaction, self._max_body_bytes)


class _Recording:
    """What is known of an exchange while it lasts."""

    def __init__(self, number: int, at: float, sent: "_RequestCapture") -> None:
        self.number = number
        self.at = at
        self.sent = sent
        self.received: _ResponseCapture | None = None
        self.error: BackendError | None = None
        self.was_asked = True

    async def wait_for_response(self, answering: Awaitable[Response]) -> Response:
        """Wait for the answer, and note why none came."""
        try:
            return await answering
        except BackendError as error:
            self.error = error
            raise
        except Exception:
            self.was_asked = False  # the question could not be read, which is its sender's matter
            raise

    async def exchange(self, redaction: Redaction) -> Interaction:
        """Write it down. Waits for nothing."""
        received = self.received
        error = received.error if received is not None else self.error
        response = received.recorded() if received is not None else None
        text = redaction.text(str(error))
        left = "waiting" if received is None else received.left
        return Interaction(
            number=self.number,
            at=self.at,
            request=await self.sent.recorded(),
            response=response,
            error=None if error is None else RecordedError(phase=error.phase, message=text),
            abandoned=left if error is None else "no",
        )

    def discard(self) -> None:
        """Leave nothing of it."""
        if self.received is not None:
            self.received.discard()


class _RequestCapture:
    """A question that is passed on, and looked at as it is read."""

    def __init__(self, request: Request, redaction: Redaction, max_body_bytes: int) -> None:
        self._original = request
        self._redaction = redaction
        self._max_body_bytes = max_body_bytes
        self._body = self._new_body()
        self._read = request.body is None
        self.request = request
        if callable(request.body):
            self.request = replace(request, body=self._chunks)
        elif request.body is not None:
            self._body.feed(request.body)
            self._read = True

    async def recorded(self) -> RecordedRequest:
        """Write the question down. Waits for nothing."""
        body = await self._body.written() if self._read else UNREAD
        return RecordedRequest.from_request(self._original, body, self._redaction)

    def _new_body(self) -> RequestBodyEncoder:
        content_type = self._original.headers.get("content-type", "")
        return RequestBodyEncoder(content_type, self._redaction, self._max_body_bytes)

    async def _chunks(self) -> AsyncIterator[bytes]:
        self._body = self._new_body()
        self._read = False
        async with aclosing(self._original.chunks()) as chunks:
            async for chunk in chunks:
                self._body.feed(chunk)
                yield chunk
        self._read = True


class _ResponseCapture:
    """An answer that is passed on, and kept as it is read."""

    def __init__(
        self, response: Response, redaction: Redaction, max_body_bytes: int, bodies: Path
    ) -> None:
        self._response = response
        self._redaction = redaction
        self._max_body_bytes = max_body_bytes
        self._bodies = bodies
        self._content_type = response.headers.get("content-type", "")
        self._chunks: list[bytes] = []
        self._length = 0
        self._long: BodyFile | None = None
        self.left: Literal["no", "early", "waiting"] = "early"
        self.error: BackendError | None = None

    async def chunks(self) -> AsyncGenerator[bytes]:
        """Pass the body on."""
        stream = aiter(self._response.stream)
        while True:
            self.left = "waiting"
            try:
                chunk = await anext(stream, None)
            except BackendError as error:
                self.error = error
                raise
            if chunk is None:
                self.left = "no"
                return
            self.left = "early"
            self._keep(chunk)
            yield chunk

    def recorded(self) -> RecordedResponse:
        """Write the answer down."""
        # Nobody reads on after this, so it does not matter where the answer was left.
        if self._streams and _DONE in b"".join(self._chunks[-2:]):
            self.left = "no"
        return RecordedResponse(
            status=self._response.status,
            headers=self._redaction.headers(self._response.headers),
            body=self._recorded_body(),
        )

    def discard(self) -> None:
        """Leave nothing of it."""
        if self._long is not None:
            self._long.discard()

    @property
    def _streams(self) -> bool:
        return "event-stream" in self._content_type

    def _keep(self, chunk: bytes) -> None:
        self._length += len(chunk)
        if self._long is not None:
            self._long.feed(chunk)
            return
        self._chunks.append(chunk)
        if self._length > self._max_body_bytes and not self._streams:
            self._long = BodyFile(self._bodies, self._redaction)
            for kept in self._chunks:
                self._long.feed(kept)
            self._chunks.clear()

    def _recorded_body(self) -> RecordedBody | None:
        if self._long is not None:
            return self._long.finish()
        if self._streams:
            return encode_chunks(self._chunks, self._redaction)
        if not self._length:
            return None
        return encode_body(self._redaction.body(b"".join(self._chunks)), self._content_type)
