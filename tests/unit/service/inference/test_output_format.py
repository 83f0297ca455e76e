"""Formats of chat completions: JSON of a schema, and calls of tools."""

import json

import pytest

pytestmark = pytest.mark.anyio

REQUEST = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Weather, as JSON?"}]}
WEATHER = {
    "type": "object",
    "properties": {
        "city": {"type": "string"},
        "days": {"type": "integer", "minimum": 3},
        "unit": {"enum": ["celsius", "fahrenheit"]},
    },
    "required": ["city", "days"],
}
TOOLS = [
    {"type": "function", "function": {"name": "now"}},
    {"type": "function", "function": {"name": "weather", "parameters": WEATHER}},
]


@pytest.fixture
def chat(api):
    """Call gpt-4o-mini."""

    async def send(**parameters):
        return (await api.post("/chat/completions", **{**REQUEST, **parameters}))["choices"][0]

    return send


def named(name):
    return {"type": "function", "function": {"name": name}}


@pytest.mark.parametrize("choice", [None, "auto", "none"])
async def test_optional_tools_are_not_called(chat, choice):
    answer = await chat(tools=TOOLS, tool_choice=choice, max_completion_tokens=5)
    assert isinstance(answer["message"]["content"], str)
    assert "tool_calls" not in answer["message"]


async def test_a_chosen_tool_is_called_with_its_required_arguments(chat):
    answer = await chat(tools=TOOLS, tool_choice=named("weather"))
    assert answer["finish_reason"] == "stop"
    assert answer["message"]["content"] is None
    (call,) = answer["message"]["tool_calls"]
    assert call["id"].startswith("call_")
    assert call["type"] == "function"
    assert call["function"]["name"] == "weather"
    arguments = json.loads(call["function"]["arguments"])
    assert set(arguments) == {"city", "days"}
    assert isinstance(arguments["city"], str)
    assert arguments["days"] == 3


async def test_a_required_call_is_of_the_first_tool(chat):
    answer = await chat(tools=TOOLS, tool_choice="required")
    assert answer["finish_reason"] == "tool_calls"
    (call,) = answer["message"]["tool_calls"]
    assert call["function"] == {"name": "now", "arguments": "{}"}


async def test_a_required_call_of_allowed_tools_is_of_the_first_one(chat):
    allowed = {"mode": "required", "tools": [named("weather")]}
    answer = await chat(
        tools=TOOLS, tool_choice={"type": "allowed_tools", "allowed_tools": allowed}
    )
    (call,) = answer["message"]["tool_calls"]
    assert call["function"]["name"] == "weather"
    allowed["mode"] = "auto"
    answer = await chat(
        tools=TOOLS, tool_choice={"type": "allowed_tools", "allowed_tools": allowed}
    )
    assert "tool_calls" not in answer["message"]


async def test_a_custom_tool_is_called_with_a_text(api, chat):
    tools = [{"type": "custom", "custom": {"name": "note"}}]
    choice = {"type": "custom", "custom": {"name": "note"}}
    request = {"tools": tools, "tool_choice": choice, "seed": 1, "max_completion_tokens": 5}
    (call,) = (await chat(**request))["message"]["tool_calls"]
    assert call["type"] == "custom"
    assert call["custom"]["name"] == "note"
    first, *deltas, _ = await api.stream("/chat/completions", **REQUEST, **request)
    (begun,) = first["choices"][0]["delta"]["tool_calls"]
    assert begun["custom"] == {"name": "note", "input": ""}
    pieces = [event["choices"][0]["delta"]["tool_calls"][0]["custom"]["input"] for event in deltas]
    assert "".join(pieces) == call["custom"]["input"] != ""


async def test_deprecated_functions_can_be_called(chat):
    functions = [{"name": "weather", "parameters": WEATHER}]
    answer = await chat(functions=functions, function_call={"name": "weather"})
    assert answer["message"]["content"] is None
    assert answer["message"]["function_call"]["name"] == "weather"
    assert json.loads(answer["message"]["function_call"]["arguments"])["days"] == 3


async def test_a_stubbed_text_is_the_arguments(chat, service):
    service.stub_reply('{"city": "Königsberg"}')
    answer = await chat(tools=TOOLS, tool_choice=named("weather"))
    (call,) = answer["message"]["tool_calls"]
    assert call["function"]["arguments"] == '{"city": "Königsberg"}'


@pytest.mark.parametrize(
    ("parameters", "param"),
    [
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tools": TOOLS, "tool_choice": named("unknown")}, "tool_choice"),
        ({"function_call": {"name": "x"}}, "function_call"),
        ({"functions": [{"name": "now"}], "function_call": {"name": "x"}}, "function_call"),
    ],
)
async def test_a_choice_that_does_not_fit_the_tools_is_refused(api, parameters, param):
    status, error = await api.fail("/chat/completions", **REQUEST, **parameters)
    assert (status, error["param"]) == (400, param)


async def test_a_streamed_call_begins_with_its_name(api, chat):
    (whole,) = (await chat(tools=TOOLS, tool_choice=named("weather"), seed=1))["message"][
        "tool_calls"
    ]
    first, *deltas, last = await api.stream(
        "/chat/completions", **REQUEST, tools=TOOLS, tool_choice=named("weather"), seed=1
    )
    delta = first["choices"][0]["delta"]
    assert (delta["role"], delta["content"]) == ("assistant", None)
    (call,) = delta["tool_calls"]
    assert (call["index"], call["type"]) == (0, "function")
    assert call["id"].startswith("call_")
    assert call["function"] == {"name": "weather", "arguments": ""}
    pieces = [event["choices"][0]["delta"]["tool_calls"][0] for event in deltas]
    assert len(pieces) > 1
    assert (
        "".join(each["function"]["arguments"] for each in pieces) == whole["function"]["arguments"]
    )
    assert last["choices"][0]["finish_reason"] == "stop"


async def test_json_object_is_an_object(chat):
    answer = await chat(response_format={"type": "json_object"})
    assert isinstance(json.loads(answer["message"]["content"]), dict)


async def test_json_object_requires_the_word_json_in_the_messages(api):
    status, error = await api.fail(
        "/chat/completions",
        model="gpt-4o-mini",
        messages=[{"role": "user", "content": "Weather?"}],
        response_format={"type": "json_object"},
    )
    assert (status, error["param"]) == (400, "messages")
    assert "must contain the word 'json'" in error["message"]


async def test_json_schema_is_json_that_fits_the_schema(chat):
    wanted = {"type": "json_schema", "json_schema": {"name": "weather", "schema": WEATHER}}
    answer = json.loads((await chat(response_format=wanted))["message"]["content"])
    assert answer["days"] == 3
    assert answer["city"]


@pytest.mark.parametrize("stream", [False, True])
async def test_an_invalid_schema_is_refused_before_a_stream_begins(api, stream):
    status, error = await api.fail(
        "/chat/completions",
        model="gpt-4o-mini",
        messages=[{"role": "user", "content": "Where?"}],
        response_format={
            "type": "json_schema",
            "json_schema": {"name": "place", "schema": {"properties": 5}},
        },
        stream=stream,
    )
    assert (status, error["param"]) == (400, "response_format")


async def test_texts_in_json_have_the_words_of_the_engine(chat):
    wanted = {"type": "json_schema", "json_schema": {"name": "x", "schema": WEATHER}}
    said = {
        json.loads((await chat(response_format=wanted, seed=seed))["message"]["content"])["city"]
        for seed in range(4)
    }
    assert len(said) > 1
