"""The calls work against a server that nobody here wrote: see README.md beside this file."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tunesmith import AsyncClient, errors

pytestmark = pytest.mark.anyio

PROMPT = "Several concepts are a priori such as"
MESSAGES = [{"role": "user", "content": "Say hello."}]


@contextmanager
def skipped_where_missing(what: str, *also: type[errors.APIError]) -> Iterator[None]:
    try:
        yield
    except errors.APIStatusError as error:
        if error.status in {404, 406, 501} or isinstance(error, also):
            pytest.skip(f"the server has no {what}: {error}")
        raise


async def test_models_are_listed(client: AsyncClient):
    page = await client.models.list()
    assert page.response.status == 200
    assert page.data == [model async for model in client.models.list()]
    assert all(model.id for model in page.data)


async def test_a_prompt_is_completed(client: AsyncClient, model: str):
    completion = await client.completions.create(
        model=model, prompt=PROMPT, max_tokens=8, temperature=0
    )
    assert completion.choices[0].text
    assert completion.choices[0].finish_reason in {"length", "stop"}
    assert completion.usage is not None


async def test_a_completion_comes_in_pieces(client: AsyncClient, model: str):
    with skipped_where_missing("streams"):
        async with client.completions.stream(
            model=model, prompt=PROMPT, max_tokens=8, temperature=0
        ) as stream:
            pieces = [chunk.choices[0].text or "" async for chunk in stream if chunk.choices]
            whole = await stream.final_response()
    assert len(pieces) > 1
    assert whole.choices[0].text == "".join(pieces)
    assert whole.choices[0].finish_reason in {"length", "stop"}


async def test_streamed_or_not_the_most_probable_completion_is_the_same(
    client: AsyncClient, model: str
):
    with skipped_where_missing("streams"):
        async with client.completions.stream(
            model=model, prompt=PROMPT, max_tokens=8, temperature=0
        ) as stream:
            streamed = await stream.final_response()
    created = await client.completions.create(
        model=model, prompt=PROMPT, max_tokens=8, temperature=0
    )
    assert streamed.choices[0].text == created.choices[0].text


async def test_a_stream_may_be_left_early(client: AsyncClient, model: str):
    with skipped_where_missing("streams"):
        async with client.completions.stream(model=model, prompt=PROMPT, max_tokens=64) as stream:
            async for chunk in stream:
                assert chunk.choices
                break
    assert (await client.completions.create(model=model, prompt=PROMPT, max_tokens=1)).choices


async def test_a_message_is_answered(client: AsyncClient, model: str):
    with skipped_where_missing("chat"):
        answer = await client.chat.completions.create(
            model=model, messages=MESSAGES, max_tokens=8, temperature=0
        )
    message = answer.choices[0].message
    assert message.role == "assistant"
    assert isinstance(message.content, str)


async def test_an_answer_to_a_message_comes_in_pieces(client: AsyncClient, model: str):
    with skipped_where_missing("streams of chat"):
        async with client.chat.completions.stream(
            model=model, messages=MESSAGES, max_tokens=8, temperature=0
        ) as stream:
            deltas = [chunk.choices[0].delta async for chunk in stream if chunk.choices]
            whole = await stream.final_response()
    assert len(deltas) > 1
    assert whole.choices[0].message.content == "".join(delta.content or "" for delta in deltas)


async def test_a_text_becomes_a_vector(client: AsyncClient, model: str):
    # llama-cpp-python says 500 unless it was started with --embedding.
    with skipped_where_missing("embeddings", errors.InternalServerError, errors.BadRequestError):
        answer = await client.embeddings.create(model=model, input="space and time")
    assert answer.data[0].index == 0
    assert len(answer.data[0].embedding) > 0


async def test_what_is_not_there_is_not_found(client: AsyncClient):
    with pytest.raises(errors.NotFoundError) as caught:
        await client.batches.retrieve(batch_id="batch_that_nobody_made")
    assert caught.value.status == 404
    assert caught.value.operation == "batches.retrieve"


async def test_a_wrong_parameter_is_stopped_before_it_is_sent(client: AsyncClient, model: str):
    with pytest.raises(errors.InvalidRequestError, match="max_tokens"):
        await client.completions.create(model=model, prompt=PROMPT, max_tokens="many")


async def test_a_parameter_that_the_server_refuses_is_a_typed_error(
    client: AsyncClient, model: str
):
    # Compatible servers say 400, 422 or 500.
    with pytest.raises(
        (errors.BadRequestError, errors.UnprocessableEntityError, errors.InternalServerError)
    ) as caught:
        await client.completions.create(
            model=model, prompt=PROMPT, extra_body={"max_tokens": "many"}
        )
    assert caught.value.message
