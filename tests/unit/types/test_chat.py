"""What is borne in answers to conversations, whole and in pieces."""

import pytest
from pydantic import ValidationError

from tunesmith.types import (
    ChatCompletion,
    ChatCompletionChunk,
    ChatCompletionMessage,
    ChatCompletionMessageCustomToolCall,
    ChatCompletionMessageFunctionToolCall,
    ChatCompletionStoreMessage,
    Page,
)

SCORES = {
    "token": "A",
    "logprob": -0.1,
    "bytes": [65],
    "top_logprobs": [{"token": "A", "logprob": -0.1, "bytes": [65]}],
}
WHOLE = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1_741_569_952,
    "model": "gpt-4o-mini",
    "service_tier": "default",
    "system_fingerprint": "fp_44709d6fcb",
    "metadata": {"topic": "kant"},
    "moderation": {
        "input": {
            "type": "moderation_results",
            "model": "omni-moderation-latest",
            "results": [{"flagged": False}],
        },
        "output": {"type": "error", "code": "timeout", "message": "Took too long."},
    },
    "choices": [
        {
            "index": 0,
            "finish_reason": "tool_calls",
            "logprobs": {"content": [SCORES], "refusal": None},
            "message": {
                "role": "assistant",
                "content": None,
                "refusal": None,
                "annotations": [
                    {
                        "type": "url_citation",
                        "url_citation": {
                            "start_index": 0,
                            "end_index": 4,
                            "title": "Kant",
                            "url": "https://example.com",
                        },
                    }
                ],
                "audio": {"id": "audio_1", "data": "UklG", "expires_at": 1, "transcript": "A"},
                "function_call": {"name": "weather", "arguments": "{}"},
                "tool_calls": [
                    {
                        "id": "call_1",
                        "type": "function",
                        "function": {"name": "weather", "arguments": "{}"},
                    },
                    {"id": "call_2", "type": "custom", "custom": {"name": "run", "input": "1"}},
                ],
            },
        }
    ],
    "usage": {"completion_tokens": 17, "prompt_tokens": 82, "total_tokens": 99},
}
CHUNK = {
    "id": "chatcmpl-1",
    "object": "chat.completion.chunk",
    "created": 1_741_569_952,
    "model": "gpt-4o-mini",
    "service_tier": "default",
    "system_fingerprint": "fp_44709d6fcb",
    "obfuscation": "Zq8",
    "usage": None,
    "choices": [
        {
            "index": 0,
            "finish_reason": None,
            "logprobs": {"content": [SCORES], "refusal": []},
            "delta": {
                "role": "assistant",
                "content": "A",
                "refusal": None,
                "function_call": {"name": "weather", "arguments": ""},
                "tool_calls": [
                    {
                        "index": 0,
                        "id": "call_1",
                        "type": "function",
                        "function": {"name": "weather", "arguments": ""},
                    }
                ],
            },
        }
    ],
}


@pytest.mark.parametrize(("kind", "body"), [(ChatCompletion, WHOLE), (ChatCompletionChunk, CHUNK)])
def test_an_answer_is_kept_as_it_came(kind, body):
    assert kind.model_validate(body).model_dump(exclude_unset=True) == body


def test_the_kinds_of_tool_calls_are_told_apart():
    function, custom = ChatCompletion.model_validate(WHOLE).choices[0].message.tool_calls
    assert isinstance(function, ChatCompletionMessageFunctionToolCall)
    assert isinstance(custom, ChatCompletionMessageCustomToolCall)
    assert (function.function.name, custom.custom.input) == ("weather", "1")


@pytest.mark.parametrize(
    "call",
    [
        {"function": {"name": "weather"}},
        {"id": None, "type": "function", "function": {"name": "weather", "arguments": None}},
        {"id": "", "type": "builtin_function", "function": {"name": "weather", "arguments": ""}},
    ],
)
def test_a_call_may_lack_id_type_and_arguments(call):
    (made,) = ChatCompletionMessage.model_validate({"tool_calls": [call]}).tool_calls
    assert (made.id, made.function.name, made.function.arguments) == ("", "weather", "")


def test_a_completion_needs_only_its_choices():
    completion = ChatCompletion.model_validate_json('{"choices": []}')
    assert (completion.id, completion.model, completion.usage) == ("", None, None)
    with pytest.raises(ValidationError, match="choices"):
        ChatCompletion.model_validate_json('{"id": "chatcmpl-1"}')


@pytest.mark.parametrize("fields", [{}, {"choices": None}])
def test_a_chunk_may_lack_choices(fields):
    assert ChatCompletionChunk.model_validate(fields).choices == []


def test_arguments_may_be_an_object():
    call = {"function": {"name": "weather", "arguments": {"city": "Kaliningrad"}}}
    (made,) = ChatCompletionMessage.model_validate({"tool_calls": [call]}).tool_calls
    assert made.function.arguments == '{"city": "Kaliningrad"}'


def test_a_message_may_have_only_its_content():
    choice = {"message": {"content": "Space"}}
    (made,) = ChatCompletion.model_validate({"choices": [choice]}).choices
    assert made.message.role == "assistant"
    assert (made.message.refusal, made.message.tool_calls, made.finish_reason) == (None,) * 3


def test_unknown_fields_and_values_are_kept():
    body = {
        "choices": [
            {
                "message": {"role": "ipython", "content": "A", "reasoning_content": "Hm."},
                "finish_reason": "abort",
                "matched_stop": "\n",
            }
        ],
        "service_tier": "turbo",
    }
    answer = ChatCompletion.model_validate(body)
    assert answer.model_dump(exclude_unset=True) == body
    assert answer.choices[0].message.reasoning_content == "Hm."


def test_bytes_of_probabilities_may_be_null():
    scores = {"token": "A", "logprob": -9999, "bytes": None, "top_logprobs": [{"logprob": -1}]}
    choice = {"message": {}, "logprobs": {"content": [scores]}}
    (made,) = ChatCompletion.model_validate({"choices": [choice]}).choices
    assert made.logprobs.content[0].bytes is None
    assert made.logprobs.refusal is None


def test_a_stored_message_is_by_anyone():
    body = {"id": "chatcmpl-1-0", "role": "user", "content": "What can I know?", "name": None}
    parts = {**body, "content": None, "content_parts": [{"type": "text", "text": "A"}]}
    page = Page[ChatCompletionStoreMessage].model_validate({"data": [body, parts]})
    assert [message.role for message in page.data] == ["user", "user"]
    assert page.data[1].content_parts == [{"type": "text", "text": "A"}]
