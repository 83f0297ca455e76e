"""The client creates, streams, parses and manages responses."""

import json
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Literal

import pytest
from pydantic import BaseModel
from tests.unit.calls.conftest import Script, answer
from typing_extensions import TypedDict

from tunesmith import (
    AsyncClient,
    InvalidRequestError,
    InvalidResponseError,
    MemoryBackend,
    NotFoundError,
    StreamError,
    StreamInterruptedError,
)
from tunesmith.protocol.message import Response as BackendResponse
from tunesmith.testing import Reply, ToolCall
from tunesmith.types.responses import ResponseFunctionToolCall

pytestmark = pytest.mark.anyio

REQUEST = {"model": "gpt-4o-mini", "input": "Who was Kant?"}


class City(BaseModel):
    name: str
    continent: Literal["Europe", "Asia"]


@pytest.fixture
def backend():
    return MemoryBackend(seed=1)


@pytest.fixture
async def client(backend):
    async with AsyncClient(backend=backend) as client:
        yield client


async def test_a_response_has_a_text_and_its_request_id(client, backend):
    backend.service.stub_reply("A philosopher.", match="Kant")
    response = await client.responses.create(**REQUEST, metadata={"topic": "duty"})
    assert (response.status, response.output_text) == ("completed", "A philosopher.")
    assert response.metadata == {"topic": "duty"}
    assert response.response.request_id.startswith("req_")


async def test_the_events_of_a_stream_make_up_the_response(client, backend):
    backend.service.stub_reply("A philosopher.")
    async with client.responses.stream(**REQUEST) as stream:
        text = ""
        async for event in stream:
            if event.type == "response.output_text.delta":
                text += event.delta
        response = await stream.final_response()
    assert text == response.output_text == "A philosopher."
    assert await client.responses.retrieve(response.id) == response


async def test_output_items_can_be_sent_back(client, backend):
    backend.service.stub_reply(ToolCall("weather", {"city": "Königsberg"}), times=1)
    tools = [{"type": "function", "name": "weather", "parameters": {"type": "object"}}]
    response = await client.responses.create(**REQUEST, tools=tools)
    (call,) = response.output
    assert isinstance(call, ResponseFunctionToolCall)
    backend.service.stub_reply("Sunny.", match="sun")
    output = {"type": "function_call_output", "call_id": call.call_id, "output": "sun"}
    question = {"role": "user", "content": "How is the weather?"}
    response = await client.responses.create(
        model="gpt-4o-mini", input=[question, *response.output, output]
    )
    assert response.output_text == "Sunny."


async def test_a_response_is_parsed_into_a_class(client):
    parsed = await client.responses.parse(City, model="gpt-4o-mini", input="A city")
    assert isinstance(parsed.output_parsed, City)
    assert parsed.output_parsed.continent == "Europe"
    assert parsed.response.attempts == 1
    named = await client.responses.parse(text_format=City, model="gpt-4o-mini", input="A city")
    assert isinstance(named.output_parsed, City)


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (Reply('{"name": "K', finish_reason="content_filter"), "The response is incomplete"),
        (Reply('{"name": 5}'), "City"),
    ],
)
async def test_a_response_that_does_not_fit_the_class_is_an_error(client, backend, reply, message):
    backend.service.stub_reply(reply)
    with pytest.raises(InvalidResponseError, match=message):
        await client.responses.parse(City, model="gpt-4o-mini", input="A city")


@dataclass
class Place:
    name: str


class Year(TypedDict):
    number: int


async def test_a_response_is_parsed_into_a_dataclass_or_a_typed_dict(client, backend):
    backend.service.stub_reply('{"name": "Königsberg"}', match="Where")
    backend.service.stub_reply('{"number": 1724}', match="When")
    where = await client.responses.parse(Place, model="gpt-4o-mini", input="Where?")
    assert where.output_parsed == Place("Königsberg")
    when = await client.responses.parse(Year, model="gpt-4o-mini", input="When?")
    assert when.output_parsed == {"number": 1724}


async def test_a_response_that_does_not_fit_names_its_request(client, backend):
    backend.service.stub_reply('{"name": 7}')
    with pytest.raises(InvalidResponseError, match="The message is not a valid Place") as error:
        await client.responses.parse(Place, model="gpt-4o-mini", input="Where?")
    assert (error.value.operation, error.value.attempts) == ("responses.create", 1)
    assert error.value.request_id.startswith("req_")


async def test_parse_takes_one_class(client):
    with pytest.raises(
        InvalidRequestError, match=r"responses\.parse: pass one class as text_format"
    ):
        await client.responses.parse(model="gpt-4o-mini", input="Where?")
    with pytest.raises(InvalidRequestError, match="Did you mean 'model'"):
        await client.responses.parse(Place, modle="gpt-4o-mini", input="Where?")


async def test_a_response_with_only_calls_is_not_parsed(client, backend):
    backend.service.stub_reply(ToolCall("weather"))
    parsed = await client.responses.parse(City, model="gpt-4o-mini", input="A city")
    assert parsed.output_parsed is None


async def test_input_items_and_tokens_of_a_response(client):
    response = await client.responses.create(**REQUEST)
    items = [item async for item in client.responses.input_items.list(response.id)]
    (part,) = items[0].content
    assert part == {"type": "input_text", "text": "Who was Kant?"}
    count = await client.responses.input_tokens.count(**REQUEST)
    assert count.input_tokens == response.usage.input_tokens


async def test_a_background_response_is_followed_to_its_end(client):
    queued = await client.responses.create(**REQUEST, background=True)
    assert queued.status == "queued"
    async with client.responses.follow(queued.id) as stream:
        response = await stream.final_response()
    assert response.status == "completed"
    cancelled = await client.responses.cancel(queued.id)
    assert cancelled.status == "completed"


async def test_a_deleted_response_is_not_found(client):
    response = await client.responses.create(**REQUEST)
    assert (await client.responses.delete(response.id)).deleted
    with pytest.raises(NotFoundError, match="not found"):
        await client.responses.retrieve(response.id)


@pytest.mark.parametrize(
    "parameters",
    [{"temperature": 3}, {"inputs": "x"}, {"text": {"verbosity": "x"}}, {"input": []}],
)
async def test_an_invalid_parameter_is_refused_before_it_is_sent(client, parameters):
    with pytest.raises(InvalidRequestError, match=r"responses\.create"):
        await client.responses.create(**{**REQUEST, **parameters})


class Scripted:
    """Backend that sends given bytes as an event stream."""

    def __init__(self, *chunks):
        self.chunks = chunks

    @asynccontextmanager
    async def send(self, request):
        yield BackendResponse(200, {"content-type": "text/event-stream"}, self._stream())

    async def _stream(self):
        for chunk in self.chunks:
            yield chunk

    async def aclose(self):
        pass


CREATED = b'event: response.created\ndata: {"type":"response.created","response":{"id":"r"}}\n\n'
FAILED = b'data: {"type":"response.failed","response":{"id":"r","status":"failed"}}\n\n'


async def test_a_stream_that_ends_before_its_last_event_is_interrupted():
    async with (
        AsyncClient(backend=Scripted(CREATED), max_retries=0) as client,
        client.responses.stream(**REQUEST) as stream,
    ):
        with pytest.raises(StreamInterruptedError):
            await stream.final_response()


async def test_a_failed_response_is_the_final_response():
    async with (
        AsyncClient(backend=Scripted(CREATED, FAILED)) as client,
        client.responses.stream(**REQUEST) as stream,
    ):
        assert (await stream.final_response()).status == "failed"


@pytest.mark.parametrize(
    "event",
    [
        b'event: error\ndata: {"type":"error","code":"server_error","message":"Oops"}\n\n',
        b'data: {"error":{"message":"Oops","type":"server_error"}}\n\n',
    ],
)
async def test_an_error_event_is_raised(event):
    async with (
        AsyncClient(backend=Scripted(CREATED, event)) as client,
        client.responses.stream(**REQUEST) as stream,
    ):
        with pytest.raises(StreamError, match="Oops"):
            await stream.final_response()


async def test_stored_responses_outlive_the_process_in_a_state_folder(tmp_path):
    state = tmp_path / "world.state"
    async with AsyncClient(backend=MemoryBackend(state=state)) as client:
        first = await client.responses.create(**REQUEST)
        async with client.responses.stream(**REQUEST, previous_response_id=first.id) as stream:
            second = await stream.final_response()
        async with client.responses.stream(**REQUEST, store=False) as stream:
            unstored = await stream.final_response()
        queued = await client.responses.create(**REQUEST, background=True)
    async with AsyncClient(backend=MemoryBackend(state=state)) as client:
        assert await client.responses.retrieve(first.id) == first
        assert await client.responses.retrieve(second.id) == second
        async with client.responses.follow(queued.id) as stream:
            interrupted = await stream.final_response()
        assert interrupted.error.message.startswith("The service was restarted")
        with pytest.raises(NotFoundError):
            await client.responses.retrieve(unstored.id)


@pytest.mark.parametrize("output", [[], None])
async def test_output_that_the_last_event_lacks_is_that_of_the_items(output):
    item = {"type": "message", "content": [{"type": "output_text", "text": "Kant"}]}
    response = {"id": "r", "status": "completed", "output": output}
    events = [
        {"type": "response.created", "response": {"id": "r"}},
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {"type": "response.completed", "response": response},
    ]
    body = b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events)
    backend = Script(answer(body, content_type="text/event-stream"))
    async with backend.client().responses.stream(model="m", input="Who?") as stream:
        final = await stream.final_response()
    assert (final.id, final.status, final.output_text) == ("r", "completed", "Kant")
