"""An engine may make tool calls itself: the service divides its tokens into content and calls."""

from dataclasses import replace

import pytest

from tunesmith import AsyncClient, BadRequestError, MemoryBackend
from tunesmith.service.engines import ScoredToken, TokenLogprob, ToolCallDelta
from tunesmith.service.engines.ngram.engine import NGramEngine, NGramModel

pytestmark = pytest.mark.anyio

TOOLS = [
    {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}},
    {"type": "function", "function": {"name": "now"}},
]
SETTINGS = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Rain?"}]}
TEXT_AND_CALLS = [
    ("Let me ", ()),
    ("see.", ()),
    ("", ()),
    ("", (ToolCallDelta("weather"), ToolCallDelta(None, '{"city": '))),
    ("", (ToolCallDelta(None, '"Bonn"}'), ToolCallDelta("now", "{}"))),
]


class ScriptedGeneration:
    """Completion of given parts, a token each."""

    def __init__(self, script, reason):
        self.finish_reason = None
        self.n_tokens = 0
        self._script = script
        self._reason = reason

    async def __aiter__(self):
        for text, calls in self._script:
            self.n_tokens += 1
            token = TokenLogprob(self.n_tokens, text, text.encode(), -0.5)
            yield ScoredToken(token, (), text, calls)
        self.finish_reason = self._reason

    async def aclose(self):
        pass


class ScriptedEngine(NGramEngine):
    """Engine whose texts are given, and which records what it is asked for."""

    def __init__(self, script=TEXT_AND_CALLS, reason="stop", tool_calls="generated"):
        super().__init__()
        self.specs = []
        self.script, self.reason = script, reason
        changes = {"tool_calls": tool_calls, "structured": "constrained"}
        self.models = [replace(info, **changes) for info in self.models]

    async def open(self, model, folder=None):
        opened = await super().open(model, folder)
        engine = self

        class ScriptedModel(NGramModel):
            def generate(self, prompt, spec):
                engine.specs.append(spec)
                return ScriptedGeneration(engine.script, engine.reason)

        return ScriptedModel(opened.weights)


@pytest.fixture
async def make_client():
    clients = []

    def make(*arguments, **settings):
        engine = ScriptedEngine(*arguments, **settings)
        backend = MemoryBackend(engine=engine)
        engine.service = backend.service
        clients.append(AsyncClient(backend=backend))
        return clients[-1], engine

    yield make
    for client in clients:
        await client.aclose()


async def test_content_and_calls_are_divided(make_client):
    client, engine = make_client()
    completion = await client.chat.completions.create(**SETTINGS, tools=TOOLS, n=2)
    ids = set()
    for choice in completion.choices:
        assert choice.finish_reason == "tool_calls"
        assert choice.message.content == "Let me see."
        first, second = choice.message.tool_calls
        assert (first.function.name, first.function.arguments) == ("weather", '{"city": "Bonn"}')
        assert (second.function.name, second.function.arguments) == ("now", "{}")
        ids |= {first.id, second.id}
    assert len(ids) == 4
    assert [f["name"] for f in engine.specs[0].tool_calls.functions] == ["weather", "now"]


async def test_a_stream_has_the_name_and_the_id_before_the_arguments(make_client):
    client, _ = make_client()
    async with client.chat.completions.stream(**SETTINGS, tools=TOOLS) as stream:
        deltas = [chunk.choices[0].delta.model_dump(exclude_unset=True) async for chunk in stream]
    calls = [delta["tool_calls"][0] for delta in deltas if "tool_calls" in delta]
    assert [(call["index"], call["function"]) for call in calls] == [
        (0, {"name": "weather", "arguments": ""}),
        (0, {"arguments": '{"city": '}),
        (0, {"arguments": '"Bonn"}'}),
        (1, {"name": "now", "arguments": ""}),
        (1, {"arguments": "{}"}),
    ]
    assert ["id" in call for call in calls] == [True, False, False, True, False]
    assert "".join(delta.get("content") or "" for delta in deltas) == "Let me see."
    assert deltas[0]["role"] == "assistant"


async def test_log_probabilities_cover_all_tokens_in_streams_too(make_client):
    client, _ = make_client()
    async with client.chat.completions.stream(**SETTINGS, tools=TOOLS, logprobs=True) as stream:
        chunks = [chunk async for chunk in stream]
    logprobs = [chunk.choices[0].logprobs for chunk in chunks]
    assert sum(len(item.content) for item in logprobs if item) == len(TEXT_AND_CALLS)


@pytest.mark.parametrize(
    ("script", "content", "has_calls"),
    [([], "", False), ([("Hi", ())], "Hi", False), (TEXT_AND_CALLS[3:], None, True)],
    ids=["nothing", "text", "calls"],
)
async def test_a_message_without_text_has_content_only_if_it_has_no_calls(
    make_client, script, content, has_calls
):
    client, _ = make_client(script)
    choice = (await client.chat.completions.create(**SETTINGS, tools=TOOLS)).choices[0]
    assert choice.message.content == content
    assert bool(choice.message.tool_calls) == has_calls
    assert choice.finish_reason == ("tool_calls" if has_calls else "stop")
    async with client.chat.completions.stream(**SETTINGS, tools=TOOLS) as stream:
        streamed = (await stream.final_response()).choices[0]
    assert (streamed.message.content, streamed.finish_reason) == (content, choice.finish_reason)


async def test_a_call_that_is_cut_off_ends_with_length(make_client):
    client, _ = make_client(TEXT_AND_CALLS[3:4], "length")
    choice = (await client.chat.completions.create(**SETTINGS, tools=TOOLS)).choices[0]
    assert choice.finish_reason == "length"
    assert choice.message.tool_calls[0].function.arguments == '{"city": '


@pytest.mark.parametrize(
    ("settings", "names", "is_required", "is_parallel"),
    [
        ({}, ["weather", "now"], False, True),
        ({"parallel_tool_calls": False}, ["weather", "now"], False, False),
        ({"tool_choice": "none"}, [], False, True),
        ({"tool_choice": "required"}, ["weather", "now"], True, True),
        ({"tool_choice": {"type": "function", "function": {"name": "now"}}}, ["now"], True, False),
        (
            {
                "tool_choice": {
                    "type": "allowed_tools",
                    "allowed_tools": {
                        "mode": "required",
                        "tools": [{"type": "function", "function": {"name": "now"}}],
                    },
                }
            },
            ["now"],
            True,
            True,
        ),
    ],
)
async def test_the_engine_is_told_which_calls_it_may_make(
    make_client, settings, names, is_required, is_parallel
):
    client, engine = make_client()
    await client.chat.completions.create(**SETTINGS, tools=TOOLS, **settings)
    calls = engine.specs[0].tool_calls
    assert [function["name"] for function in calls.functions] == names
    assert (calls.is_required, calls.is_parallel) == (is_required, is_parallel)
    await client.chat.completions.create(**SETTINGS)
    assert engine.specs[1].tool_calls is None


async def test_a_named_function_ends_with_stop(make_client):
    client, _ = make_client(TEXT_AND_CALLS[3:4])
    choice = {"type": "function", "function": {"name": "weather"}}
    completion = await client.chat.completions.create(**SETTINGS, tools=TOOLS, tool_choice=choice)
    assert completion.choices[0].finish_reason == "stop"


async def test_deprecated_functions_are_one_call(make_client):
    client, engine = make_client([("", (ToolCallDelta("now", "{}"),))])
    functions = [tool["function"] for tool in TOOLS]
    choice = (await client.chat.completions.create(**SETTINGS, functions=functions)).choices[0]
    assert choice.finish_reason == "function_call"
    assert (choice.message.function_call.name, choice.message.function_call.arguments) == (
        "now",
        "{}",
    )
    assert not engine.specs[0].tool_calls.is_parallel
    await client.chat.completions.create(**SETTINGS, functions=functions, function_call="none")
    assert engine.specs[1].tool_calls.functions == []


async def test_a_response_has_an_item_for_each_call(make_client):
    client, engine = make_client()
    tools = [{"type": "function", **tool["function"]} for tool in TOOLS]
    settings = {"model": "gpt-4o-mini", "input": "Rain?", "tools": tools}
    response = await client.responses.create(**settings, parallel_tool_calls=True)
    message, weather, now = response.output
    assert message.content[0].text == "Let me see."
    assert [(item.name, item.arguments) for item in (weather, now)] == [
        ("weather", '{"city": "Bonn"}'),
        ("now", "{}"),
    ]
    assert weather.call_id != now.call_id
    async with client.responses.stream(**settings) as stream:
        events = [event async for event in stream]
    done = [event.item.type for event in events if event.type == "response.output_item.done"]
    assert done == ["message", "function_call", "function_call"]
    names = [event.output_index for event in events if event.type == "response.output_item.added"]
    assert names == [0, 1, 2]
    await client.responses.create(**settings, parallel_tool_calls=False)
    assert not engine.specs[-1].tool_calls.is_parallel


async def test_json_of_a_schema_may_come_in_place_of_calls(make_client):
    client, engine = make_client([("{}", ())])
    schema = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}
    await client.chat.completions.create(**SETTINGS, tools=TOOLS, response_format=schema)
    assert engine.specs[0].json_schema == {"type": "object"}
    assert len(engine.specs[0].tool_calls.functions) == 2


async def test_custom_tools_are_refused(make_client):
    client, _ = make_client()
    custom = {"type": "custom", "custom": {"name": "shell"}}
    with pytest.raises(BadRequestError, match="calls only functions") as caught:
        await client.chat.completions.create(**SETTINGS, tools=[*TOOLS, custom])
    assert caught.value.param == "tools[2].type"


@pytest.mark.parametrize("param", ["tools", "functions"])
async def test_a_model_may_refuse_tools(make_client, param):
    client, _ = make_client(tool_calls="refused")
    value = TOOLS if param == "tools" else [tool["function"] for tool in TOOLS]
    with pytest.raises(BadRequestError, match="'gpt-4o-mini' cannot call tools") as caught:
        await client.chat.completions.create(**SETTINGS, **{param: value})
    assert caught.value.param == param


async def test_a_stub_takes_the_place_of_generated_calls(make_client):
    client, engine = make_client()
    engine.service.stub_reply("No.")
    choice = (await client.chat.completions.create(**SETTINGS, tools=TOOLS)).choices[0]
    assert (choice.message.content, choice.finish_reason) == ("No.", "stop")
    assert not engine.specs
