"""Services that limit, refuse, lose and answer, as lean as can be, in virtual time."""

import json
from collections import Counter
from contextlib import asynccontextmanager

from tunesmith.clock import VirtualClock
from tunesmith.errors import BackendError
from tunesmith.protocol.message import Response


class Service:
    """Answers completions after a while; counts how often each prompt was paid.

    `refuse(number, now)` may give a response instead: status, headers, body.
    """

    def __init__(self, latency_s=0.05, refuse=None):
        self.clock = VirtualClock()
        self.latency_s = latency_s
        self.refuse = refuse
        self.requests = 0
        self.under_way = 0
        self.most_under_way = 0
        self.paid = Counter()
        self.bodies = []

    @asynccontextmanager
    async def send(self, request):
        self.requests += 1
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            refused = self.refuse(self.requests, self.clock.monotonic()) if self.refuse else None
            await self.clock.sleep(self.latency_s)
            if isinstance(refused, BackendError):
                raise refused
            body = json.loads(request.body)
            status, headers, answer = refused or (200, self.headers(), self.answer(body))
            self.bodies.append(body)
            if status == 200:
                self.paid[asked(body)] += 1
            yield Response(status, headers, chunks(answer))
        finally:
            self.under_way -= 1

    def headers(self):
        return {"x-request-id": f"req_{self.requests}"}

    def answer(self, body):
        text = f"answer to {asked(body)}"
        if "messages" in body:
            choice = {"index": 0, "message": {"role": "assistant", "content": text}}
        else:
            choice = {"index": 0, "text": text}
        usage = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
        return {"id": "cmpl", "choices": [choice | {"finish_reason": "stop"}], "usage": usage}

    async def aclose(self):
        pass


def asked(body):
    if "messages" in body:
        return body["messages"][-1]["content"]
    return body.get("prompt") or body.get("input")


async def chunks(answer):
    yield answer if isinstance(answer, bytes) else json.dumps(answer).encode()


def too_many(retry_after=None, **headers):
    told = {} if retry_after is None else {"retry-after": str(retry_after)}
    told |= {name.replace("_", "-"): value for name, value in headers.items()}
    return 429, told, {"error": {"message": "Rate limit reached", "code": "rate_limit_exceeded"}}


class FillingBucket:
    """1,500 a minute, counted in a bucket of one second that fills steadily."""

    def __init__(self, per_minute=1500, retry_after=None):
        self.rate = per_minute / 60
        self.level = self.rate
        self.at = 0.0
        self.retry_after = retry_after

    def __call__(self, number, now):
        self.level = min(self.level + (now - self.at) * self.rate, self.rate)
        self.at = now
        if self.level < 1:
            return too_many(self.retry_after)
        self.level -= 1
        return None


class Window:
    """1,500 a minute, counted anew in each second."""

    def __init__(self, per_minute=1500, retry_after=None):
        self.each = per_minute / 60
        self.counts = Counter()
        self.retry_after = retry_after

    def __call__(self, number, now):
        if self.counts[int(now)] >= self.each:
            return too_many(self.retry_after)
        self.counts[int(now)] += 1
        return None
