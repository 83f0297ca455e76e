"""JSON as services write it."""

import json
import pickle
import warnings

import pytest
from hypothesis import given, strategies as st
from pydantic import BaseModel, ValidationError

from tunesmith.protocol.json import join_surrogates, parse_json, text_content, validate_json
from tunesmith.types.chat import ChatCompletion, ChatCompletionChunk, ChunkChoice
from tunesmith.types.completions import Completion
from tunesmith.types.embeddings import CreateEmbeddingResponse
from tunesmith.types.files import FileObject

COMPLETION = {"choices": [{"index": 0, "text": "Kant", "finish_reason": "stop"}]}


def encode(value):
    import json

    return json.dumps(value).encode()


@pytest.mark.parametrize(
    ("content", "value"),
    [
        ('{"a": "é"}'.encode("utf-16"), {"a": "é"}),
        ('{"a": 1}'.encode("utf-16-le"), {"a": 1}),
        (b'\xef\xbb\xbf{"a": 1}', {"a": 1}),
        (rb'{"a": "\ud83d"}', {"a": "\ud83d"}),
        (rb'{"a": "\ud83d\ude00"}', {"a": "\N{GRINNING FACE}"}),
        (b'{"a": "\xff"}', {"a": "\ufffd"}),
        (b"[" * 300 + b"]" * 300, None),
    ],
)
def test_unusual_json_is_parsed(content, value):
    parsed = parse_json(content)
    assert value is None or parsed == value


@pytest.mark.parametrize("content", [b"", b"<html>", b"[" * 100_000, b"9" * 10_000])
def test_other_content_is_an_error(content):
    with pytest.raises(ValueError):  # noqa: PT011 - the messages are those of the parsers
        parse_json(content)


def test_json_that_is_nested_too_deeply_is_an_error_that_says_so():
    with pytest.raises(ValueError, match=r"^the JSON is nested too deeply$"):
        parse_json(b"[" * 100_000)


@given(st.text())
def test_text_without_lone_surrogates_is_unchanged(text):
    assert join_surrogates(text) == text


def test_halves_of_a_character_are_joined_and_lone_ones_replaced():
    assert join_surrogates("\ud83d\ude00 \ud83d!") == "\N{GRINNING FACE} \ufffd!"


def chat(message=None, **choice):
    message = {"role": "assistant", "content": "Hello", **(message or {})}
    return {"choices": [{"index": 0, "finish_reason": "stop", "message": message, **choice}]}


@pytest.mark.parametrize("depth", [100, 250, 500])
@pytest.mark.parametrize(("begin", "end"), [(b"[", b"]"), (b'{"a":', b"}")])
def test_a_model_with_deeply_nested_values_can_be_serialized(depth, begin, end):
    odd = begin * depth + b"1" + end * depth
    content = encode(COMPLETION)[:-1] + b',"odd":' + odd + b"}"
    completion = validate_json(Completion, content)
    assert completion.choices[0].text == "Kant"
    assert Completion.model_validate_json(completion.model_dump_json()) == completion
    assert pickle.loads(pickle.dumps(completion)) == completion
    text = completion.model_dump(mode="json")["odd"]
    while not isinstance(text, str | int):
        (text,) = text.values() if isinstance(text, dict) else text
    assert text == 1 or odd.endswith(text.replace(" ", "").encode() + end * 199)


USAGE = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}


@pytest.mark.parametrize(
    ("body", "path", "value"),
    [
        ({**chat(), "usage": USAGE | {"total_tokens": 7.5}}, "usage.total_tokens", 7.5),
        ({**chat(), "usage": USAGE | {"prompt_tokens_details": []}}, "usage.total_tokens", 7),
        ({**chat(), "usage": "none"}, "usage", "none"),
        ({**chat(), "system_fingerprint": 5}, "system_fingerprint", 5),
        ({**chat(), "metadata": {"version": 1}}, "metadata", {"version": 1}),
        (chat(index=None), "choices.0.index", 0),
        (chat({"role": None}), "choices.0.message.role", "assistant"),
        (chat({"content": [{"type": "text"}]}), "choices.0.message.content", [{"type": "text"}]),
        (chat(logprobs=[]), "choices.0.logprobs", []),
        (
            chat(logprobs={"content": [{"token": "a", "logprob": None}] * 60}),
            "choices.0.logprobs.content.59.token",
            "a",
        ),
        (
            chat({"tool_calls": [{"function": {"name": "f", "arguments": [1]}}]}),
            "choices.0.message.tool_calls.0.function.arguments",
            "[1]",
        ),
        (
            chat({"tool_calls": [None, {"id": "a", "function": {"name": "f"}}, None]}),
            "choices.0.message.tool_calls.0.id",
            "a",
        ),
        (
            chat({"tool_calls": {"id": "a", "function": {"name": "f"}}}),
            "choices.0.message.tool_calls.0.id",
            "a",
        ),
        ({"choices": [None, *chat(index="first")["choices"], None]}, "choices.0.index", 0),
        ({"choices": chat()["choices"][0]}, "choices.0.index", 0),
        ({**chat(), "created": 1e400}, "created", float("inf")),
        (
            chat({"tool_calls": [{"id": 7, "function": {"name": "f", "arguments": "{}"}}]}),
            "choices.0.message.tool_calls.0.function.name",
            "f",
        ),
    ],
)
def test_a_field_of_another_type_keeps_its_raw_value(body, path, value):
    found = validate_json(ChatCompletion, encode(body))
    assert found.choices[0].message.content
    for part in path.split("."):
        if isinstance(found, list):
            found = found[int(part)]
        else:
            found = found[part] if isinstance(found, dict) else getattr(found, part)
    assert found == value


@pytest.mark.parametrize("created", ["2026-01-01", 1735689600000, 1e400, 10**30, None])
def test_a_time_that_is_no_date_is_none(created):
    completion = validate_json(ChatCompletion, encode({**chat(), "created": created}))
    assert completion.created_datetime is None


def test_raw_values_are_dumped_without_a_warning():
    completion = validate_json(ChatCompletion, encode(chat({"content": [{"type": "text"}]})))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        dumped = completion.model_dump()
        assert '"content":[{"type":"text"}]' in completion.model_dump_json()
    assert dumped["choices"][0]["message"]["content"] == [{"type": "text"}]
    received = completion.model_dump(exclude_unset=True)
    assert received["choices"][0]["message"]["content"] == [{"type": "text"}]


class Size(BaseModel):
    width: int
    unit: str = "cm"


class Parcel(BaseModel):
    label: str | list[int] | None = None
    corners: tuple[int, int] | None = None
    sizes: str | list[Size] | None = None


@pytest.mark.parametrize(
    ("field", "value"), [("label", ["a"]), ("label", [1, "a"]), ("corners", [1]), ("sizes", [{}])]
)
def test_a_value_that_no_type_of_its_field_accepts_is_kept_raw(field, value):
    assert getattr(validate_json(Parcel, encode({field: value})), field) == value


def test_only_the_innermost_field_is_kept_raw():
    parcel = validate_json(Parcel, encode({"sizes": [{"width": 1, "unit": 5}, {"width": 2}]}))
    assert parcel.sizes[1] == Size(width=2)
    assert (parcel.sizes[0].width, parcel.sizes[0].unit) == (1, 5)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("Hello", "Hello"),
        (
            [
                {"type": "thinking", "text": "Hm."},
                {"type": "text", "text": "Hel"},
                {"type": "text", "text": None},
                {"type": "output_text", "text": "lo"},
                "!",
            ],
            "Hello",
        ),
        ([], ""),
        (None, None),
        (5, None),
        ({"text": "Hello"}, None),
    ],
)
def test_the_text_of_a_message_may_come_in_parts(content, text):
    assert text_content(content) == text


@pytest.mark.parametrize(
    "content",
    [b"{}", b"[]", b"null", b"7", b'{"choices": 5}', b'{"choices": [{"index": 0}]}', b"<html>"],
)
def test_a_missing_or_invalid_required_field_is_an_error(content):
    with pytest.raises(ValidationError):
        validate_json(ChatCompletion, content)


@pytest.mark.parametrize("data", [["a"], [None, {"index": 1, "embedding": [0.5]}]])
def test_lists_that_callers_index_lose_no_item(data):
    with pytest.raises(ValidationError):
        validate_json(CreateEmbeddingResponse, encode({"data": data}))
    with pytest.raises(ValidationError):
        validate_json(ChatCompletion, encode({"choices": ["a"]}))


def test_required_fields_stay_required():
    with pytest.raises(ValidationError, match="id"):
        validate_json(FileObject, b'{"object": "file", "bytes": "many"}')


def test_lone_surrogates_are_replaced_unless_they_are_kept():
    content = rb'{"choices": [{"text": "good \ud83d day", "index": 0}]}'
    assert validate_json(Completion, content).choices[0].text == "good \ufffd day"
    kept = validate_json(Completion, content, keep_surrogates=True)
    assert kept.choices[0].text == "good \ud83d day"


def test_deeply_nested_extra_fields_do_not_lose_a_response():
    content = b'{"choices": [], "x": ' + b"[" * 250 + b"]" * 250 + b"}"
    assert validate_json(Completion, content).choices == []


@pytest.mark.parametrize("choices", [
    [3, "x", {"delta": None, "index": 1}],
    [None, {"delta": None, "index": 1}, [2]],
    {"delta": None, "index": 1},
])  # fmt: skip
def test_a_stream_has_only_choices_whatever_else_is_among_them(choices):
    content = json.dumps({"id": "1", "choices": choices}).encode()
    chunk = validate_json(ChatCompletionChunk, content)
    assert [type(choice) for choice in chunk.choices] == [ChunkChoice]
    assert chunk.choices[0].index == 1
