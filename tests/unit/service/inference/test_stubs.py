"""Stubbed replies and embeddings, which take precedence over the engine."""

import json
import re
from dataclasses import dataclass

import anyio
import pytest
from pydantic import BaseModel

from tunesmith import AsyncClient, BadRequestError, MemoryBackend
from tunesmith.service.core.errors import ServiceError
from tunesmith.service.engines.ngram.tokenizer import standard_tokenizer
from tunesmith.service.inference.stubs import Reply, Token, ToolCall
from tunesmith.testing import CallRecorder, StubError

pytestmark = pytest.mark.anyio

CHAT = {"model": "gpt-4o-mini"}


class City(BaseModel):
    city: str
    people: int


@dataclass
class Place:
    city: str
    people: int


@pytest.fixture
def complete(api):
    """Complete a prompt; return the texts of the choices."""

    async def send(prompt="Kant was", **parameters):
        answer = await api.post(
            "/completions", model="davinci-002", prompt=prompt, max_tokens=50, **parameters
        )
        return [choice["text"] for choice in answer["choices"]]

    return send


@pytest.fixture
def chat(api):
    """Send user messages; return the first choice."""

    async def send(*texts, **parameters):
        messages = [{"role": "user", "content": text} for text in texts or ("Who was Kant?",)]
        answer = await api.post("/chat/completions", **CHAT, messages=messages, **parameters)
        return answer["choices"][0]

    return send


@pytest.fixture
def chat_stream(api):
    """Stream a chat; return the first choice of each chunk."""

    async def send(**parameters):
        messages = [{"role": "user", "content": "Who was Kant?"}]
        chunks = await api.stream("/chat/completions", **CHAT, messages=messages, **parameters)
        return [chunk["choices"][0] for chunk in chunks]

    return send


# Matching.


@pytest.mark.parametrize(
    "match",
    [
        "Kant",
        re.compile(r"^K\w+ was"),
        lambda operation: operation.prompt.startswith("Kant"),
        {"prompt": "Kant"},
        {"prompt": re.compile("was$")},
        {"operation": "completions.*", "model": "davinci-*"},
        {},
        None,
    ],
)
async def test_a_reply_is_for_the_requests_that_match(complete, service, match):
    service.stub_reply("stubbed", match=match)
    assert await complete() == ["stubbed"]


@pytest.mark.parametrize(
    "match",
    [
        "Hume",
        re.compile("^was"),
        lambda operation: operation.model == "babbage-002",
        {"prompt": "Kant", "model": "babbage-002"},
        {"operation": "chat.*"},
    ],
)
async def test_a_reply_is_not_for_those_that_do_not_match(complete, service, match):
    service.stub_reply("stubbed", match=match)
    assert await complete(seed=1) != ["stubbed"]


async def test_a_chat_matches_by_its_last_message(chat, service):
    service.stub_reply("stubbed", match="Kant")
    assert (await chat("Who was Hume?", "And Kant?"))["message"]["content"] == "stubbed"
    assert (await chat("Who was Kant?", "And Hume?"))["message"]["content"] != "stubbed"


async def test_each_of_several_prompts_is_matched_for_itself(complete, service):
    service.stub_reply("a philosopher", match="Kant")
    service.stub_reply(lambda operation: f"after {operation.prompt}", match="Water")
    assert await complete(["Water is", "Kant was"], n=2) == [
        *["after Water is"] * 2,
        *["a philosopher"] * 2,
    ]


async def test_prompts_of_token_ids_are_matched_as_text(complete, service):
    service.stub_reply("stubbed", match="Kant")
    assert await complete(standard_tokenizer().encode("Kant was")) == ["stubbed"]


def test_an_unknown_field_of_a_match_is_an_error(service):
    with pytest.raises(ValueError, match="unknown fields promt in match"):
        service.stub_reply("stubbed", match={"promt": "Kant"})


@pytest.mark.parametrize("match", [3, ["Kant"], object()])
def test_a_matcher_of_a_wrong_type_is_refused_when_it_is_added(service, match):
    with pytest.raises(TypeError, match="match must be a text, a regular expression"):
        service.stub_reply("stubbed", match=match)


def test_an_unknown_operation_in_a_match_is_an_error(service):
    with pytest.raises(ValueError, match=r"did you mean 'completions\.create'"):
        service.stub_reply("stubbed", match={"operation": "completion.create"})


# Errors of a stub's function.


def _fail(operation):
    assert "Hume" in operation.prompt, "it must be about Hume"


@pytest.mark.parametrize(("stub", "message"), [
    ({"reply": _fail}, "AssertionError: it must be about Hume"),
    ({"reply": lambda operation: 7}, "TypeError: a reply must be a text"),
    ({"reply": "a", "match": lambda operation: operation.messages}, "AttributeError"),
])  # fmt: skip
@pytest.mark.parametrize("stream", [False, True])
async def test_an_error_of_a_stub_is_raised_to_the_caller(service, stub, message, stream):
    service.stub_reply(**stub)
    record = CallRecorder(MemoryBackend(service))
    completions = AsyncClient(backend=record).completions
    ask = completions.stream if stream else completions.create
    answer = ask(model="davinci-002", prompt="Kant was")
    with pytest.raises(StubError, match=f"stub for completions.create raised {message}"):
        await (answer.__aenter__() if stream else answer)
    record.assert_called("completions.create", times=1)  # there is nothing to retry


async def test_an_error_of_an_embedding_stub_is_raised_to_the_caller(service):
    service.stub_embedding(lambda text: text.nothing)
    client = AsyncClient(backend=MemoryBackend(service))
    with pytest.raises(StubError, match=r"embeddings\.create raised AttributeError"):
        await client.embeddings.create(model="text-embedding-3-small", input="Kant")


async def test_a_stub_may_raise_a_service_error(service):
    def refuse(operation):
        raise ServiceError(400, "Kant is not allowed.")

    service.stub_reply(refuse)
    client = AsyncClient(backend=MemoryBackend(service))
    with pytest.raises(BadRequestError, match="Kant is not allowed"):
        await client.completions.create(model="davinci-002", prompt="Kant was")


def test_an_asynchronous_function_is_refused(service):
    async def later(operation):
        return "later"

    with pytest.raises(TypeError, match="remove 'async'"):
        service.stub_reply(later)
    with pytest.raises(TypeError, match="remove 'async'"):
        service.stub_embedding(later)


# Number of uses.


async def test_a_reply_with_a_number_of_uses_is_used_up(complete, service):
    service.stub_reply("always")
    service.stub_reply("first", times=1)
    service.stub_reply("second", times=1)
    assert [await complete() for _ in range(4)] == [["first"], ["second"], ["always"], ["always"]]


async def test_a_function_that_returns_none_keeps_its_uses(complete, service):
    service.stub_reply(lambda operation: "wet" if "Water" in operation.prompt else None, times=1)
    await complete()
    assert await complete("Water is") == ["wet"]


async def test_cleared_stubs_leave_all_requests_to_the_engine(complete, service):
    original = await complete(seed=1)
    service.stub_reply("stubbed")
    service.reply_stubs.clear()
    assert await complete(seed=1) == original


# Content of replies.


@pytest.mark.parametrize("kind", [dict, City, Place])
async def test_mappings_models_and_dataclasses_are_sent_as_json(chat, service, kind):
    sent = {"city": "Königsberg", "people": 5}
    service.stub_reply(kind(**sent))
    assert json.loads((await chat())["message"]["content"]) == sent
    service.stub_reply({"home": kind(**sent)})
    assert json.loads((await chat())["message"]["content"]) == {"home": sent}


async def test_tool_calls_have_their_arguments(chat, service):
    service.stub_reply([ToolCall("weather", {"city": "Königsberg"}), ToolCall("now", id="call_1")])
    choice = await chat()
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"]["content"] is None
    first, second = choice["message"]["tool_calls"]
    assert first["type"] == "function"
    assert first["function"] == {"name": "weather", "arguments": '{"city": "Königsberg"}'}
    assert first["id"].startswith("call_")
    assert second == {
        "id": "call_1",
        "type": "function",
        "function": {"name": "now", "arguments": "{}"},
    }


async def test_a_reply_may_have_a_text_and_calls(chat, service):
    service.stub_reply(Reply("Let me see.", tool_calls=[ToolCall("now")]))
    message = (await chat())["message"]
    assert message["content"] == "Let me see."
    assert [call["function"]["name"] for call in message["tool_calls"]] == ["now"]


async def test_a_stream_has_the_calls_one_after_the_other(chat_stream, service):
    calls = [ToolCall("weather", {"city": "Königsberg"}, id="a"), ToolCall("now", id="b")]
    service.stub_reply(Reply("Let me see.", tool_calls=calls))
    *choices, last = await chat_stream()
    assert last["finish_reason"] == "tool_calls"
    text, called = "", {}
    for choice in choices:
        delta = choice["delta"]
        text += delta.get("content") or ""
        for piece in delta.get("tool_calls", ()):
            if "id" in piece:
                called[piece["index"]] = [piece["id"], piece["function"]["name"], ""]
            called[piece["index"]][2] += piece["function"]["arguments"]
    assert text == "Let me see."
    assert called == {0: ["a", "weather", '{"city": "Königsberg"}'], 1: ["b", "now", "{}"]}


async def test_deprecated_functions_are_called_by_function_call(chat, service):
    service.stub_reply(ToolCall("now"))
    choice = await chat(functions=[{"name": "now"}])
    assert choice["message"]["function_call"] == {"name": "now", "arguments": "{}"}
    assert choice["finish_reason"] == "function_call"


async def test_a_custom_tool_is_called_with_a_text(chat, service):
    service.stub_reply(ToolCall("shell", "ls -l"))
    choice = await chat(tools=[{"type": "custom", "custom": {"name": "shell"}}])
    (call,) = choice["message"]["tool_calls"]
    assert call["type"] == "custom"
    assert call["custom"] == {"name": "shell", "input": "ls -l"}


async def test_replies_with_calls_are_skipped_for_completions(complete, service):
    service.stub_reply("text")
    service.stub_reply(ToolCall("now"))
    assert await complete() == ["text"]


async def test_log_probabilities_can_be_stubbed(chat, service):
    service.stub_reply(
        Reply(tokens=[Token("Yes", -0.1, top={"No": -2.5, "Ja": -3.0}), Token("!", 0)])
    )
    choice = await chat(logprobs=True, top_logprobs=2)
    assert choice["message"]["content"] == "Yes!"
    first, second = choice["logprobs"]["content"]
    assert (first["token"], first["logprob"], first["bytes"]) == ("Yes", -0.1, [89, 101, 115])
    assert [each["token"] for each in first["top_logprobs"]] == ["Yes", "No"]
    assert (second["token"], second["logprob"]) == ("!", 0)


async def test_stubbed_tokens_are_cut_off_by_max_tokens(chat, service):
    service.stub_reply(Reply(tokens=[Token("Yes", -0.1), Token("!", 0)]))
    choice = await chat(max_completion_tokens=1)
    assert (choice["message"]["content"], choice["finish_reason"]) == ("Yes", "length")


async def test_the_finish_reason_can_be_stubbed(chat, chat_stream, service):
    service.stub_reply(Reply("…", finish_reason="content_filter"))
    assert (await chat())["finish_reason"] == "content_filter"
    assert (await chat_stream())[-1]["finish_reason"] == "content_filter"


@pytest.mark.parametrize("wrong", [7, [], ["a", "b"], object(), Token("a", -1)])
def test_a_reply_of_a_wrong_type_is_refused_when_it_is_added(service, wrong):
    with pytest.raises(TypeError, match="a reply must be a text"):
        service.stub_reply(wrong)


def test_a_reply_has_one_content():
    with pytest.raises(ValueError, match="a reply needs text"):
        Reply()
    with pytest.raises(ValueError, match="leave out one"):
        Reply("No", tokens=[Token("Yes", -0.1)])


# Timing.


async def test_streamed_tokens_have_their_delays(service, api):
    tokens = [Token(text, -0.1) for text in "Yes!"]
    service.stub_reply(Reply(tokens=tokens, first_token_delay=3, token_delay=0.5))
    began = service.clock.monotonic()
    await api.stream("/completions", model="davinci-002", prompt="Well?", n=2)
    assert service.clock.monotonic() - began == pytest.approx(3 + 3 * 0.5 + 0.5)


async def test_a_whole_completion_takes_the_same_time(service, complete):
    service.stub_reply(
        Reply(tokens=[Token(text, -0.1) for text in "Yes!"], first_token_delay=3, token_delay=1)
    )
    began = service.clock.monotonic()
    await complete(n=2)
    assert service.clock.monotonic() - began == pytest.approx(3 + 3 * 1)


async def test_slow_replies_are_concurrent(service, complete):
    service.stub_reply(Reply("slow", first_token_delay=10))
    began = service.clock.monotonic()
    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(complete)
    assert service.clock.monotonic() - began == pytest.approx(10)


async def test_a_deadline_passes_while_a_slow_answer_is_made(service, complete):
    service.stub_reply(Reply("slow", first_token_delay=10))
    with pytest.raises(TimeoutError), service.clock.fail_after(5):
        await complete()
    assert service.clock.monotonic() == pytest.approx(5)


async def test_the_lines_of_a_batch_are_answered_and_take_no_time(service, api):
    service.stub_reply(Reply("slow", first_token_delay=10**6))
    body = {"model": "davinci-002", "prompt": "Well?"}
    line = {"custom_id": "1", "method": "POST", "url": "/v1/completions", "body": body}
    file_id = api.file(json.dumps(line).encode())
    batch = await api.post(
        "/batches", input_file_id=file_id, endpoint="/v1/completions", completion_window="24h"
    )
    service.clock.jump(3600)
    batch = await api.get(f"/batches/{batch['id']}")
    assert batch["status"] == "completed"
    _, _, output = await api.send("GET", f"/files/{batch['output_file_id']}/content")
    assert json.loads(output)["response"]["body"]["choices"][0]["text"] == "slow"
    assert service.clock.monotonic() == pytest.approx(3600)


# Unmatched requests.


async def test_requests_without_a_stub_are_recorded(service, complete, chat):
    service.stub_reply("stubbed", match="Kant")
    await complete()
    await complete("Water is")
    await chat("Who was Hume?")
    assert [str(each) for each in service.reply_stubs.unmatched] == [
        "completions.create model='davinci-002' prompt='Water is'",
        "chat.completions.create model='gpt-4o-mini' prompt='Who was Hume?'",
    ]


# Embeddings.


@pytest.fixture
def embed(api):
    async def send(*texts, **parameters):
        answer = await api.post(
            "/embeddings", model="text-embedding-3-small", input=list(texts), **parameters
        )
        return [each["embedding"] for each in answer["data"]]

    return send


async def test_embeddings_can_be_stubbed_by_text(service, embed):
    service.stub_embedding([1, 0], match="Kant")
    service.stub_embedding(lambda text: [0.0, len(text)] if "Water" in text else None)
    kant, water, hume = await embed("Kant", "Water", "Hume")
    assert (kant, water) == ([1.0, 0.0], [0.0, 5.0])
    assert len(hume) == 1536
    assert [each.prompt for each in service.embedding_stubs.unmatched] == ["Hume"]


@pytest.mark.parametrize("vector", ["abc", [], [1, "a"], {"a": 1}, 5])
def test_a_vector_of_a_wrong_type_is_refused_when_it_is_added(service, vector):
    with pytest.raises(TypeError, match="list of numbers"):
        service.stub_embedding(vector)


async def test_an_embedding_for_some_times_is_used_up(service, embed):
    service.stub_embedding([1], times=1)
    assert [len(vector) for vector in await embed("Kant", "Kant")] == [1, 1536]
