"""Another server completes and chats; files, batches and fine-tuning stay here."""

import json
from contextlib import asynccontextmanager

import anyio
import anyio.lowlevel
import pytest

from tunesmith import AsyncClient, MemoryBackend
from tunesmith.errors import APIStatusError, BackendError, BadRequestError
from tunesmith.protocol.message import Response
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
                yield Response(failure, {"content-type": "text/plain"}, text())
            else:
                async with self.inner.send(request) as response:
                    yield response
        finally:
            self.in_flight -= 1

    async def aclose(self):
        await self.inner.aclose()


async def text():
    yield b"busy"


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


async def test_a_model_that_was_tuned_here_is_served_here(tmp_path):
    upstream = Counting()
    line = b'{"prompt": "Say", "completion": " yes"}\n'
    async with client_of(upstream) as client:
        file = await client.files.create(file=("train.jsonl", line * 10), purpose="fine-tune")
        job = await client.fine_tuning.jobs.create(model="babbage-002", training_file=file.id)
        job = await client.fine_tuning.jobs.wait(job)
        await client.completions.create(model=job.fine_tuned_model, prompt="Say")
    assert upstream.requests == []


async def test_a_server_that_is_not_there_is_a_502():
    refused = BackendError("connection refused", phase="connect")
    async with client_of(Counting([refused])) as client:
        with pytest.raises(APIStatusError, match="cannot be reached: connection refused") as caught:
            await client.chat.completions.create(**CHAT)
    assert (caught.value.status, caught.value.code) == (502, "upstream_unavailable")


async def test_a_completion_of_the_other_server_cannot_be_stored():
    async with client_of(Counting()) as client:
        with pytest.raises(BadRequestError, match="Leave out 'store'"):
            await client.chat.completions.create(**CHAT, store=True)


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
