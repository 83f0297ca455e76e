"""The service that batch runners are measured against: lean, and in a process of its own.

    python -m tests.benchmarks.batch_server LATENCY_MS BUCKET HEADERS PAID

BUCKET is `none`, or requests a minute, counted in a bucket of a second that fills steadily; HEADERS
tells whether refusals say `Retry-After: 1`. What is paid is written to the file PAID, prompt by
prompt. It prints its port, and serves until its standard input ends.
"""

import asyncio
import os
import re
import sys
import time

_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_PROMPT = re.compile(rb'"prompt": ?"([^"]*)"')
_REFUSAL = b'{"error":{"message":"Rate limit reached","code":"rate_limit_exceeded"}}'


class Connection(asyncio.Protocol):
    def __init__(self, service):
        self.service = service
        self.data = b""

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.data += data
        head, end, body = self.data.partition(b"\r\n\r\n")
        if not end:
            return
        length = _LENGTH.search(head)
        if length is None or len(body) < int(length[1]):
            return
        self.data = b""
        answer = self.service.answer(body)
        loop = asyncio.get_running_loop()
        loop.call_later(self.service.latency_s, self.write, answer)

    def write(self, answer):
        if not self.transport.is_closing():
            self.transport.write(answer)


class Service:
    def __init__(self, latency_ms, bucket, headers, paid):
        self.latency_s = float(latency_ms) / 1000
        self.rate = None if bucket == "none" else float(bucket) / 60
        self.level = self.rate
        self.at = time.monotonic()
        self.told = b"retry-after: 1\r\n" if headers == "yes" else b""
        self.paid = os.open(paid, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def answer(self, body):
        if self.rate is not None:
            now = time.monotonic()
            self.level = min(self.level + (now - self.at) * self.rate, self.rate)
            self.at = now
            if self.level < 1:
                return _response(b"429 Too Many Requests", self.told, _REFUSAL)
            self.level -= 1
        prompt = _PROMPT.search(body)[1]
        os.write(self.paid, prompt + b"\n")
        completion = (
            b'{"id":"cmpl-1","object":"text_completion","created":1,"model":"m","choices":[{"text":'
            b'" %b was born in K\xc3\xb6nigsberg, and hardly ever left it. He is said to have '
            b"gone for a walk so regularly that people set their clocks by him, but for the day "
            b'on which he read Rousseau.","index":0,"finish_reason":"stop"}],"usage":'
            b'{"prompt_tokens":9,"completion_tokens":40,"total_tokens":49}}' % prompt
        )
        return _response(b"200 OK", b"x-request-id: req-1\r\n", completion)


def _response(status, headers, body):
    length = b"content-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body)
    return b"HTTP/1.1 " + status + b"\r\n" + headers + length + body


async def main(latency_ms, bucket, headers, paid):
    loop = asyncio.get_running_loop()
    service = Service(latency_ms, bucket, headers, paid)
    server = await loop.create_server(lambda: Connection(service), "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
