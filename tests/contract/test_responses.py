"""The Responses API: created, streamed, continued, with tools, in the background, stored."""

import json
from dataclasses import dataclass
from typing import TypedDict

import pytest
from pydantic import BaseModel

from tunesmith import errors
from tunesmith.service.inference.stubs import Reply, ToolCall

pytestmark = pytest.mark.anyio

ASKED = {"model": "gpt-4o-mini", "input": "Who was Kant?", "max_output_tokens": 20}
WEATHER = {
    "type": "function",
    "name": "weather",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    },
}


class Term(BaseModel):
    word: str


@dataclass
class Place:
    word: str


class Entry(TypedDict):
    word: str


async def test_a_response_has_text_and_usage(client):
    response = await client.responses.create(**ASKED)
    assert (response.id[:5], response.object) == ("resp_", "response")
    assert response.output_text
    assert 0 < response.usage.output_tokens <= 20
    assert response.response.request_id.startswith("req_")


async def test_a_stream_ends_with_the_stored_response(client):
    async with client.responses.stream(**ASKED) as stream:
        events = [event async for event in stream]
        final = await stream.final_response()
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert [event.type for event in events][:4] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
    ]
    assert "".join(event.delta for event in events if event.delta) == final.output_text
    assert await client.responses.retrieve(final.id) == final


async def test_a_conversation_continues_by_id_and_its_input_is_listed(client):
    first = await client.responses.create(**ASKED)
    second = await client.responses.create(
        **ASKED | {"input": "And Hume?"}, previous_response_id=first.id
    )
    assert second.usage.input_tokens > first.usage.input_tokens
    items = [item async for item in client.responses.input_items.list(second.id, limit=1)]
    assert items[0].content == [{"type": "input_text", "text": "And Hume?"}]
    counted = await client.responses.input_tokens.count(model="gpt-4o-mini", input="Who was Kant?")
    assert counted.input_tokens == first.usage.input_tokens


async def test_parallel_calls_of_functions_are_answered(client, service):
    calls = [ToolCall("weather", {"city": city}) for city in ("Königsberg", "Riga")]
    service.stub_reply(Reply(tool_calls=calls), times=1)
    service.stub_reply("It rains in both.", match="rain")
    asked = {"model": "gpt-4o-mini", "input": "Weather?", "tools": [WEATHER]}
    async with client.responses.stream(**asked) as stream:
        response = await stream.final_response()
    assert [json.loads(item.arguments)["city"] for item in response.output] == [
        "Königsberg",
        "Riga",
    ]
    outputs = [
        {"type": "function_call_output", "call_id": item.call_id, "output": "rain"}
        for item in response.output
    ]
    question = {"role": "user", "content": "Weather?"}
    answered = await client.responses.create(
        **ASKED | {"input": [question, *response.output, *outputs]}
    )
    assert answered.output_text == "It rains in both."


@pytest.mark.parametrize("kind", [Term, Place, Entry])
async def test_a_response_is_parsed_into_a_class(client, kind, service):
    service.stub_reply('{"word": "noumenon"}')
    response = await client.responses.parse(model="gpt-4o-mini", input="?", text_format=kind)
    assert response.output_parsed == kind(word="noumenon")


async def test_a_refusal_is_not_parsed(client, service):
    service.stub_reply(Reply(refusal="No."))
    with pytest.raises(errors.InvalidResponseError, match="refused to answer: No"):
        await client.responses.parse(Term, model="gpt-4o-mini", input="?")


async def test_a_refusal_is_streamed_in_both_apis(client, service):
    service.stub_reply(Reply(refusal="I cannot."))
    async with client.responses.stream(**ASKED) as stream:
        events = [event async for event in stream]
        final = await stream.final_response()
    text = "".join(event.delta for event in events if event.type == "response.refusal.delta")
    assert (text, final.output_text) == ("I cannot.", "")
    assert final.output[0].content[0].refusal == "I cannot."
    messages = [{"role": "user", "content": "?"}]
    async with client.chat.completions.stream(model="gpt-4o-mini", messages=messages) as chat:
        message = (await chat.final_response()).choices[0].message
    created = await client.chat.completions.create(model="gpt-4o-mini", messages=messages)
    assert created.choices[0].message.refusal == message.refusal == "I cannot."
    assert message.content is None


async def test_a_background_response_is_followed_and_another_cancelled(client):
    queued = await client.responses.create(**ASKED, background=True)
    assert queued.status == "queued"
    async with client.responses.follow(queued.id) as stream:
        done = await stream.final_response()
    assert (done.id, done.status) == (queued.id, "incomplete")
    async with client.responses.follow(queued.id, starting_after=2) as stream:
        assert (await anext(stream)).sequence_number == 3
    other = await client.responses.create(**ASKED, background=True)
    assert (await client.responses.cancel(other.id)).status == "cancelled"


async def test_a_background_stream_that_is_left_early_can_be_followed_to_its_end(client):
    async with client.responses.stream(**ASKED, background=True) as stream:
        first = await anext(stream)
    async with client.responses.follow(first.response.id, starting_after=0) as stream:
        types = [event.type async for event in stream]
        final = await stream.final_response()
    assert types[:2] == ["response.queued", "response.in_progress"]
    assert final == await client.responses.retrieve(final.id)


async def test_a_deleted_response_cannot_be_continued(client):
    response = await client.responses.create(**ASKED)
    assert (await client.responses.delete(response.id)).deleted
    with pytest.raises(errors.BadRequestError) as error:
        await client.responses.create(**ASKED, previous_response_id=response.id)
    assert error.value.param == "previous_response_id"
    with pytest.raises(errors.NotFoundError):
        await client.responses.retrieve(response.id)


async def test_an_invalid_request_names_its_parameter(client):
    with pytest.raises(errors.BadRequestError) as error:
        await client.responses.create(model="gpt-4o-mini", input=[{"type": "nothing"}])
    assert error.value.param == "input[0].type"
    assert error.value.body["message"] == error.value.message
    with pytest.raises(errors.InvalidRequestError, match="temperature"):
        await client.responses.create(**ASKED, temperature=3)


@pytest.mark.parametrize(
    ("schema", "problem"),
    [
        ({"type": "object", "properties": {}}, "'additionalProperties' is required"),
        (
            {"type": "object", "properties": {"a": {}}, "additionalProperties": False},
            r"In context=\(\), 'required' is required .* Missing 'a'",
        ),
        ({"type": "array"}, "must be a JSON Schema of 'type: \"object\"'"),
        (
            {
                "type": "object",
                "properties": {"a": {"type": "array"}},
                "required": ["a"],
                "additionalProperties": False,
            },
            r"In context=\('properties', 'a'\), array schema missing items",
        ),
    ],
)
async def test_a_schema_that_strict_mode_does_not_support_is_refused(client, schema, problem):
    named = {"name": "term", "strict": True, "schema": schema}
    tool = {"type": "function", "name": "term", "strict": True, "parameters": schema}
    for parameters in ({"text": {"format": {"type": "json_schema", **named}}}, {"tools": [tool]}):
        with pytest.raises(errors.BadRequestError, match=f"'term': .*{problem}"):
            await client.responses.create(**ASKED, **parameters)
    with pytest.raises(errors.BadRequestError, match=problem):
        await client.chat.completions.create(
            model="gpt-4o-mini",
            messages=[{"role": "user", "content": "?"}],
            response_format={"type": "json_schema", "json_schema": named},
        )
