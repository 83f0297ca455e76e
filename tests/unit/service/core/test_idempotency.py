"""Repeated requests with one Idempotency-Key: executed once, answered alike."""

import json

import anyio
import pytest

from tunesmith import AsyncClient, MemoryBackend, errors
from tunesmith.operations.models import ListModels
from tunesmith.service.core import idempotency
from tunesmith.service.core.errors import ServiceError
from tunesmith.service.core.idempotency import IdempotentResponses

pytestmark = pytest.mark.anyio

KEY = {"Idempotency-Key": "k1"}
LINE = json.dumps({"messages": [{"role": "user", "content": "Hi"}]}).encode()


@pytest.fixture
async def client():
    async with AsyncClient(backend=MemoryBackend(), max_retries=0) as client:
        yield client


async def upload(client, content=LINE, **options):
    return await client.files.create(
        file=("a.jsonl", content), purpose="batch", extra_headers=KEY, **options
    )


async def test_the_same_key_and_parameters_get_the_same_response(client):
    first, second = await upload(client), await upload(client)
    assert first == second
    assert [file.id async for file in client.files.list()] == [first.id]


async def test_another_key_creates_another_object(client):
    first = await upload(client)
    second = await client.files.create(file=("a.jsonl", LINE), purpose="batch")
    assert first.id != second.id


@pytest.mark.parametrize("content", [LINE + b" ", b""])
async def test_the_same_key_with_other_parameters_is_refused(client, content):
    await upload(client)
    with pytest.raises(errors.BadRequestError, match="'k1' was used before") as caught:
        await upload(client, content)
    assert caught.value.code == "idempotency_key_reused"


async def test_completions_are_not_generated_twice(client):
    create = client.completions.create
    first, second = [
        await create(model="davinci-002", prompt="Hi", extra_headers=KEY) for _ in range(2)
    ]
    assert first.id == second.id


async def test_a_key_belongs_to_one_operation(client):
    await upload(client)
    await client.completions.create(model="davinci-002", prompt="Hi", extra_headers=KEY)


async def test_a_refused_request_may_be_repeated_with_its_key(client):
    create = client.completions.create
    for _ in range(2):
        with pytest.raises(errors.NotFoundError):
            await create(model="unknown", prompt="Hi", extra_headers=KEY)
    assert await create(model="davinci-002", prompt="Hi", extra_headers=KEY)


async def test_a_key_in_use_is_refused_until_the_first_request_is_done():
    responses, finish = IdempotentResponses(), anyio.Event()

    async def execute():
        await finish.wait()
        return b"{}"

    async with anyio.create_task_group() as group:
        group.start_soon(responses.respond, "k1", ListModels(), execute)
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(ServiceError, match="still being processed") as caught:
            await responses.respond("k1", ListModels(), execute)
        finish.set()
    assert caught.value.status == 409
    assert await responses.respond("k1", ListModels(), execute) == b"{}"


@pytest.mark.parametrize(("limit", "value"), [("_MAX_RESPONSES", 2), ("_MAX_TOTAL_BYTES", 2)])
async def test_only_the_latest_responses_are_kept(monkeypatch, limit, value):
    monkeypatch.setattr(idempotency, limit, value)
    responses, executed = IdempotentResponses(), []

    async def respond(key):
        async def execute():
            executed.append(key)
            return b"1"

        return await responses.respond(key, ListModels(), execute)

    for key in ["a", "b", "c", "b", "c", "a"]:
        await respond(key)
    assert executed == ["a", "b", "c", "a"]
