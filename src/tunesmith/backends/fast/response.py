"""One answer of the fast backend: httptools parses it as its bytes come."""

import asyncio
import functools
from collections import deque
from collections.abc import AsyncIterator

import httptools

from tunesmith.errors import BackendError

__all__ = ["HttpResponse"]

_READ_BUFFER_LIMIT = 256 * 1024
"""What has come and nobody has read; the socket is not read on while it is more."""

_MOST_HEAD_BYTES = 256 * 1024
"""A longer head is no answer; else a server could fill the memory before any limit is asked for."""

_HTTP_OK = 200


@functools.lru_cache(maxsize=256)
def _header_name(name: bytes) -> str:
    return name.decode("latin-1").lower()


class HttpResponse:
    """An answer as it comes: its status and headers, then chunks of its body.

    Args:
        transport: Where it comes from; it is paused while nobody reads.
        timeout_s: Seconds to wait for the next bytes; None for no limit.
        has_body: Whether a body may follow; none does what was asked by `HEAD`.
    """

    __slots__ = (
        "_chunks",
        "_error",
        "_has_body",
        "_has_head",
        "_head_bytes",
        "_keep_alive",
        "_parser",
        "_paused",
        "_timeout_s",
        "_transport",
        "_waiter",
        "_waiting_bytes",
        "_waiting_since",
        "_watch",
        "_whole",
        "headers",
        "status",
    )

    def __init__(
        self, transport: asyncio.Transport, timeout_s: float | None, *, has_body: bool
    ) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self._transport = transport
        self._parser: httptools.HttpResponseParser | None = httptools.HttpResponseParser(self)
        self._chunks: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._paused = False
        self._has_body = has_body
        self._has_head = False
        self._head_bytes = 0
        self._whole = False
        self._keep_alive = False
        self._error: BackendError | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._timeout_s = timeout_s
        self._waiting_since = 0.0
        self._watch: asyncio.TimerHandle | None = None

    @property
    def is_reusable(self) -> bool:
        """Whether all of it came, and the server takes another request."""
        return self._whole and self._keep_alive

    async def read_head(self) -> None:
        """Wait for status and headers.

        Raises:
            BackendError: They did not come.
        """
        while not self._has_head:
            if self._error is not None:
                raise self._error
            await self._wait_for_data()

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        """Wait for more of the body; all that is there is given at once.

        Raises:
            BackendError: The body broke off.
        """
        chunks = self._chunks
        while not chunks:
            if self._whole:
                raise StopAsyncIteration
            if self._error is not None:
                raise self._error
            await self._wait_for_data()
        data = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        chunks.clear()
        self._waiting_bytes = 0
        if self._paused:
            self._paused = False
            self._transport.resume_reading()
        return data

    async def _wait_for_data(self) -> None:
        loop = asyncio.get_running_loop()
        self._waiting_since = loop.time()
        if self._watch is None and self._has_head and self._timeout_s is not None:
            # One timer for all waits: it finds out how long the wait is that it comes upon.
            self._watch = loop.call_later(
                self._timeout_s, self._check_timeout, loop, self._timeout_s
            )
        self._waiter = loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _check_timeout(self, loop: asyncio.AbstractEventLoop, timeout_s: float) -> None:
        waiting = self._waiter is not None
        left = self._waiting_since + timeout_s - loop.time() if waiting else timeout_s
        if left > 0:
            self._watch = loop.call_later(left, self._check_timeout, loop, timeout_s)
        else:
            self.fail(BackendError("no more came within the timeout", phase="timeout"))

    def detach(self) -> None:
        """Wait for no more, and let go of the parser, which holds on to this object too."""
        self._parser = None
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def feed(self, data: memoryview) -> bool:
        """Take bytes from the socket; tells whether they belong to the answer."""
        if self._whole or self._parser is None:
            self._keep_alive = False  # more came than was announced
            return False
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._keep_alive = False
            self.fail(BackendError(f"the answer is not HTTP/1.1: {error}", phase="read"))
            return False
        if self._chunks or self._whole:
            self._wake()
        if not self._has_head:
            self._head_bytes += len(data)
            if self._head_bytes > _MOST_HEAD_BYTES:
                self.fail(BackendError("the answer's headers have no end", phase="read"))
                return False
        if self._waiting_bytes > _READ_BUFFER_LIMIT and not self._paused:
            self._paused = True
            self._transport.pause_reading()
        return True

    def connection_lost(self, exc: Exception | None, *, sent: bool) -> None:
        """Learn that the connection is closed."""
        self._keep_alive = False
        ends_with_connection = (
            self._has_head
            and "content-length" not in self.headers
            and "transfer-encoding" not in self.headers
        )
        if exc is None and ends_with_connection and self._error is None:
            self._whole = True
            self._wake()
        else:
            why = str(exc) if exc else "the server closed the connection before the answer's end"
            self.fail(BackendError(why, phase="read" if sent else "write"))

    def fail(self, error: BackendError) -> None:
        """End the answer by an error, if it has no end yet."""
        if not self._whole and self._error is None:
            self._error = error
        self._wake()

    # What httptools calls.

    def on_message_begin(self) -> None:
        """Refuse another answer behind this one, which nobody asked for."""
        if self._whole:
            raise ValueError("more came than was announced")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header."""
        if self._has_head:
            return  # a trailer
        key, text = _header_name(name), value.decode("latin-1")
        headers = self.headers
        headers[key] = f"{headers[key]}, {text}" if key in headers else text

    def on_headers_complete(self) -> None:
        """Let the head be read."""
        status = self._parser.get_status_code() if self._parser else 0
        if status < _HTTP_OK:
            self.headers.clear()  # 100 Continue, 103 Early Hints: the answer follows
            return
        self.status = status
        self._has_head = True
        self._whole = not self._has_body
        self._wake()

    def on_body(self, data: bytes) -> None:
        """Take a piece of the body."""
        self._chunks.append(data)
        self._waiting_bytes += len(data)

    def on_message_complete(self) -> None:
        """Learn that all is there."""
        if self._has_head:
            self._whole = True
            self._keep_alive = self._parser is not None and self._parser.should_keep_alive()
