"""The server that all clients are measured against: lean, in a process and on a core of its own.

    python -m tests.benchmarks.server CERTIFICATE

It prints its two ports, HTTP and HTTPS, and serves until its standard input ends. Answers are
fixed; `max_tokens` says of how many chunks a stream is, `user` how many milliseconds lie between.
"""

import asyncio
import re
import ssl
import sys
from itertools import count

import uvloop
from tests.benchmarks.answers import (
    ANSWERS,
    CHUNKS,
    DOWNLOAD_BYTES,
    EVENTS,
    FILE,
    HEADERS_BACK,
    PAGE,
    page,
)

_BLOCK = bytes(65536)
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_PAUSE_MS = re.compile(rb'"user": ?"(\d+)"')
_ENDPOINT = re.compile(rb"/v1/(completions|chat|responses)")
_AFTER = re.compile(rb"after=ftevent-(\d+)")


def _head(length: int) -> bytes:
    lines = "".join(f"{name}: {value}\r\n" for name, value in HEADERS_BACK.items())
    return f"HTTP/1.1 200 OK\r\n{lines}content-length: {length}\r\n\r\n".encode()


def _whole(body: bytes) -> bytes:
    return _head(len(body)) + body


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


_STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nx-request-id: req-1\r\n"
    b"transfer-encoding: chunked\r\n\r\n"
)
_FILE = _whole(FILE)
_PAGES = {after: _whole(page(after)) for after in range(0, EVENTS, PAGE)}
_ANSWERS = {
    endpoint.encode(): (_whole(whole), _chunk(event), _chunk(last) + b"0\r\n\r\n")
    for endpoint, (whole, event, last) in ANSWERS.items()
}


class Ticker:
    """Writes one chunk to each open stream at every tick, so that no two come together."""

    streams: dict[int, "Ticker"] = {}  # noqa: RUF012 - one ticker for each pause, for ever

    def __init__(self, pause_ms):
        self.pause_s = pause_ms / 1000
        self.open = {}
        self.number = count()

    @classmethod
    def start(cls, transport, chunks, pause_ms, endpoint):
        ticker = cls.streams.setdefault(pause_ms, cls(pause_ms))
        if not ticker.open:
            asyncio.get_running_loop().call_later(ticker.pause_s, ticker.tick)
        ticker.open[next(ticker.number)] = [transport, chunks, *_ANSWERS[endpoint][1:]]

    def tick(self):
        for number, stream in list(self.open.items()):
            transport, left, chunk, last_chunks = stream
            if transport.is_closing():
                del self.open[number]
            elif left <= 1:
                transport.write(last_chunks)
                del self.open[number]
            else:
                transport.write(chunk)
                stream[1] -= 1
        if self.open:
            asyncio.get_running_loop().call_later(self.pause_s, self.tick)


class Connection(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport
        self.head = b""
        self.parts = []
        self.missing = 0
        self.chunked = False
        self.to_send = 0
        self.writing = True

    def data_received(self, data):
        if self.head:
            self.body(data)
            return
        data = b"".join((*self.parts, data))
        end = data.find(b"\r\n\r\n")
        if end < 0:
            self.parts = [data]
            return
        self.parts = []
        self.head = data[:end]
        length = _LENGTH.search(self.head)
        self.missing = int(length[1]) if length else 0
        self.chunked = length is None and b"chunked" in self.head
        self.body(data[end + 4 :])

    def body(self, data):
        if self.missing < 1_000_000:  # a large upload is thrown away
            self.parts.append(data)
        self.missing -= len(data)
        if data.endswith(b"0\r\n\r\n") if self.chunked else self.missing <= 0:
            head, body = self.head, b"".join(self.parts)
            self.head, self.parts = b"", []
            self.answer(head, body)

    def answer(self, head, body):
        path = head.split(b" ", 2)[1]
        if endpoint := _ENDPOINT.match(path):
            chunks = CHUNKS.search(body)
            if chunks is None:
                self.transport.write(_ANSWERS[endpoint[1]][0])
            else:
                self.transport.write(_STREAM_HEAD)
                pause_ms = int(_PAUSE_MS.search(body)[1])
                Ticker.start(self.transport, int(chunks[1]), pause_ms, endpoint[1])
        elif b"/events" in path:
            after = _AFTER.search(path)
            self.transport.write(_PAGES[int(after[1]) if after else 0])
        elif path.endswith(b"/content"):
            self.transport.write(_head(DOWNLOAD_BYTES))
            self.to_send = DOWNLOAD_BYTES
            self.send()
        else:
            self.transport.write(_FILE)

    def send(self):
        while self.to_send and self.writing and not self.transport.is_closing():
            self.transport.write(_BLOCK[: self.to_send])
            self.to_send -= min(self.to_send, len(_BLOCK))

    def pause_writing(self):
        self.writing = False

    def resume_writing(self):
        self.writing = True
        self.send()


async def main(certificate):
    loop = asyncio.get_running_loop()
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate)
    ports = []
    for context in (None, tls):
        server = await loop.create_server(Connection, "127.0.0.1", 0, ssl=context, backlog=4096)
        ports.append(server.sockets[0].getsockname()[1])
    print(*ports, flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1]))
