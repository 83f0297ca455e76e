"""One response of the fast backend, parsed by httptools as it arrives."""

import asyncio
import functools
from collections import deque
from collections.abc import AsyncIterator

import httptools

from tunesmith.errors import BackendError

__all__ = ["HttpResponse"]

_READ_BUFFER_LIMIT = 256 * 1024
"""Reading from the socket pauses while more than this is unread."""

_MAX_HEAD_BYTES = 256 * 1024
"""Maximum length of status line and headers: a server must not fill the memory with them."""

_HTTP_OK = 200


@functools.lru_cache(maxsize=256)
def _header_name(name: bytes) -> str:
    return name.decode("latin-1").lower()


def _create_parser(response: "HttpResponse") -> httptools.HttpResponseParser:
    parser = httptools.HttpResponseParser(response)
    # As lenient as the parser of httpx: folded headers, both kinds of length, line feeds alone.
    # Servers must refuse these; a client reads one response, and closes a connection with surplus.
    parser.set_dangerous_leniencies(
        lenient_headers=True,
        lenient_chunked_length=True,
        lenient_version=True,
        lenient_optional_cr_before_lf=True,
        lenient_spaces_after_chunk_size=True,
    )
    return parser


class HttpResponse:
    """Status and headers of a response, then an iterator over the chunks of its body.

    Args:
        transport: The connection's transport, paused while too much is unread.
        timeout_s: Seconds to wait for the next bytes of the body; None for no limit.
        has_body: Whether a body may follow; False for a request with `HEAD`.
    """

    __slots__ = (
        "_chunks",
        "_complete",
        "_error",
        "_has_body",
        "_head_bytes",
        "_keep_alive",
        "_parser",
        "_paused",
        "_timeout_s",
        "_timer",
        "_transport",
        "_waiter",
        "_waiting_bytes",
        "_waiting_since",
        "has_head",
        "headers",
        "status",
    )

    def __init__(
        self, transport: asyncio.Transport, timeout_s: float | None, *, has_body: bool
    ) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self._transport = transport
        self._parser: httptools.HttpResponseParser | None = _create_parser(self)
        self._chunks: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._paused = False
        self._has_body = has_body
        self.has_head = False
        self._head_bytes = 0
        self._complete = False
        self._keep_alive = False
        self._error: BackendError | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._timeout_s = timeout_s
        self._waiting_since = 0.0
        self._timer: asyncio.TimerHandle | None = None

    @property
    def is_reusable(self) -> bool:
        """Whether the response is complete and the server accepts another request."""
        return self._complete and self._keep_alive

    async def read_head(self) -> None:
        """Wait for status and headers.

        Raises:
            BackendError: The connection broke, or the response is not HTTP.
        """
        while not self.has_head:
            if self._error is not None:
                raise self._error
            await self._wait_for_data()

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        """Return all unread bytes of the body; wait if there are none.

        Raises:
            BackendError: The body broke off.
        """
        chunks = self._chunks
        while not chunks:
            if self._complete:
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
        if self._timer is None and self.has_head and self._timeout_s is not None:
            # One timer for all waits of a body: it checks how long the current one lasts.
            self._timer = loop.call_later(
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
            self._timer = loop.call_later(left, self._check_timeout, loop, timeout_s)
        else:
            self.fail(BackendError("no data within the timeout", phase="timeout"))

    def detach(self) -> None:
        """Stop the timer, and break the reference cycle with the parser."""
        self._parser = None
        if self._timer is not None:
            self._timer.cancel()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def feed(self, data: memoryview) -> bool:
        """Parse bytes from the socket; return whether they belong to the response."""
        if self._complete or self._parser is None:
            self._keep_alive = False  # surplus bytes
            return False
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._keep_alive = False
            self.fail(BackendError(f"the response is not HTTP/1.1: {error}", phase="read"))
            return False
        if self._chunks or self._complete:
            self._wake()
        if not self.has_head:
            self._head_bytes += len(data)
            if self._head_bytes > _MAX_HEAD_BYTES:
                self.fail(BackendError("the headers of the response are too long", phase="read"))
                return False
        if self._waiting_bytes > _READ_BUFFER_LIMIT and not self._paused:
            self._paused = True
            self._transport.pause_reading()
        return True

    def connection_lost(self, exc: Exception | None, *, sent: bool) -> None:
        """End the response, or fail it if it is incomplete.

        Args:
            exc: Why the connection is lost; None if the server closed it.
            sent: Whether the whole request was sent.
        """
        self._keep_alive = False
        ends_with_connection = (
            self.has_head
            and "content-length" not in self.headers
            and "transfer-encoding" not in self.headers
        )
        if exc is None and ends_with_connection and self._error is None:
            self._complete = True
            self._wake()
        else:
            message = str(exc) if exc else "the server closed the connection during the response"
            self.fail(BackendError(message, phase="read" if sent else "write"))

    def fail(self, error: BackendError) -> None:
        """Fail the response if it is incomplete."""
        if not self._complete and self._error is None:
            self._error = error
        self._wake()

    # Called by httptools.

    def on_message_begin(self) -> None:
        """Refuse a second response."""
        if self._complete:
            raise ValueError  # httptools stops parsing, and raises an error of its own

    def on_header(self, name: bytes, value: bytes) -> None:
        """Store a header."""
        if self.has_head:
            return  # a trailer
        key, text = _header_name(name), value.decode("latin-1")
        headers = self.headers
        headers[key] = f"{headers[key]}, {text}" if key in headers else text

    def on_headers_complete(self) -> None:
        """Make status and headers available."""
        status = self._parser.get_status_code() if self._parser else 0
        if status < _HTTP_OK:
            self.headers.clear()  # 100 Continue, 103 Early Hints: the response follows
            return
        self.status = status
        self.has_head = True
        self._complete = not self._has_body
        self._wake()

    def on_body(self, data: bytes) -> None:
        """Store a chunk of the body."""
        self._chunks.append(data)
        self._waiting_bytes += len(data)

    def on_message_complete(self) -> None:
        """Complete the response."""
        if self.has_head:
            self._complete = True
            self._keep_alive = self._parser is not None and self._parser.should_keep_alive()
