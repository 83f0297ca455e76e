"""Chat completions have the format and the rules of the API."""

import math

import pytest

pytestmark = pytest.mark.anyio

MESSAGES = [
    {"role": "system", "content": "You know Kant."},
    {"role": "user", "content": [{"type": "text", "text": "What is duty?"}]},
]
REQUEST = {"model": "gpt-4o-mini", "messages": MESSAGES, "max_completion_tokens": 20}


@pytest.fixture
def chat(api):
    """Call gpt-4o-mini."""

    async def send(**parameters):
        return await api.post("/chat/completions", **{**REQUEST, **parameters})

    return send


@pytest.fixture
def chat_stream(api):
    """Stream from gpt-4o-mini."""

    async def send(**parameters):
        return await api.stream("/chat/completions", **{**REQUEST, **parameters})

    return send


async def test_an_answer_has_the_format_of_the_api(chat, service):
    answer = await chat()
    assert answer["id"].startswith("chatcmpl-")
    assert answer["object"] == "chat.completion"
    assert answer["created"] == int(service.clock.time())
    assert answer["model"] == "gpt-4o-mini"
    assert answer["service_tier"] == "default"
    assert answer["system_fingerprint"].startswith("fp_")
    assert "metadata" not in answer
    (choice,) = answer["choices"]
    assert choice["index"] == 0
    assert choice["logprobs"] is None
    assert choice["finish_reason"] in {"stop", "length"}
    assert choice["message"] == {
        "role": "assistant",
        "content": choice["message"]["content"],
        "refusal": None,
        "annotations": [],
    }
    usage = answer["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert usage["prompt_tokens_details"]["cached_tokens"] == 0
    assert usage["completion_tokens_details"]["reasoning_tokens"] == 0


async def test_choices_differ_and_are_repeatable_by_seed(chat):
    first, again = [await chat(n=3, seed=1) for _ in range(2)]
    assert first["choices"] == again["choices"]
    assert [choice["index"] for choice in first["choices"]] == [0, 1, 2]
    assert len({choice["message"]["content"] for choice in first["choices"]}) > 1


async def test_both_names_of_the_limit_truncate_the_completion(chat):
    for limit in ({"max_completion_tokens": 2}, {"max_completion_tokens": None, "max_tokens": 2}):
        answer = await chat(**limit)
        assert answer["usage"]["completion_tokens"] <= 2


async def test_both_names_at_once_are_refused(api):
    status, error = await api.fail("/chat/completions", **REQUEST, max_tokens=2)
    assert (status, error["param"], error["code"]) == (
        400,
        "max_tokens",
        "invalid_parameter_combination",
    )


async def test_a_completion_without_a_limit_ends(chat):
    answer = await chat(max_completion_tokens=None, seed=1)
    assert answer["choices"][0]["finish_reason"] in {"stop", "length"}


async def test_logprobs_have_the_bytes_and_the_alternatives_of_each_token(chat):
    (choice,) = (await chat(logprobs=True, top_logprobs=2))["choices"]
    tokens = choice["logprobs"]["content"]
    assert (
        bytes(b for token in tokens for b in token["bytes"]).decode()
        == choice["message"]["content"]
    )
    for token in tokens:
        assert token["logprob"] <= 0
        assert len(token["top_logprobs"]) == 2
        assert sum(math.exp(each["logprob"]) for each in token["top_logprobs"]) <= 1 + 1e-9


async def test_top_logprobs_need_logprobs(api):
    status, error = await api.fail("/chat/completions", **REQUEST, top_logprobs=2)
    assert (status, error["param"]) == (400, "top_logprobs")


async def test_a_conversation_beyond_the_context_window_is_refused(api, service):
    window = service.models.info_of("gpt-4o-mini").context_window
    status, error = await api.fail(
        "/chat/completions", **{**REQUEST, "max_completion_tokens": window}
    )
    assert (status, error["param"], error["code"]) == (400, "messages", "context_length_exceeded")
    assert error["message"].startswith(f"This model's maximum context length is {window} tokens.")


async def test_a_completion_model_does_not_chat(api):
    status, error = await api.fail("/chat/completions", **{**REQUEST, "model": "davinci-002"})
    assert (status, error["param"]) == (404, "model")
    assert error["message"].startswith("This is not a chat model")


async def test_an_unknown_model_is_404(api):
    status, error = await api.fail("/chat/completions", **{**REQUEST, "model": "unknown"})
    assert (status, error["code"]) == (404, "model_not_found")


async def test_a_stub_takes_precedence_over_the_engine(chat, service):
    service.stub_reply(lambda operation: f"You asked {len(operation.messages)} things.")
    assert (await chat())["choices"][0]["message"]["content"] == "You asked 2 things."


# Streams.


async def test_a_stream_begins_with_the_role_and_ends_with_the_finish_reason(chat_stream, chat):
    whole = (await chat(seed=1))["choices"][0]
    first, *deltas, last = await chat_stream(seed=1)
    assert first["object"] == "chat.completion.chunk"
    assert first["choices"] == [
        {
            "index": 0,
            "delta": {"role": "assistant", "content": "", "refusal": None},
            "logprobs": None,
            "finish_reason": None,
        }
    ]
    text = "".join(event["choices"][0]["delta"]["content"] for event in deltas)
    assert text == whole["message"]["content"]
    assert last["choices"][0]["delta"] == {}
    assert last["choices"][0]["finish_reason"] == whole["finish_reason"]
    assert len({event["id"] for event in [first, *deltas, last]}) == 1


async def test_include_usage_adds_a_last_chunk_without_choices(chat_stream, chat):
    whole = await chat(seed=1)
    *chunks, last = await chat_stream(seed=1, stream_options={"include_usage": True})
    assert all(chunk["usage"] is None for chunk in chunks)
    assert last["choices"] == []
    assert last["usage"] == whole["usage"]


async def test_chunks_have_no_usage_without_include_usage(chat_stream):
    assert all("usage" not in chunk for chunk in await chat_stream())


async def test_choices_of_a_stream_are_interleaved(chat_stream, chat):
    whole = await chat(seed=1, n=3, logprobs=True)
    chunks = await chat_stream(seed=1, n=3, logprobs=True)
    assert [chunk["choices"][0]["index"] for chunk in chunks][:6] == [0, 1, 2, 0, 1, 2]
    for choice in whole["choices"]:
        own = [c["choices"][0] for c in chunks if c["choices"][0]["index"] == choice["index"]]
        text = "".join(each["delta"].get("content", "") for each in own)
        assert text == choice["message"]["content"]
        scored = [
            token for each in own if each["logprobs"] for token in each["logprobs"]["content"]
        ]
        assert scored == choice["logprobs"]["content"]
