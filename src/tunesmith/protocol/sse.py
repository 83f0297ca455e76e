"""Server-sent events.

Source: https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

import re
from typing import NamedTuple

__all__ = ["SSEDecoder", "ServerSentEvent", "encode_event"]

_BOM = b"\xef\xbb\xbf"
_LINE_END = re.compile(rb"\r\n|\n|\r")

_MAX_RETRY_DIGITS = 18
"""Longer numbers are ignored, since int() rejects thousands of digits."""


class ServerSentEvent(NamedTuple):
    """Event of a stream.

    Args:
        data: The data lines, joined by line feeds.
        event: The event type; empty if it has none.
        id: The last event ID; empty if there was none.
        retry_ms: Reconnection time in milliseconds, if the server sent one.
    """

    data: bytes
    event: str = ""
    id: str = ""
    retry_ms: int | None = None


class SSEDecoder:
    r"""Decoder of chunks, cut anywhere, into events.

    Example:
        ```python
        from tunesmith.protocol.sse import SSEDecoder

        decoder = SSEDecoder()
        assert decoder.feed(b'data: {"id"') == []
        assert decoder.feed(b": 1}\n\n")[0].data == b'{"id": 1}'
        ```
    """

    __slots__ = ("_after_cr", "_begun", "_data", "_event", "_id", "_pending", "_retry_ms")

    def __init__(self) -> None:
        self._pending: list[bytes] = []
        self._begun = False
        self._after_cr = False
        self._data: list[bytes] = []
        self._event = ""
        self._id = ""
        self._retry_ms: int | None = None

    def feed(self, chunk: bytes) -> list[ServerSentEvent]:
        """Decode a chunk, and return the events completed by it.

        Args:
            chunk: Bytes of the body, cut anywhere.
        """
        if self._after_cr and chunk:
            # A CR ends its line at once, so that the event need not wait for the next chunk; an LF
            # that follows is the other half of a CRLF.
            self._after_cr = False
            chunk = chunk.removeprefix(b"\n")
        pending = self._pending
        pending.append(chunk)
        # Only a line end can complete an event. Joining is deferred until then, so that a long line
        # in small pieces takes linear time.
        if b"\n" not in chunk and b"\r" not in chunk:
            return []
        text = b"".join(pending)
        pending.clear()
        if not self._begun:
            self._begun = True
            text = text.removeprefix(_BOM)
        self._after_cr = text.endswith(b"\r")
        lines = _split(text)
        rest = lines.pop()
        if rest:
            pending.append(rest)
        return self._parse(lines)

    def finish(self) -> list[ServerSentEvent]:
        """Return the events left at the end of a complete body.

        The standard discards an unfinished event, but some servers omit the last blank line or the
        last line end.
        """
        text = b"".join(self._pending)
        if not self._begun:
            text = text.removeprefix(_BOM)
        self._pending.clear()
        return self._parse([*_split(text), b""])

    def _parse(self, lines: list[bytes]) -> list[ServerSentEvent]:
        events: list[ServerSentEvent] = []
        for line in lines:
            if line.startswith(b"data: "):
                self._data.append(line[6:])
            elif line:
                self._parse_field(line)
            else:
                if self._data:
                    data = b"\n".join(self._data)
                    events.append(ServerSentEvent(data, self._event, self._id, self._retry_ms))
                    self._data = []
                self._event = ""
        return events

    def _parse_field(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._data.append(value)
        elif line.startswith(b'{"'):
            self._data.append(line)  # an error that a proxy wrote into the stream
        elif name == b"event":
            self._event = value.decode("utf-8", "replace")
        elif name == b"id" and b"\0" not in value:
            self._id = value.decode("utf-8", "replace")
        elif name == b"retry" and value.isdigit() and len(value) <= _MAX_RETRY_DIGITS:
            self._retry_ms = int(value)


def _split(text: bytes) -> list[bytes]:
    return _LINE_END.split(text) if b"\r" in text else text.split(b"\n")


def encode_event(data: bytes, event: str | None = None) -> bytes:
    r"""Encode an event.

    Args:
        data: The data; each of its lines becomes a data line.
        event: The event type.

    Raises:
        ValueError: The type contains a line end.

    Example:
        ```python
        from tunesmith.protocol.sse import encode_event

        assert encode_event(b"[DONE]") == b"data: [DONE]\n\n"
        ```
    """
    if event and ("\n" in event or "\r" in event):
        raise ValueError(f"an event type must be one line, not {event!r}")
    head = f"event: {event}\n".encode() if event else b""
    return head + b"data: " + b"\ndata: ".join(_split(data)) + b"\n\n"
