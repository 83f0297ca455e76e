"""Server-sent events, as the standard has them.

Source: https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

import re
from typing import NamedTuple

__all__ = ["SSEDecoder", "ServerSentEvent", "encode_event"]

_BOM = b"\xef\xbb\xbf"
_LINE_END = re.compile(rb"\r\n|\n|\r")


class ServerSentEvent(NamedTuple):
    """One event.

    Args:
        data: The data lines, joined by line feeds.
        event: The event's type; empty if it has none.
        id: The last id that was sent; empty if there was none.
        retry_ms: How long to wait before connecting again, if the server says so.
    """

    data: bytes
    event: str = ""
    id: str = ""
    retry_ms: int | None = None


class SSEDecoder:
    r"""Turns the chunks of a body into events, wherever the chunks are cut.

    Example:
        ```python
        from tunesmith.protocol.sse import SSEDecoder

        decoder = SSEDecoder()
        assert decoder.feed(b'data: {"id"') == []
        assert decoder.feed(b": 1}\n\n")[0].data == b'{"id": 1}'
        ```
    """

    __slots__ = ("_begun", "_data", "_event", "_id", "_pending", "_retry_ms")

    def __init__(self) -> None:
        self._pending: list[bytes] = []
        self._begun = False
        self._data: list[bytes] = []
        self._event = ""
        self._id = ""
        self._retry_ms: int | None = None

    def feed(self, chunk: bytes) -> list[ServerSentEvent]:
        """Take a chunk, and give the events that are complete with it."""
        pending = self._pending
        pending.append(chunk)
        # Only a chunk with a line end can complete anything; without one, joining waits, so that
        # a huge line that comes in small pieces takes linear time.
        if b"\n" not in chunk and b"\r" not in chunk and not _ends_in_cr(pending):
            return []
        text = b"".join(pending)
        pending.clear()
        if not self._begun:
            if len(text) < len(_BOM) and _BOM.startswith(text):
                pending.append(text)
                return []
            self._begun = True
            text = text.removeprefix(_BOM)
        # A CR at the end may be half of a CRLF: it waits for what comes next.
        held = b"\r" if text.endswith(b"\r") else b""
        lines = _split(text[: len(text) - len(held)])
        rest = lines.pop() + held
        if rest:
            pending.append(rest)
        return self._take(lines)

    def finish(self) -> list[ServerSentEvent]:
        """Give what is left at the end of the body.

        The standard throws an unfinished event away; but servers leave out the last blank line,
        and what they sent with it counts.
        """
        text = b"".join(self._pending).removeprefix(b"" if self._begun else _BOM)
        self._pending.clear()
        return self._take([*_split(text), b""])

    def _take(self, lines: list[bytes]) -> list[ServerSentEvent]:
        events: list[ServerSentEvent] = []
        for line in lines:
            if line.startswith(b"data: "):
                self._data.append(line[6:])
            elif line:
                self._field(line)
            else:
                if self._data:
                    data = self._data[0] if len(self._data) == 1 else b"\n".join(self._data)
                    events.append(ServerSentEvent(data, self._event, self._id, self._retry_ms))
                    self._data = []
                self._event = ""
        return events

    def _field(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._data.append(value)
        elif name == b"event":
            self._event = value.decode("utf-8", "replace")
        elif name == b"id" and b"\0" not in value:
            self._id = value.decode("utf-8", "replace")
        elif name == b"retry" and value.isdigit():
            self._retry_ms = int(value)


def _ends_in_cr(pending: list[bytes]) -> bool:
    return len(pending) > 1 and pending[-2].endswith(b"\r")


def _split(text: bytes) -> list[bytes]:
    return _LINE_END.split(text) if b"\r" in text else text.split(b"\n")


def encode_event(data: bytes, event: str | None = None) -> bytes:
    """Write an event.

    Args:
        data: The data; each of its lines becomes a data line.
        event: The event's type.
    """
    head = f"event: {event}\n".encode() if event else b""
    return head + b"data: " + b"\ndata: ".join(_split(data)) + b"\n\n"
