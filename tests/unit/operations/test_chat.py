"""What can be asked in conversations, against the API's reference."""

import pytest
from pydantic import BaseModel, ValidationError

from tunesmith.operations.chat import (
    CreateChatCompletion,
    DeleteChatCompletion,
    ListChatCompletionMessages,
    ListChatCompletions,
    RetrieveChatCompletion,
    UpdateChatCompletion,
)
from tunesmith.types import ChatCompletion, ChatCompletionChunk

USER = {"role": "user", "content": "What can I know?"}
STORED = "/chat/completions/{completion_id}"
REFERENCE = """
metadata top_logprobs temperature top_p user safety_identifier prompt_cache_key
prompt_cache_retention prompt_cache_options messages model service_tier modalities verbosity
reasoning_effort max_completion_tokens frequency_penalty presence_penalty web_search_options
response_format audio store moderation stop logit_bias logprobs max_tokens n prediction seed
stream_options tools tool_choice parallel_tool_calls function_call functions
"""
"""All parameters of createChatCompletion but `stream`, which is a method of its own here."""

FUNCTION = {"name": "weather", "description": "Tell it.", "parameters": {"type": "object"}}
TOOL = {"type": "function", "function": {**FUNCTION, "strict": True}}
GRAMMAR = {"type": "grammar", "grammar": {"syntax": "regex", "definition": "[a-z]+"}}
CUSTOM_TOOL = {"type": "custom", "custom": {"name": "run", "description": "d", "format": GRAMMAR}}


def ask(messages=(USER,), **parameters):
    return CreateChatCompletion(model="gpt-4o-mini", messages=messages, **parameters)


def refused(**parameters):
    with pytest.raises(ValidationError) as error:
        ask(**parameters)
    return error.value.errors()[0]["loc"]


def test_all_parameters_of_the_reference_are_known_and_no_others():
    spec = CreateChatCompletion.spec
    assert set(spec.body_params) == set(REFERENCE.split())
    assert (spec.method, spec.path) == ("POST", "/chat/completions")
    assert (spec.response_type, spec.event_type) == (ChatCompletion, ChatCompletionChunk)


@pytest.mark.parametrize(
    ("operation", "name", "method", "path", "query", "body"),
    [
        (RetrieveChatCompletion, "retrieve", "GET", STORED, "", ""),
        (UpdateChatCompletion, "update", "POST", STORED, "", "metadata"),
        (DeleteChatCompletion, "delete", "DELETE", STORED, "", ""),
        (
            ListChatCompletions,
            "list",
            "GET",
            "/chat/completions",
            "after limit metadata model order",
            "",
        ),
        (
            ListChatCompletionMessages,
            "messages.list",
            "GET",
            f"{STORED}/messages",
            "after limit order",
            "",
        ),
    ],
)
def test_stored_answers_are_asked_for_as_the_reference_says(
    operation, name, method, path, query, body
):
    spec = operation.spec
    assert (spec.name, spec.method, spec.path) == (f"chat.completions.{name}", method, path)
    assert (spec.query_params, spec.body_params) == (tuple(query.split()), tuple(body.split()))


@pytest.mark.parametrize(
    "message",
    [
        {"role": "system", "content": "Be brief.", "name": "editor"},
        {"role": "developer", "content": [{"type": "text", "text": "Be brief."}]},
        USER,
        {
            "role": "user",
            "name": "immanuel",
            "content": [
                {"type": "text", "text": "What is this?"},
                {
                    "type": "image_url",
                    "image_url": {"url": "https://example.com/a", "detail": "low"},
                },
                {"type": "input_audio", "input_audio": {"data": "UklG", "format": "wav"}},
                {"type": "file", "file": {"file_id": "file-1"}},
                {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:…"}},
            ],
        },
        {"role": "assistant", "content": "Phenomena."},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "I cannot."}]},
        {"role": "assistant", "content": None, "refusal": None, "audio": {"id": "audio_1"}},
        {
            "role": "assistant",
            "tool_calls": [
                {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}},
                {"id": "2", "type": "custom", "custom": {"name": "run", "input": "1"}},
            ],
        },
        {"role": "assistant", "function_call": {"name": "f", "arguments": "{}"}},
        {"role": "tool", "tool_call_id": "1", "content": "Rain."},
        {"role": "function", "name": "f", "content": None},
    ],
)
def test_messages_of_all_roles_are_taken_as_they_are(message):
    assert ask([message]).messages == [message]


def test_unknown_fields_of_messages_and_parts_are_sent():
    part = {"type": "text", "text": "A", "cache_control": {"type": "ephemeral"}}
    messages = [
        {"role": "user", "content": [part]},
        {"role": "assistant", "content": "B", "reasoning_content": "Hm."},
    ]
    assert ask(messages).messages == messages


def test_a_message_of_an_answer_is_sent_without_its_empty_fields():
    call = {"id": "1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
    message = {"role": "assistant", "content": None, "refusal": None, "tool_calls": [call]}
    answer = ChatCompletion.model_validate({"choices": [{"message": message}]})
    sent = ask([USER, answer.choices[0].message]).messages
    assert sent == [USER, {"role": "assistant", "tool_calls": [call]}]


def test_of_a_spoken_answer_only_the_id_is_sent_back():
    audio = {"id": "audio_1", "data": "UklG", "expires_at": 1, "transcript": "A"}
    message = {"role": "assistant", "content": None, "audio": audio}
    answer = ChatCompletion.model_validate({"choices": [{"message": message}]})
    (sent,) = ask([answer.choices[0].message]).messages
    assert sent == {"role": "assistant", "audio": {"id": "audio_1"}}


def test_messages_may_be_any_sequence_and_are_kept_as_they_were_when_asked():
    messages = [dict(USER)]
    asked = ask(tuple(messages))
    messages[0]["content"] = "What may I hope?"
    assert asked.messages == [USER]


@pytest.mark.parametrize(
    ("messages", "place"),
    [
        ([], ()),
        ("What can I know?", ()),
        ([{"content": "A"}], (0,)),
        ([{"role": "critic", "content": "A"}], (0,)),
        ([{"role": "user"}], (0, "user", "content")),
        ([USER, {"role": "tool", "content": "A"}], (1, "tool", "tool_call_id")),
    ],
)
def test_a_wrong_message_is_refused_by_its_place(messages, place):
    assert refused(messages=messages) == ("messages", *place)


@pytest.mark.parametrize(
    "parameters",
    [
        {"audio": {"voice": "alloy", "format": "mp3"}, "modalities": ["text", "audio"]},
        {"audio": {"voice": {"id": "voice_1"}, "format": "pcm16"}},
        {"frequency_penalty": -2, "presence_penalty": 2, "temperature": 0, "top_p": 1},
        {"functions": [FUNCTION], "function_call": {"name": "weather"}},
        {"function_call": "auto"},
        {"logit_bias": {"50256": -100}, "logprobs": True, "top_logprobs": 20},
        {"max_completion_tokens": 1, "n": 128, "seed": -(2**63), "verbosity": "low"},
        {"metadata": {"topic": "kant"}, "store": True, "user": "u", "safety_identifier": "s" * 64},
        {"moderation": {"model": "omni-moderation-latest", "policy": {"input": {"mode": "block"}}}},
        {"prediction": {"type": "content", "content": "A"}, "reasoning_effort": "xhigh"},
        {"prompt_cache_key": "k", "prompt_cache_options": {"mode": "explicit", "ttl": "30m"}},
        {"prompt_cache_retention": "in_memory", "service_tier": "fast"},
        {"response_format": {"type": "text"}},
        {"response_format": {"type": "json_object"}},
        {"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {}}}},
        {"stop": "\n", "stream_options": {"include_usage": True, "include_obfuscation": False}},
        {"stop": ["a", "b", "c", "d"]},
        {"tools": [TOOL, CUSTOM_TOOL], "tool_choice": "required", "parallel_tool_calls": False},
        {"tool_choice": {"type": "function", "function": {"name": "weather"}}},
        {"tool_choice": {"type": "custom", "custom": {"name": "run"}}},
        {
            "tool_choice": {
                "type": "allowed_tools",
                "allowed_tools": {"mode": "auto", "tools": [{}]},
            }
        },
        {
            "web_search_options": {
                "search_context_size": "low",
                "user_location": {"type": "approximate", "approximate": {"country": "DE"}},
            }
        },
    ],
)
def test_parameters_within_the_reference_are_taken_as_they_are(parameters):
    asked = ask(**parameters)
    assert {name: getattr(asked, name) for name in parameters} == parameters


@pytest.mark.parametrize(
    "parameters",
    [
        {"temperature": 2.1},
        {"top_p": -0.1},
        {"frequency_penalty": 2.1},
        {"presence_penalty": -2.1},
        {"n": 0},
        {"n": 129},
        {"top_logprobs": 21},
        {"seed": 2**63},
        {"stop": ["a", "b", "c", "d", "e"]},
        {"safety_identifier": "s" * 65},
        {"functions": []},
        {"functions": [FUNCTION] * 129},
        {"metadata": {"k": "v" * 513}},
        {"modalities": "text"},
        {"tools": [{"type": "web"}]},
        {"tools": [{"type": "function", "function": {"name": ""}}]},
        {"tool_choice": "always"},
        {"service_tier": "slow"},
        {"stream": True},
        {"top_k": 40},
    ],
)
def test_a_wrong_parameter_is_refused_by_name(parameters):
    assert refused(**parameters)[0] == next(iter(parameters))


def test_a_class_as_response_format_is_told_where_to_go():
    with pytest.raises(ValidationError, match=r"client\.chat\.completions\.parse"):
        ask(response_format=BaseModel)


def test_what_is_not_given_is_none():
    asked = ask()
    rest = set(REFERENCE.split()) - {"messages", "model"}
    assert {getattr(asked, name) for name in rest} == {None}
