"""Chat completions: whole, streamed, tools, structured output, stored completions."""

import json

import pytest
from pydantic import BaseModel

from tunesmith import errors

pytestmark = pytest.mark.anyio

ASKED = {
    "model": "gpt-4o-mini",
    "messages": [{"role": "user", "content": "What is duty?"}],
    "max_completion_tokens": 20,
    "seed": 3,
}
TOOL = {
    "type": "function",
    "function": {
        "name": "look_up",
        "parameters": {
            "type": "object",
            "properties": {"word": {"type": "string"}, "page": {"type": "integer"}},
            "required": ["word", "page"],
            "additionalProperties": False,
        },
    },
}
FORCED = {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "look_up"}}}


class Term(BaseModel):
    """A word and what it means."""

    word: str
    meanings: list[str]


async def test_a_chat_completion_has_a_message(client):
    chat = await client.chat.completions.create(**ASKED)
    assert chat.id.startswith("chatcmpl-")
    assert chat.object == "chat.completion"
    assert chat.choices[0].message.role == "assistant"
    assert chat.choices[0].message.content
    assert chat.choices[0].finish_reason in {"stop", "length"}
    assert 0 < chat.usage.completion_tokens <= 20


async def test_a_message_of_a_response_can_be_sent_in_the_next_request(client):
    message = (await client.chat.completions.create(**ASKED)).choices[0].message
    following = {"role": "user", "content": [{"type": "text", "text": "And what is right?"}]}
    chat = await client.chat.completions.create(
        **ASKED | {"messages": [*ASKED["messages"], message, following]}
    )
    assert chat.choices[0].message.content


async def test_a_stream_adds_up_to_the_response_of_create(client):
    created = await client.chat.completions.create(**ASKED, n=2)
    async with client.chat.completions.stream(
        **ASKED, n=2, stream_options={"include_usage": True}
    ) as stream:
        chunks = [chunk async for chunk in stream]
        final = await stream.final_response()
    assert len(chunks) > 3
    assert {chunk.object for chunk in chunks} == {"chat.completion.chunk"}
    assert final.object == "chat.completion"
    assert [c.message.content for c in final.choices] == [
        c.message.content for c in created.choices
    ]
    assert final.usage.total_tokens == created.usage.total_tokens


async def test_a_tool_call_has_arguments_that_match_its_schema(client):
    chat = await client.chat.completions.create(**ASKED, **FORCED)
    (call,) = chat.choices[0].message.tool_calls
    assert call.function.name == "look_up"
    arguments = json.loads(call.function.arguments)
    assert isinstance(arguments["word"], str)
    assert isinstance(arguments["page"], int)
    result = {"role": "tool", "tool_call_id": call.id, "content": "a command of reason"}
    answered = await client.chat.completions.create(
        **ASKED | {"messages": [*ASKED["messages"], chat.choices[0].message, result]}
    )
    assert answered.choices[0].message.content


async def test_the_chunks_of_a_tool_call_are_assembled(client):
    created = await client.chat.completions.create(**ASKED, **FORCED)
    async with client.chat.completions.stream(**ASKED, **FORCED) as stream:
        final = await stream.final_response()
    (call,) = final.choices[0].message.tool_calls
    (expected,) = created.choices[0].message.tool_calls
    assert call.id
    assert call.function == expected.function
    assert final.choices[0].finish_reason == created.choices[0].finish_reason


async def test_structured_output_matches_its_schema(client):
    schema = Term.model_json_schema() | {"additionalProperties": False}
    chat = await client.chat.completions.create(
        **ASKED | {"max_completion_tokens": 400},
        response_format={"type": "json_schema", "json_schema": {"name": "term", "schema": schema}},
    )
    assert Term.model_validate_json(chat.choices[0].message.content)


async def test_a_response_is_parsed_into_the_users_class(client):
    asked = ASKED | {"max_completion_tokens": 400}
    chat = await client.chat.completions.parse(**asked, response_format=Term)
    assert isinstance(chat.choices[0].message.parsed, Term)
    assert chat.response.request_id.startswith("req_")


async def test_a_truncated_response_is_not_parsed(client):
    with pytest.raises(errors.InvalidResponseError, match="ended with 'length'"):
        await client.chat.completions.parse(
            **ASKED | {"max_completion_tokens": 3}, response_format=Term
        )


async def test_stored_completions_are_listed_updated_and_deleted(client):
    chats = client.chat.completions
    kept = await chats.create(**ASKED, store=True, metadata={"topic": "duty"})
    await chats.create(**ASKED)
    assert (await chats.retrieve(kept.id)).choices == kept.choices
    assert [chat.id async for chat in chats.list(metadata={"topic": "duty"})] == [kept.id]
    messages = [message async for message in chats.messages.list(kept.id)]
    assert [message.content for message in messages] == ["What is duty?"]
    assert (await chats.update(kept.id, metadata={"topic": "right"})).metadata == {"topic": "right"}
    assert (await chats.list(metadata={"topic": "duty"})).data == []
    assert (await chats.delete(kept.id)).deleted
    with pytest.raises(errors.NotFoundError):
        await chats.retrieve(kept.id)


async def test_a_stubbed_reply_is_returned_whole_and_streamed(client, service):
    service.stub_reply("I only know that I know nothing.")
    created = await client.chat.completions.create(**ASKED)
    assert created.choices[0].message.content == "I only know that I know nothing."
    async with client.chat.completions.stream(**ASKED) as stream:
        text = [chunk.choices[0].delta.content or "" async for chunk in stream]
    assert "".join(text) == "I only know that I know nothing."


async def test_invalid_messages_are_an_error_before_anything_is_sent(client):
    with pytest.raises(errors.InvalidRequestError) as caught:
        await client.chat.completions.create(model="gpt-4o-mini", messages=[])
    assert caught.value.param == "messages"
