"""Faults, recorder and cassettes over the Responses API."""

import pytest

from tunesmith import AsyncClient, StreamError, StreamInterruptedError
from tunesmith.testing import CallRecorder, Reply, ToolCall
from tunesmith.testing.cassettes.player import ReplayBackend
from tunesmith.testing.cassettes.recorder import RecordingBackend

pytestmark = pytest.mark.anyio

ASKED = {"model": "gpt-4o-mini", "input": "Who was Kant?"}


@pytest.fixture
async def client(faults, memory, anyio_backend):
    memory.service.stub_reply("A philosopher of the Enlightenment.")
    async with AsyncClient(backend=faults, max_retries=0) as client:
        yield client


async def stream_text(client):
    async with client.responses.stream(**ASKED) as stream:
        return (await stream.final_response()).output_text


@pytest.mark.parametrize("events", [0, 1, 5])
async def test_a_stream_that_breaks_has_no_final_response(client, faults, events):
    faults.on("responses.create").disconnect(after_events=events)
    with pytest.raises(StreamInterruptedError):
        await stream_text(client)
    faults.assert_all_fired()


async def test_an_error_inside_a_stream_is_raised_after_its_events(client, faults):
    faults.on("responses.create").error_event(after_events=4, message="Overloaded.", code="busy")
    async with client.responses.stream(**ASKED) as stream:
        types = [(await anext(stream)).type for _ in range(4)]
        with pytest.raises(StreamError, match=r"Overloaded\.") as error:
            await anext(stream)
    assert types[-1] == "response.content_part.added"
    assert error.value.code == "busy"


async def test_a_rate_limit_is_retried(client, faults, memory):
    faults.on("responses.create").rate_limited(retry_after=3)
    start = memory.clock.time()
    response = await client.with_options(max_retries=2).responses.create(**ASKED)
    assert response.response.attempts == 2
    assert memory.clock.time() - start >= 3


async def test_the_recorder_has_parameters_events_and_results(faults, memory):
    recorder = CallRecorder(faults)
    memory.service.stub_reply(Reply(tool_calls=[ToolCall("now", {})]), times=1)
    memory.service.stub_reply("Noon.")
    tools = [{"type": "function", "name": "now", "parameters": {"type": "object"}}]
    async with AsyncClient(backend=recorder) as client:
        first = await client.responses.create(**ASKED, tools=tools)
        (call,) = first.output
        output = {"type": "function_call_output", "call_id": call.call_id, "output": "12:00"}
        async with client.responses.stream(
            model="gpt-4o-mini", input=[output], previous_response_id=first.id, tools=tools
        ) as stream:
            final = await stream.final_response()
    recorder.assert_called("responses.create", previous_response_id=first.id, stream=True)
    created, streamed = recorder.calls("responses.create")
    assert created.response_json["output"][0]["name"] == "now"
    assert streamed.response_json[-1]["response"]["id"] == final.id
    assert streamed.parameters["input"] == [output]
    recorder.assert_no_violations()


async def test_a_recorded_conversation_is_replayed(tmp_path, memory):
    async def converse(client):
        first = await client.responses.create(**ASKED)
        follow_up = {"model": "gpt-4o-mini", "input": "When?", "previous_response_id": first.id}
        async with client.responses.stream(**follow_up) as stream:
            events = [event.type async for event in stream]
        return first.output_text, events, (await client.responses.delete(first.id)).deleted

    path = tmp_path / "responses.json"
    async with AsyncClient(backend=RecordingBackend(memory, path)) as client:
        recorded = await converse(client)
    async with AsyncClient(backend=ReplayBackend(path)) as client:
        assert await converse(client) == recorded
    assert recorded[1][-1] == "response.completed"
