"""Responses have the format, the events and the rules of the Responses API."""

import json

import pytest

from tunesmith.service.inference.stubs import Reply, Token, ToolCall
from tunesmith.service.service import Service

pytestmark = pytest.mark.anyio

REQUEST = {"model": "gpt-4o-mini", "input": "Who was Kant?", "max_output_tokens": 200}
WEATHER = {
    "type": "function",
    "name": "weather",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
    },
}
SHELL = {"type": "custom", "name": "shell"}


@pytest.fixture
def respond(api):
    """Create a response."""

    async def send(**parameters):
        return await api.post("/responses", **{**REQUEST, **parameters})

    return send


@pytest.fixture
def stream(api):
    """Stream a response; return its events."""

    async def send(path="/responses", method="POST", **parameters):
        body = {**REQUEST, **parameters, "stream": True}
        if method == "GET":
            query = {"stream": "true", **parameters}
            status, _, content = await api.send("GET", path, query=query.items())
        else:
            status, _, content = await api.send("POST", path, body)
        assert status == 200, content
        events = []
        for block in content.decode().removesuffix("\n\n").split("\n\n"):
            name, data = block.split("\n")
            event = json.loads(data.removeprefix("data: "))
            assert name == f"event: {event['type']}"
            events.append(event)
        assert [event["sequence_number"] for event in events] == list(
            range(events[0]["sequence_number"], events[-1]["sequence_number"] + 1)
        )
        return events

    return send


def text_of(response):
    (message,) = [item for item in response["output"] if item["type"] == "message"]
    return message["content"][0]["text"]


async def test_a_response_has_the_format_of_the_api(respond, service):
    response = await respond(metadata={"topic": "duty"}, instructions="Be brief.")
    assert response["id"].startswith("resp_")
    assert response["object"] == "response"
    assert response["created_at"] == int(service.clock.time())
    assert isinstance(response["created_at"], int)
    assert response["status"] == "completed"
    assert response["error"] is None
    assert response["incomplete_details"] is None
    assert response["instructions"] == "Be brief."
    assert response["metadata"] == {"topic": "duty"}
    assert response["text"]["format"] == {"type": "text"}
    assert (response["store"], response["background"]) == (True, False)
    (message,) = response["output"]
    assert message["id"].startswith("msg_")
    assert (message["role"], message["status"]) == ("assistant", "completed")
    (part,) = message["content"]
    assert (part["type"], part["annotations"], part["logprobs"]) == ("output_text", [], [])
    usage = response["usage"]
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]


async def test_a_stream_has_the_events_of_the_api_in_their_order(stream, service):
    service.stub_reply("Yes, he was.")
    events = await stream()
    kinds = [event["type"] for event in events]
    n_deltas = kinds.count("response.output_text.delta")
    assert kinds == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        *["response.output_text.delta"] * n_deltas,
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert n_deltas > 1
    assert events[0]["response"]["status"] == "in_progress"
    assert events[0]["response"]["output"] == []
    deltas = [event["delta"] for event in events if "delta" in event]
    assert "".join(deltas) == "Yes, he was."
    assert events[-4]["text"] == "Yes, he was."
    final = events[-1]["response"]
    assert text_of(final) == "Yes, he was."
    assert events[-2]["item"] == final["output"][0]


async def test_a_streamed_response_is_stored_and_equals_its_last_event(stream, api):
    final = (await stream())[-1]["response"]
    assert await api.get(f"/responses/{final['id']}") == final


async def test_events_of_a_stored_response_can_be_streamed_again(respond, stream):
    response = await respond()
    path = f"/responses/{response['id']}"
    events = await stream(path, "GET")
    assert events[-1]["type"] == "response.completed"
    assert events[-1]["response"] == response
    rest = await stream(path, "GET", starting_after="3")
    assert rest == events[4:]


@pytest.mark.parametrize("is_streamed", [False, True])
async def test_a_truncated_response_is_incomplete(respond, stream, is_streamed):
    if is_streamed:
        event = (await stream(max_output_tokens=1))[-1]
        assert event["type"] == "response.incomplete"
        response = event["response"]
    else:
        response = await respond(max_output_tokens=1)
    assert response["status"] == "incomplete"
    assert response["incomplete_details"] == {"reason": "max_output_tokens"}
    assert response["output"][0]["status"] == "incomplete"
    assert response["usage"]["output_tokens"] == 1


async def test_a_filtered_response_is_incomplete(respond, service):
    service.stub_reply(Reply("…", finish_reason="content_filter"))
    assert (await respond())["incomplete_details"] == {"reason": "content_filter"}


# Input.


@pytest.mark.parametrize(
    "parts",
    [
        "Who was Kant?",
        [{"type": "input_text", "text": "Who was Kant?"}],
        [
            {"type": "input_text", "text": "Who was Kant?"},
            {"type": "input_image", "image_url": "https://example.com/a.png"},
            {"type": "input_file", "file_id": "file-1"},
        ],
    ],
)
async def test_input_is_text_or_messages(respond, service, parts):
    service.stub_reply("A philosopher.", match="Who was Kant?")
    response = await respond(input=[{"role": "user", "content": parts}])
    assert text_of(response) == "A philosopher."


async def test_a_conversation_continues_from_the_previous_response(respond, service):
    service.stub_reply(lambda operation: "Königsberg.", match="Where")
    first = await respond(input="Who was Kant?", instructions="Be brief.")
    second = await respond(input="Where did he live?", previous_response_id=first["id"])
    third = await respond(input="When?", previous_response_id=second["id"])
    counts = [response["usage"]["input_tokens"] for response in (first, second, third)]
    assert counts == sorted(counts)
    assert text_of(second) == "Königsberg."
    assert third["previous_response_id"] == second["id"]


async def test_a_conversation_continues_by_its_id(respond):
    first = await respond(conversation="conv_1")
    second = await respond(conversation={"id": "conv_1"})
    assert second["conversation"] == {"id": "conv_1"}
    assert second["usage"]["input_tokens"] > first["usage"]["input_tokens"]


async def test_outputs_of_tools_continue_a_conversation(respond, service):
    service.stub_reply(ToolCall("weather", {"city": "Königsberg"}), times=1)
    first = await respond(tools=[WEATHER])
    (call,) = first["output"]
    service.stub_reply("It is sunny.", match="sunny")
    output = {"type": "function_call_output", "call_id": call["call_id"], "output": "sunny"}
    second = await respond(input=[output], previous_response_id=first["id"])
    stateless = await respond(input=[{"role": "user", "content": "Hi"}, *first["output"], output])
    assert text_of(second) == text_of(stateless) == "It is sunny."


async def test_stored_items_can_be_referenced(respond):
    first = await respond()
    reference = {"type": "item_reference", "id": first["output"][0]["id"]}
    response = await respond(input=[reference, {"role": "user", "content": "Why?"}])
    assert response["status"] == "completed"


@pytest.mark.parametrize(
    ("parameters", "param"),
    [
        ({"input": None}, "input"),
        ({"input": [{"type": "unknown"}]}, "input[0].type"),
        ({"input": [{"role": "poet", "content": "x"}]}, "input[0].role"),
        ({"input": [{"role": "user", "content": [{"type": "unknown"}]}]}, "input[0].content"),
        ({"input": [{"role": "user", "content": [5]}]}, "input[0].content"),
        ({"input": [{"role": "user", "content": 5}]}, "input"),
        ({"input": [{"type": "function_call", "name": 5}]}, "input"),
        ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "input"),
        ({"input": "x" * 1_000_000}, "input"),
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"previous_response_id": "resp_1", "conversation": "conv_1"}, "conversation"),
        ({"conversation": "1"}, "conversation"),
        ({"prompt": {"id": "pmpt_1"}}, "prompt"),
        ({"background": True, "store": False}, "background"),
        ({"tools": [{"type": "function"}]}, "tools"),
        ({"tools": [WEATHER], "tool_choice": "weather"}, "tool_choice"),
        ({"tools": [WEATHER], "tool_choice": {"type": "function", "name": "x"}}, "tool_choice"),
        ({"text": {"format": {"type": "json_schema"}}}, "text.format"),
        ({"text": {"format": {"type": "xml"}}}, "text.format"),
        ({"model": "davinci-002"}, "model"),
        ({"temperature": 3}, "temperature"),
    ],
)
@pytest.mark.parametrize("is_streamed", [False, True])
async def test_an_invalid_request_is_refused(api, parameters, param, is_streamed):
    body = {**REQUEST, **parameters, "stream": is_streamed}
    status, error = await api.fail("/responses", **body)
    assert (status, error["param"]) == (400, param)


# Output.


async def test_json_fits_the_schema_of_the_format(respond):
    schema = {"type": "object", "properties": {"year": {"type": "integer", "minimum": 1724}}}
    text = {"format": {"type": "json_schema", "name": "birth", "schema": schema}}
    response = await respond(text=text)
    assert json.loads(text_of(response)) == {"year": 1724}
    assert response["text"]["format"] == text["format"]


async def test_a_required_tool_is_called(respond):
    response = await respond(tools=[WEATHER], tool_choice="required")
    (call,) = response["output"]
    assert (call["type"], call["name"], call["status"]) == ("function_call", "weather", "completed")
    assert call["id"].startswith("fc_")
    assert call["call_id"].startswith("call_")
    assert set(json.loads(call["arguments"])) == {"city"}


async def test_a_stream_has_text_and_calls_one_after_the_other(stream, service):
    calls = [ToolCall("weather", {"city": "Königsberg"}, id="a"), ToolCall("shell", "ls", id="b")]
    service.stub_reply(Reply("Let me see.", tool_calls=calls))
    events = await stream(tools=[WEATHER, SHELL])
    items = [event["item"] for event in events if event["type"] == "response.output_item.done"]
    assert [item["type"] for item in items] == ["message", "function_call", "custom_tool_call"]
    assert (items[1]["call_id"], items[1]["arguments"]) == ("a", '{"city": "Königsberg"}')
    assert (items[2]["call_id"], items[2]["input"]) == ("b", "ls")
    assert events[-1]["response"]["output"] == items
    for index, item in enumerate(items):
        own = [event for event in events if event.get("output_index") == index]
        assert own[0]["type"] == "response.output_item.added"
        assert own[0]["item"]["status"] == "in_progress"
        assert own[-1]["type"] == "response.output_item.done"
        assert {event.get("item_id", item["id"]) for event in own} == {item["id"]}


async def test_reasoning_models_have_a_reasoning_item(respond, stream):
    parameters = {"model": "o4-mini-2025-04-16", "include": ["reasoning.encrypted_content"]}
    response = await respond(**parameters)
    assert [item["type"] for item in response["output"]] == ["reasoning", "message"]
    assert "encrypted_content" in response["output"][0]
    events = await stream(**parameters)
    assert events[2]["item"]["type"] == events[3]["item"]["type"] == "reasoning"
    assert events[4]["output_index"] == 1
    again = await respond(input=[*response["output"], {"role": "user", "content": "Why?"}])
    assert again["status"] == "completed"


async def test_log_probabilities_are_returned_if_requested(respond, service):
    service.stub_reply(Reply(tokens=[Token("Yes", -0.1, top={"No": -2.5})]))
    response = await respond(top_logprobs=2)
    (logprob,) = response["output"][0]["content"][0]["logprobs"]
    assert (logprob["token"], logprob["logprob"]) == ("Yes", -0.1)
    assert [option["token"] for option in logprob["top_logprobs"]] == ["Yes", "No"]


async def test_a_seeded_service_repeats_its_responses(api_of):
    first, second = [await api_of(Service(seed=3)).post("/responses", **REQUEST) for _ in range(2)]
    assert first == second


# Stored responses.


async def test_a_response_is_stored_unless_it_is_turned_off(respond, api):
    stored, other = await respond(), await respond(store=False)
    assert await api.get(f"/responses/{stored['id']}") == stored
    assert (await api.send("GET", f"/responses/{other['id']}"))[0] == 404


async def test_input_items_are_listed_in_order_and_by_pages(respond, api):
    items = [{"role": "user", "content": f"Question {number}"} for number in range(3)]
    path = f"/responses/{(await respond(input=items))['id']}/input_items"
    newest = await api.get(path)
    parts = [[{"type": "input_text", "text": item["content"]}] for item in items]
    assert [item["content"] for item in newest["data"]] == parts[::-1]
    oldest = await api.get(path, order="asc", limit="2")
    assert [item["content"] for item in oldest["data"]] == parts[:2]
    rest = await api.get(path, order="asc", after=oldest["last_id"])
    assert [item["content"] for item in rest["data"]] == parts[2:]


async def test_a_deleted_response_is_gone(respond, api):
    response_id = (await respond())["id"]
    deleted = await api.delete(f"/responses/{response_id}")
    assert deleted == {"id": response_id, "object": "response", "deleted": True}
    for path in (f"/responses/{response_id}", f"/responses/{response_id}/input_items"):
        assert (await api.send("GET", path))[0] == 404


async def test_input_tokens_are_counted(respond, api):
    response = await respond(instructions="Be brief.")
    request = {"model": "gpt-4o-mini", "input": "Who was Kant?", "instructions": "Be brief."}
    count = await api.post("/responses/input_tokens", **request)
    assert count == {
        "object": "response.input_tokens",
        "input_tokens": response["usage"]["input_tokens"],
    }


# Background mode.


async def test_a_background_response_is_completed_later(respond, api, service):
    queued = await respond(background=True)
    assert (queued["status"], queued["output"], queued["background"]) == ("queued", [], True)
    service.clock.jump(10)
    response = await api.get(f"/responses/{queued['id']}")
    assert response["status"] == "completed"
    assert text_of(response)


async def test_a_background_response_can_be_followed(respond, stream):
    queued = await respond(background=True)
    events = await stream(f"/responses/{queued['id']}", "GET")
    assert events[-1]["type"] == "response.completed"


async def test_a_background_stream_continues_without_its_client(stream, api, service):
    service.stub_reply("A philosopher of the Enlightenment.")
    events = await stream(background=True)
    assert [event["type"] for event in events][:3] == [
        "response.created",
        "response.queued",
        "response.in_progress",
    ]
    assert [event["response"]["status"] for event in events[:3]] == ["queued"] * 2 + ["in_progress"]
    final = events[-1]["response"]
    path = f"/responses/{final['id']}"
    assert await api.get(path) == final
    assert await stream(path, "GET", starting_after="2") == events[3:]


async def test_a_background_response_can_be_cancelled(respond, api, service):
    response_id = (await respond(background=True))["id"]
    cancelled = await api.post(f"/responses/{response_id}/cancel")
    assert cancelled["status"] == "cancelled"
    service.clock.jump(10)
    assert (await api.get(f"/responses/{response_id}"))["status"] == "cancelled"
    assert (await api.post(f"/responses/{response_id}/cancel"))["status"] == "cancelled"


async def test_a_synchronous_response_cannot_be_cancelled(respond, api):
    status, error = await api.fail(f"/responses/{(await respond())['id']}/cancel")
    assert (status, error["message"]) == (400, "Cannot cancel a synchronous response.")
