"""Completions: whole, streamed, and reproducible by seed."""

import anyio
import pytest
from tests.contract.wrappers import Stalling

from tunesmith import AsyncClient, errors
from tunesmith.testing import CallRecorder, Faults

pytestmark = pytest.mark.anyio

ASKED = {"model": "davinci-002", "prompt": "The sky is", "max_tokens": 12, "seed": 3}


async def test_a_completion_has_its_model_and_usage(client):
    completion = await client.completions.create(**ASKED)
    assert completion.id.startswith("cmpl-")
    assert completion.object == "text_completion"
    assert completion.model == "davinci-002"
    assert completion.choices[0].text
    assert 0 < completion.usage.completion_tokens <= 12
    assert completion.usage.total_tokens == (
        completion.usage.prompt_tokens + completion.usage.completion_tokens
    )
    assert completion.response.status == 200
    assert completion.response.request_id.startswith("req_")


async def test_only_the_same_seed_returns_the_same_text(client):
    asked = ASKED | {"max_tokens": 40, "temperature": 1.5}
    texts = [
        (await client.completions.create(**asked | {"seed": seed})).choices[0].text
        for seed in (1, 1, 2)
    ]
    assert texts[0] == texts[1] != texts[2]


async def test_parameters_are_passed_to_the_model(client):
    completion = await client.completions.create(
        **ASKED | {"prompt": ["One", "Two"], "n": 2, "echo": True, "logprobs": 3, "max_tokens": 4}
    )
    assert [choice.index for choice in completion.choices] == [0, 1, 2, 3]
    texts = [choice.text for choice in completion.choices]
    assert [text[:3] for text in texts] == ["One", "One", "Two", "Two"]
    assert len(completion.choices[0].logprobs.top_logprobs[-1]) == 3


async def test_a_stream_adds_up_to_the_response_of_create(client):
    created = await client.completions.create(**ASKED, n=2)
    async with client.completions.stream(
        **ASKED, n=2, stream_options={"include_usage": True}
    ) as stream:
        events = [event async for event in stream]
        final = await stream.final_response()
    assert len(events) > 2
    assert [choice.text for choice in final.choices] == [c.text for c in created.choices]
    assert [choice.finish_reason for choice in final.choices] == [
        choice.finish_reason for choice in created.choices
    ]
    assert final.usage == created.usage


async def test_a_stream_has_its_response_info_before_its_first_event(client):
    async with client.completions.stream(**ASKED) as stream:
        assert stream.response.status == 200
        assert stream.response.headers["content-type"].startswith("text/event-stream")


async def test_a_stream_left_early_frees_its_connection(backend):
    client = AsyncClient(backend=backend)
    for _ in range(3):
        async with client.completions.stream(**ASKED | {"max_tokens": 200}) as stream:
            await anext(stream)
    if hasattr(backend, "server"):
        await backend.server.wait_until_all_answered()
    assert (await client.completions.create(**ASKED)).choices[0].text


async def test_events_are_yielded_as_they_arrive(backend):
    """The rest of the answer is held back, and the first event is there all the same."""
    client = AsyncClient(backend=Stalling(backend, "completions.create"))
    with anyio.fail_after(10):
        async with client.completions.stream(**ASKED) as stream:
            assert (await anext(stream)).object == "text_completion"


async def test_an_interrupted_stream_is_an_error_and_not_retried(backend):
    faults = Faults(backend)
    faults.on("completions.create").disconnect(after_events=2)
    record = CallRecorder(faults)
    client = AsyncClient(backend=record)
    async with client.completions.stream(**ASKED) as stream:
        with pytest.raises(errors.StreamInterruptedError):
            await stream.final_response()
    record.assert_called(times=1)
    faults.assert_all_fired()


async def test_a_stream_that_fails_before_its_first_event_is_retried(backend):
    faults = Faults(backend)
    faults.on("completions.create").refuse_connection()
    async with AsyncClient(backend=faults).completions.stream(**ASKED) as stream:
        assert (await stream.final_response()).choices[0].text
        assert stream.response.attempts == 2


async def test_one_client_makes_many_concurrent_calls(client):
    texts = {}

    async def complete(seed):
        completion = await client.completions.create(**ASKED | {"seed": seed})
        texts[seed] = completion.choices[0].text

    async with anyio.create_task_group() as tasks:
        for seed in range(20):
            tasks.start_soon(complete, seed)
    assert set(texts) == set(range(20))
    for seed in (0, 19):
        completion = await client.completions.create(**ASKED | {"seed": seed})
        assert completion.choices[0].text == texts[seed]


@pytest.mark.parametrize("streaming", [False, True])
async def test_an_unknown_model_is_an_error_of_a_stream_too(client, streaming):
    asked = ASKED | {"model": "kant-1"}
    with pytest.raises(errors.NotFoundError, match="The model 'kant-1' does not exist") as caught:
        await (
            client.completions.stream(**asked).__aenter__()
            if streaming
            else client.completions.create(**asked)
        )
    assert caught.value.code == "model_not_found"
    assert caught.value.param == "model"
