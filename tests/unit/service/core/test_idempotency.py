"""Repeated requests with one Idempotency-Key: executed once, answered alike."""

import json
from contextlib import closing

import pytest

from tunesmith import AsyncClient, MemoryBackend, errors
from tunesmith.clock import VirtualClock
from tunesmith.operations.models import ListModels
from tunesmith.service.core import idempotency
from tunesmith.service.core.errors import ServiceError
from tunesmith.service.core.idempotency import IdempotentResponse, IdempotentResponses
from tunesmith.service.core.sqlite_store import SqliteStore
from tunesmith.service.core.store import MemoryStore

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


async def test_a_key_is_free_again_after_a_day(client):
    first = await upload(client)
    client.backend.clock.jump(24 * 3600 - 1)
    assert (await upload(client)).id == first.id
    client.backend.clock.jump(1)
    assert (await upload(client)).id != first.id


@pytest.fixture
def responses():
    return IdempotentResponses(MemoryStore(), VirtualClock())


def respond(responses, key):
    """Return whether the request was executed."""
    with responses.open(key, ListModels()) as response:
        is_new = response.body is None
        if is_new:
            responses.record(response, b"1")
    assert response.body == b"1"
    return is_new


def test_a_key_in_use_is_refused_until_the_first_request_is_done(responses):
    with responses.open("k1", ListModels()) as response:
        with (
            pytest.raises(ServiceError, match="still being processed") as caught,
            responses.open("k1", ListModels()),
        ):
            pass
        responses.record(response, b"1")
    assert caught.value.status == 409
    assert not respond(responses, "k1")


@pytest.mark.parametrize(("limit", "value"), [("_MAX_RESPONSES", 2), ("_MAX_TOTAL_BYTES", 2)])
def test_only_the_latest_responses_are_kept(monkeypatch, responses, limit, value):
    monkeypatch.setattr(idempotency, limit, value)
    keys = ["a", "b", "c", "b", "c", "a"]
    assert [key for key in keys if respond(responses, key)] == ["a", "b", "c", "a"]


@pytest.mark.parametrize("reason", ["age", "number"])
def test_stored_responses_are_discarded_too(monkeypatch, tmp_path, reason):
    monkeypatch.setattr(idempotency, "_MAX_RESPONSES", 2)
    clock = VirtualClock()
    for key in ["a", "b", "c"]:
        with closing(SqliteStore(tmp_path / "state")) as store:
            store.collection("files", dict).put(key, {})
            assert respond(IdempotentResponses(store, clock), key)
            clock.jump(24 * 3600 if reason == "age" else 0)
    with closing(SqliteStore(tmp_path / "state")) as store:
        stored = store.collection("idempotent_responses", IdempotentResponse)
        assert len(stored) == (1 if reason == "age" else 2)
