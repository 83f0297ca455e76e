"""A model that was trained on tool calls makes them, whichever way it is asked."""

import json
import shutil

import anyio
import pytest

pytest.importorskip("torch", reason="needs tunesmith[train]")
pytest.importorskip("peft", reason="needs tunesmith[train]")
pytest.importorskip("llguidance", reason="needs tunesmith[train]")

from tunesmith import AsyncClient, BadRequestError, MemoryBackend
from tunesmith.service.engines.transformers.engine import TransformersEngine
from tunesmith.train.run import train_folder

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning"),
]

RAIN = {
    "name": "rain",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    },
}
TOOLS = [{"type": "function", "function": function} for function in (RAIN, {"name": "now"})]


def call(id, name, arguments):
    function = {"name": name, "arguments": json.dumps(arguments)}
    return {"id": id, "type": "function", "function": function}


def user(content):
    return {"role": "user", "content": content}


def assistant(content, *calls):
    return {"role": "assistant", "content": content} | ({"tool_calls": [*calls]} if calls else {})


BONN = call("call_1", "rain", {"city": "Bonn"})
RESULT = {"role": "tool", "tool_call_id": "call_1", "content": "dry"}
TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
    "generation_config.json",
)
CONVERSATIONS = [
    [user("Rain?"), assistant("Let me see.", BONN), RESULT, assistant("No.")],
    [user("Hi"), assistant("Hello")],
    [user("Time?"), assistant(None, call("call_1", "now", {}), {**BONN, "id": "call_2"})],
]


@pytest.fixture(scope="module")
def tuned(tiny, tmp_path_factory):
    """Folder of a model that has learnt the conversations by heart."""
    folder = tmp_path_factory.mktemp("tools")
    options = {"full": True, "learning_rate": 0.01, "lr_scheduler": "cosine"}
    job = {"base": str(tiny), "format": "chat", "n_epochs": 10, "batch_size": 3, "seed": 7}
    (folder / "job.json").write_text(json.dumps(job | {"options": options}))
    rows = [{"messages": messages, "tools": TOOLS} for messages in CONVERSATIONS * 16]
    (folder / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    train_folder(folder)
    newest = folder / "checkpoint-160"
    for name in TOKENIZER_FILES:
        shutil.copy(tiny / name, newest / name)
    return newest


@pytest.fixture
def run(tuned, start_warm):
    """Function that runs a test with a client of the model."""

    def run(test, backend="asyncio", folder=tuned):
        async def main():
            engine = TransformersEngine({"tuned": folder})
            async with AsyncClient(backend=MemoryBackend(engine=engine)) as client:
                await test(client)

        anyio.run(main, backend=backend)

    return run


async def ask(client, messages, **settings):
    """Return the choice of a chat, which is the same if it is streamed."""
    settings = {"model": "tuned", "temperature": 0, "tools": TOOLS} | settings
    choice = (await client.chat.completions.create(messages=messages, **settings)).choices[0]
    async with client.chat.completions.stream(messages=messages, **settings) as stream:
        async for _ in stream:
            pass
        streamed = (await stream.final_response()).choices[0]
    calls, streamed_calls = (item.message.tool_calls or [] for item in (choice, streamed))
    assert [item.function for item in calls] == [item.function for item in streamed_calls]
    assert choice.message.content == streamed.message.content
    assert choice.finish_reason == streamed.finish_reason
    return choice


def functions(choice):
    return [
        (item.function.name, json.loads(item.function.arguments))
        for item in choice.message.tool_calls or ()
    ]


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_tool_is_called_and_its_result_is_answered(run, backend):
    async def test(client):
        choice = await ask(client, [user("Rain?")])
        assert choice.finish_reason == "tool_calls"
        assert choice.message.content == "Let me see."
        assert functions(choice) == [("rain", {"city": "Bonn"})]
        [made] = choice.message.tool_calls
        assert made.id.startswith("call_")
        result = {"role": "tool", "tool_call_id": made.id, "content": "dry"}
        choice = await ask(client, [user("Rain?"), choice.message, result])
        assert (choice.message.content, choice.finish_reason) == ("No.", "stop")
        assert not choice.message.tool_calls

    run(test, backend)


def test_a_model_chooses_between_text_and_calls(run):
    async def test(client):
        choice = await ask(client, [user("Hi")])
        assert (choice.message.content, choice.finish_reason) == ("Hello", "stop")
        choice = await ask(client, [user("Time?")])
        assert functions(choice) == [("now", {}), ("rain", {"city": "Bonn"})]
        assert choice.message.content is None
        assert len({item.id for item in choice.message.tool_calls}) == 2
        choice = await ask(client, [user("Time?")], parallel_tool_calls=False)
        assert functions(choice) == [("now", {})]
        both = await client.chat.completions.create(
            model="tuned", messages=[user("Time?")], tools=TOOLS, n=2, temperature=0
        )
        assert [functions(choice) for choice in both.choices] == [functions(both.choices[0])] * 2
        ids = {item.id for choice in both.choices for item in choice.message.tool_calls}
        assert len(ids) == 4

    run(test)


def test_the_request_may_decide_over_calls(run):
    async def test(client):
        choice = await ask(client, [user("Time?")], tool_choice="none", max_tokens=40)
        assert not choice.message.tool_calls
        assert choice.finish_reason in ("stop", "length")
        choice = await ask(client, [user("Hi")], tool_choice="required", max_tokens=200)
        assert choice.message.content is None
        assert functions(choice)[0][0] in ("rain", "now")
        assert choice.finish_reason == "tool_calls"
        named = {"type": "function", "function": {"name": "rain"}}
        choice = await ask(client, [user("Time?")], tool_choice=named)
        [(name, arguments)] = functions(choice)
        assert name == "rain"
        assert isinstance(arguments["city"], str)
        assert choice.finish_reason == "stop"

    run(test)


def test_limits_and_stop_texts(run):
    async def test(client):
        text = 'Let me see.\n<tool_call>\n{"name": "rain", "arguments": {"city": "Bo'
        choice = await ask(client, [user("Rain?")], max_tokens=len(text))
        assert choice.finish_reason == "length"
        [made] = choice.message.tool_calls
        assert made.function.arguments == '{"city": "Bo'
        choice = await ask(client, [user("Rain?")], max_tokens=20)
        assert (choice.message.content, choice.finish_reason) == (text[:20], "length")
        choice = await ask(client, [user("Time?")], stop=["\n", "Bonn"])
        assert functions(choice) == [("now", {}), ("rain", {"city": "Bonn"})]
        choice = await ask(client, [user("Rain?")], stop=[" me"])
        assert (choice.message.content, choice.finish_reason) == ("Let", "stop")

    run(test)


def test_deprecated_functions_are_called(run):
    async def test(client):
        settings = {"tools": None, "functions": [RAIN, {"name": "now"}]}
        choice = await ask(client, [user("Rain?")], **settings)
        assert choice.finish_reason == "function_call"
        assert choice.message.function_call.name == "rain"
        assert json.loads(choice.message.function_call.arguments) == {"city": "Bonn"}
        choice = await ask(client, [user("Time?")], **settings)
        assert choice.message.function_call.name == "now"
        choice = await ask(client, [user("Rain?")], **settings, function_call={"name": "now"})
        assert choice.message.function_call.name == "now"

    run(test)


def test_responses_and_batches_call_tools(run, tmp_path):
    async def test(client):
        tools = [{"type": "function", **tool["function"]} for tool in TOOLS]
        settings = {"model": "tuned", "input": "Rain?", "tools": tools, "temperature": 0}
        response = await client.responses.create(**settings)
        text, made = response.output
        assert text.content[0].text == "Let me see."
        assert (made.type, made.name, json.loads(made.arguments)) == (
            "function_call",
            "rain",
            {"city": "Bonn"},
        )
        async with client.responses.stream(**settings) as stream:
            events = [event async for event in stream]
        deltas = [e.delta for e in events if e.type == "response.function_call_arguments.delta"]
        assert "".join(deltas) == made.arguments
        assert len(deltas) > 1
        result = {"type": "function_call_output", "call_id": made.call_id, "output": "dry"}
        answer = await client.responses.create(
            **settings | {"input": [result]}, previous_response_id=response.id
        )
        assert answer.output_text == "No."
        body = {"model": "tuned", "messages": [user("Time?")], "tools": TOOLS, "temperature": 0}
        line = {"custom_id": "1", "method": "POST", "url": "/v1/chat/completions", "body": body}
        (tmp_path / "batch.jsonl").write_text(json.dumps(line) + "\n")
        file = await client.files.upload(tmp_path / "batch.jsonl", purpose="batch")
        batch = await client.batches.create(
            input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h"
        )
        batch = await client.batches.wait(batch)
        content = await client.files.content(batch.output_file_id).read()
        [choice] = json.loads(content)["response"]["body"]["choices"]
        names = [item["function"]["name"] for item in choice["message"]["tool_calls"]]
        assert names == ["now", "rain"]

    run(test)


def test_content_may_be_json_of_a_schema(run):
    schema = {"type": "object", "properties": {"a": {"enum": ["x", "y"]}}, "required": ["a"]}
    schema |= {"additionalProperties": False}
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema, "strict": True}}

    async def test(client):
        choice = await ask(client, [user("Hi")], response_format=form, tools=None)
        assert json.loads(choice.message.content)["a"] in ("x", "y")
        assert choice.finish_reason == "stop"
        choice = await ask(client, [user("Hi")], response_format=form, tools=None, max_tokens=3)
        assert len(choice.message.content) == 3
        assert choice.finish_reason == "length"
        choice = await ask(client, [user("Time?")], response_format=form)
        assert functions(choice) == [("now", {}), ("rain", {"city": "Bonn"})]

    run(test)


def test_requests_that_cannot_be_kept_are_errors_before_the_stream(run):
    strict = {"type": "array", "uniqueItems": True}
    tool = {
        "type": "function",
        "function": {"name": "f", "parameters": {"properties": {"a": strict}}},
    }
    schema = {"type": "json_schema", "json_schema": {"name": "x", "schema": strict}}
    custom = {"type": "custom", "custom": {"name": "shell"}}

    cases = (
        ({"tools": [tool]}, "tools", "function 'f'.*uniqueItems"),
        ({"response_format": schema}, "response_format", "uniqueItems"),
        ({"tools": [custom]}, "tools[0].type", "only functions"),
    )

    async def test(client):
        for changes, param, message in cases:
            settings = {"model": "tuned", "messages": [user("Hi")], **changes}
            with pytest.raises(BadRequestError, match=message) as caught:
                await client.chat.completions.create(**settings)
            assert caught.value.param == param
            with pytest.raises(BadRequestError, match=message) as caught:
                await client.chat.completions.stream(**settings).__aenter__()
            assert caught.value.param == param

    run(test)


def test_a_model_whose_template_has_no_tools_refuses_them(run, tuned, tmp_path):
    folder = shutil.copytree(tuned, tmp_path / "model")
    template = folder / "chat_template.jinja"
    template.write_text(template.read_text().replace("message.tool_calls or []", "[]"))

    async def test(client):
        for param, value in (("tools", TOOLS), ("functions", [RAIN])):
            with pytest.raises(BadRequestError, match="'tuned' cannot call tools") as caught:
                await client.chat.completions.create(
                    model="tuned", messages=[user("Hi")], **{param: value}
                )
            assert caught.value.param == param
        message = "does not write tool calls"
        with pytest.raises(BadRequestError, match=message):
            await client.chat.completions.create(model="tuned", messages=CONVERSATIONS[0][:3])

    run(test, folder=folder)
