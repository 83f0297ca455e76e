"""A service may have limits, and refuses what is too much as the real one does."""

import pytest

from tunesmith import AsyncClient, InsufficientQuotaError, MemoryBackend, RateLimitError
from tunesmith.service.core.rate_limits import ServiceLimits
from tunesmith.service.service import Service

pytestmark = pytest.mark.anyio


def client_of(max_retries=0, **limits):
    service = Service(limits=ServiceLimits(**limits))
    return service, AsyncClient(backend=MemoryBackend(service), max_retries=max_retries)


async def ask(client, model="davinci-002", **options):
    options = {"prompt": "Kant", "max_tokens": 5, **options}
    return await client.completions.create(model=model, **options)


async def test_without_limits_there_are_no_headers_of_them():
    _, client = client_of()
    assert (await ask(client)).response.rate_limits.limit_requests is None


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"requests_per_minute": 0}, "requests_per_minute must be at least 1"),
        ({"tokens_per_minute": -1}, "tokens_per_minute must be at least 1"),
        ({"quota_tokens": -1}, "quota_tokens must be at least 0"),
    ],
)
def test_invalid_limits_are_refused(limits, message):
    with pytest.raises(ValueError, match=message):
        ServiceLimits(**limits)


async def test_each_answer_tells_what_is_left():
    _, client = client_of(requests_per_minute=60, tokens_per_minute=600)
    left = (await ask(client, max_tokens=120)).response.rate_limits
    assert (left.limit_requests, left.remaining_requests, left.reset_requests) == (60, 59, 1)
    assert (left.limit_tokens, left.remaining_tokens, left.reset_tokens) == (600, 480, 12)


async def test_one_request_too_many_is_told_when_to_come_again():
    service, client = client_of(requests_per_minute=3)
    for _ in range(3):
        await ask(client)
    with pytest.raises(RateLimitError, match=r"requests per min \(RPM\): Limit 3") as caught:
        await ask(client)
    error = caught.value
    assert (error.code, error.type, error.retry_after) == ("rate_limit_exceeded", "requests", 20)
    service.clock.jump(error.retry_after)
    await ask(client)


async def test_a_client_that_waits_as_it_is_told_comes_through():
    service, client = client_of(max_retries=1, requests_per_minute=2)
    for _ in range(6):
        await ask(client)
    assert service.clock.monotonic() == pytest.approx(120, abs=1)


async def test_a_refused_request_counts_nowhere():
    service, client = client_of(requests_per_minute=1, tokens_per_minute=100)
    await ask(client, max_tokens=10)
    with pytest.raises(RateLimitError):
        await ask(client, max_tokens=90)
    service.clock.jump(60)
    left = (await ask(client, max_tokens=90)).response.rate_limits
    assert left.remaining_tokens == 10


async def test_tokens_are_the_larger_of_max_tokens_and_a_quarter_of_the_characters():
    _, client = client_of(tokens_per_minute=1000)
    first = await ask(client, prompt="x" * 400, max_tokens=5)
    second = await ask(client, prompt="x" * 400, max_tokens=300)
    assert first.response.rate_limits.remaining_tokens == 900
    assert second.response.rate_limits.remaining_tokens == 600


async def test_what_can_never_be_let_through_is_too_large():
    _, client = client_of(tokens_per_minute=10)
    with pytest.raises(RateLimitError, match="Request too large for davinci-002") as caught:
        await ask(client, max_tokens=11)
    assert caught.value.retry_after is None


async def test_each_model_has_limits_of_its_own():
    _, client = client_of(requests_per_minute=1)
    await ask(client)
    await ask(client, model="babbage-002")
    await client.models.list()
    with pytest.raises(RateLimitError):
        await ask(client)


async def test_chats_streams_and_embeddings_count_too():
    _, client = client_of(requests_per_minute=2)
    message = {"role": "user", "content": "Kant?"}
    await client.chat.completions.create(model="gpt-4o-mini", messages=[message])
    asked = {"model": "gpt-4o-mini", "messages": [message]}
    async with client.chat.completions.stream(**asked) as stream:
        assert stream.response.rate_limits.remaining_requests == 0
    with pytest.raises(RateLimitError):
        await client.chat.completions.create(model="gpt-4o-mini", messages=[message])
    answer = await client.embeddings.create(model="text-embedding-3-small", input="Kant")
    assert answer.response.rate_limits.remaining_requests == 1


async def test_an_exhausted_quota_is_refused_for_good():
    service, client = client_of(max_retries=5, quota_tokens=10)
    await ask(client, max_tokens=10)
    with pytest.raises(InsufficientQuotaError, match="exceeded your current quota"):
        await ask(client)
    with pytest.raises(InsufficientQuotaError):
        await client.fine_tuning.jobs.create(model="babbage-002", training_file="file-1")
    assert service.clock.monotonic() == 0
    await client.models.list()
