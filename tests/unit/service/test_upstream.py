"""Another server completes and chats; files, batches and fine-tuning stay here."""

import json
import time
from contextlib import asynccontextmanager

import anyio
import anyio.lowlevel
import pytest

from tunesmith import AsyncClient, MemoryBackend
from tunesmith.clock import VirtualClock
from tunesmith.errors import APIStatusError, BackendError, BadRequestError
from tunesmith.protocol.message import Response
from tunesmith.service.batches import sending
from tunesmith.service.batches.sending import BatchTiming
from tunesmith.service.service import Service

pytestmark = pytest.mark.anyio

CHAT = {"model": "llama-3", "messages": [{"role": "user", "content": "Kant?"}]}


class Counting:
    """Backend of another service that counts its calls and fails some of them."""

    def __init__(self, failures=()):
        other = Service(models=["llama-3"])
        other.stub_reply("Upstream.")
        self.inner = MemoryBackend(other)
        self.failures = list(failures)
        self.requests = []
        self.in_flight = self.most_in_flight = 0

    @asynccontextmanager
    async def send(self, request):
        self.requests.append(request)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            await anyio.lowlevel.checkpoint()
            if self.failures:
                failure = self.failures.pop()
                if isinstance(failure, Exception):
                    raise failure
                status, headers, text = (
                    failure if isinstance(failure, tuple) else (failure, {}, "busy")
                )
                yield Response(status, headers, chunks(text))
            else:
                async with self.inner.send(request) as response:
                    yield response
        finally:
            self.in_flight -= 1

    async def aclose(self):
        await self.inner.aclose()


async def chunks(text):
    yield text.encode()


def client_of(upstream, **options):
    return AsyncClient(backend=MemoryBackend(upstream=upstream, **options), max_retries=0)


async def batch(client, n):
    lines = [
        {"custom_id": str(i), "method": "POST", "url": "/v1/chat/completions", "body": CHAT}
        for i in range(n)
    ]
    content = "\n".join(map(json.dumps, lines)).encode()
    file = await client.files.create(file=("batch.jsonl", content), purpose="batch")
    return await client.batches.create(
        input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h"
    )


async def finished(client, created):
    client.backend.clock.jump(3600)
    return await client.batches.retrieve(created.id)


async def tuned(client):
    line = b'{"prompt": "Say", "completion": " yes"}\n'
    file = await client.files.create(file=("train.jsonl", line * 10), purpose="fine-tune")
    job = await client.fine_tuning.jobs.create(model="babbage-002", training_file=file.id)
    return (await client.fine_tuning.jobs.wait(job)).fine_tuned_model


async def rows(client, file_id):
    content = await client.files.content(file_id).text()
    return [json.loads(line) for line in content.splitlines()]


async def test_chats_streams_and_models_come_from_the_other_server():
    upstream = Counting()
    async with client_of(upstream) as client:
        completion = await client.chat.completions.create(**CHAT)
        assert completion.choices[0].message.content == "Upstream."
        async with client.chat.completions.stream(**CHAT) as stream:
            final = await stream.final_response()
        assert final.choices[0].message.content == "Upstream."
        assert "llama-3" in [model.id async for model in client.models.list()]
        assert [request.operation for request in upstream.requests] == [
            "chat.completions.create",
            "chat.completions.create",
            "models.list",
        ]


async def test_unknown_parameters_reach_the_other_server():
    upstream = Counting()
    async with client_of(upstream) as client:
        with pytest.raises(BadRequestError, match="top_k"):
            await client.chat.completions.create(**CHAT, extra_body={"top_k": 4})
    assert json.loads(upstream.requests[0].body)["top_k"] == 4


async def test_a_model_that_was_tuned_here_is_served_here():
    upstream = Counting()
    async with client_of(upstream) as client:
        await client.completions.create(model=await tuned(client), prompt="Say")
    assert upstream.requests == []


async def test_a_server_that_is_not_there_is_a_502():
    refused = BackendError("connection refused", phase="connect")
    async with client_of(Counting([refused])) as client:
        with pytest.raises(APIStatusError, match="cannot be reached: connection refused") as caught:
            await client.chat.completions.create(**CHAT)
    assert (caught.value.status, caught.value.code) == (502, "upstream_unavailable")


@pytest.mark.parametrize("streamed", [False, True])
async def test_stored_completions_of_the_other_server_are_stored_here(streamed):
    upstream = Counting()
    async with client_of(upstream) as client:
        create = {**CHAT, "store": True, "metadata": {"by": "test"}}
        if streamed:
            async with client.chat.completions.stream(**create) as stream:
                completion = await stream.final_response()
        else:
            completion = await client.chat.completions.create(**create)
        stored = await client.chat.completions.retrieve(completion.id)
        messages = [each async for each in client.chat.completions.messages.list(completion.id)]
    assert stored.choices[0].message.content == completion.choices[0].message.content
    assert stored.metadata == {"by": "test"}
    assert [message.content for message in messages] == ["Kant?"]
    (request,) = upstream.requests  # other servers need not know these parameters
    assert {"store", "metadata"}.isdisjoint(json.loads(request.body))


async def test_models_of_both_are_listed_and_responses_are_found_where_they_are():
    upstream = Counting()
    async with client_of(upstream) as client:
        model = await tuned(client)
        listed = [each.id async for each in client.models.list()]
        assert listed[-1] == model
        assert "llama-3" in listed
        elsewhere = await client.responses.create(model="llama-3", input="Kant?")
        assert (await client.responses.retrieve(elsewhere.id)).id == elsewhere.id
        n_requests = len(upstream.requests)
        assert (await client.models.retrieve(model)).id == model
        assert len(upstream.requests) == n_requests


async def test_a_batch_sends_several_requests_at_a_time_and_each_once():
    upstream = Counting()
    async with client_of(upstream, batch_concurrency=4) as client:
        done = await finished(client, await batch(client, 30))
        answered = await rows(client, done.output_file_id)
    assert upstream.most_in_flight == 4
    assert len(upstream.requests) == 30
    assert sorted(int(row["custom_id"]) for row in answered) == list(range(30))
    assert done.request_counts.completed == 30


async def test_transient_failures_are_retried_and_others_reported():
    refused = BackendError("connection refused", phase="connect")
    upstream = Counting([503, refused, 429])
    timing = BatchTiming(retry_s=0)
    async with client_of(upstream, batch_timing=timing, batch_concurrency=1) as client:
        done = await finished(client, await batch(client, 2))
        assert len(await rows(client, done.output_file_id)) == 2
    assert len(upstream.requests) == 5
    upstream = Counting([422])
    async with client_of(upstream, batch_timing=timing) as client:
        done = await finished(client, await batch(client, 2))
        (failed,) = await rows(client, done.error_file_id)
    assert failed["response"]["status_code"] == 422
    assert failed["response"]["body"] == {"error": {"message": "busy"}}


@pytest.mark.parametrize(
    ("failure", "n_requests"),
    [
        (BackendError("connection refused", phase="connect"), 21),
        ((429, {"retry-after": "0"}, "slow down"), 21),
        ((503, {}, "loading the model"), 21),
        ((500, {}, "out of memory"), 6),
        (BackendError("connection reset", phase="read"), 6),
        ((429, {}, '{"error": {"code": "insufficient_quota"}}'), 1),
    ],
)
async def test_a_server_that_is_away_or_busy_is_waited_for(monkeypatch, failure, n_requests):
    """Other failures, which the request may cause, are retried five times."""
    upstream = Counting([failure] * 20)
    clock = VirtualClock(time.time(), autojump=False, rate=1.0)
    timing = BatchTiming(validating_s=0, finalizing_s=0, retry_s=0)
    backend = MemoryBackend(upstream=upstream, clock=clock, batch_timing=timing)
    async with anyio.create_task_group() as tasks, AsyncClient(backend=backend) as client:
        tasks.start_soon(backend.service.run_lifecycles)
        created = await batch(client, 1)
        with anyio.fail_after(20):
            while not (done := await client.batches.retrieve(created.id)).is_over:
                await anyio.lowlevel.checkpoint()
        tasks.cancel_scope.cancel()
    assert len(upstream.requests) == n_requests
    assert done.request_counts.completed == (n_requests == 21)


async def test_the_requested_pause_is_kept(monkeypatch):
    pauses = []

    async def sleep(seconds):
        pauses.append(seconds)

    monkeypatch.setattr(sending.anyio, "sleep", sleep)
    upstream = Counting([(503, {"retry-after": "7"}, ""), (429, {"retry-after-ms": "500"}, "")])
    async with client_of(upstream, batch_timing=BatchTiming(retry_s=0)) as client:
        done = await finished(client, await batch(client, 1))
    assert done.request_counts.completed == 1
    assert pauses == [0.5, 7.0]


async def test_a_batch_that_was_interrupted_sends_only_what_has_no_response(tmp_path):
    class Stuck(Counting):
        """Backend that never answers the sixth request."""

        @asynccontextmanager
        async def send(self, request):
            async with super().send(request) as response:
                if len(self.requests) == 6:
                    await anyio.sleep_forever()
                yield response

    state, first, second = tmp_path / "state", Stuck(), Counting()
    backend = MemoryBackend(upstream=first, state=state, batch_concurrency=1)
    client = AsyncClient(backend=backend, max_retries=0)
    created = await batch(client, 12)
    backend.clock.jump(60)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(client.batches.retrieve, created.id)
        with anyio.fail_after(20):
            while len(first.requests) < 6:
                await anyio.lowlevel.checkpoint()
        await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()
    await backend.aclose()
    async with client_of(second, state=state, batch_concurrency=3) as client:
        done = await finished(client, created)
        answered = await rows(client, done.output_file_id)
    assert sorted(int(row["custom_id"]) for row in answered) == list(range(12))
    assert len(second.requests) == 7
