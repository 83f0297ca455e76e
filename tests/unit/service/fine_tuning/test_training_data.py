"""What a job makes of its files, and how it says what is wrong with them."""

import json

import pytest

from tunesmith.service.engines.base import ChatMessage, CompletionTrainingExample
from tunesmith.service.fine_tuning.training_data import (
    InvalidTrainingFileError,
    read_examples,
    validate_example_count,
    validate_image_count,
)

_ASKED = {"role": "user", "content": "Hello"}
_SAID = {"role": "assistant", "content": "Good day."}


def _failure(line, format):
    content = line if isinstance(line, bytes) else json.dumps(line).encode()
    with pytest.raises(InvalidTrainingFileError) as caught:
        read_examples(b"\n" + content + b"\n", format)
    return caught.value.failure


@pytest.mark.parametrize(
    ("format", "line", "code", "says"),
    [
        ("chat", b"{", "invalid_training_file", "Example 1 is not valid JSON"),
        ("chat", b"[]", "invalid_training_file", "Example 1 is not a JSON object"),
        ("chat", {"x": 1}, "invalid_file_format", 'Example 1 contains an extra "x".'),
        ("chat", {}, "invalid_training_file", 'Example 1 is missing "messages"'),
        (
            "chat",
            {"messages": [_ASKED, {"content": "a"}]},
            "invalid_training_file",
            "Example 1, message 2 Discriminator 'role' is missing in value",
        ),
        (
            "chat",
            {"messages": [{"role": "critic", "content": "a"}]},
            "invalid_training_file",
            "Example 1, message 1 No match for discriminator 'role' and value 'critic'",
        ),
        (
            "chat",
            {"messages": [_ASKED]},
            "invalid_training_file",
            "Example 1, message 1: the last message must be from the assistant",
        ),
        (
            "chat",
            {"messages": [_ASKED, {**_SAID, "weight": 0}]},
            "invalid_training_file",
            'Example 1, "messages": every message of the assistant has weight 0',
        ),
        (
            "chat",
            {"messages": [{**_ASKED, "weight": 1}, _SAID]},
            "invalid_file_format",
            'Example 1, message 1 contains an extra "weight".',
        ),
        (
            "chat",
            {"messages": [_ASKED, {**_SAID, "weight": 2}]},
            "invalid_training_file",
            "Example 1, message 2: `weight` must be 0 or 1",
        ),
        (
            "chat",
            {"messages": [{"role": "user", "content": None}, _SAID]},
            "invalid_training_file",
            "Example 1, message 1: a message of the user or the assistant has no content",
        ),
        (
            "chat",
            {"messages": [{"role": "user", "content": [{"text": "a"}]}, _SAID]},
            "invalid_training_file",
            "Example 1, message 1: a part of a message is neither `text` nor `image_url`",
        ),
        (
            "chat",
            {"prompt": "a", "completion": "b"},
            "invalid_training_file",
            "Example 1 is in the prompt-completion format, but the model is a chat model",
        ),
        (
            "completions",
            {"messages": [_ASKED, _SAID]},
            "invalid_training_file",
            "Example 1 is in the chat format, but the model is a completion model",
        ),
        ("completions", {"prompt": "a"}, "invalid_training_file", 'is missing "completion"'),
        (
            "completions",
            {"prompt": "a", "completion": 1},
            "invalid_training_file",
            'Example 1, "completion": the value must be text',
        ),
        (
            "completions",
            {"prompt": "a", "completion": "b", "weight": 1},
            "invalid_file_format",
            'Example 1 contains an extra "weight".',
        ),
        (
            "dpo",
            {"messages": [_ASKED, _SAID]},
            "invalid_training_file",
            'Example 1 is missing "input"',
        ),
        (
            "dpo",
            {
                "input": {"messages": [_ASKED]},
                "preferred_output": [_SAID],
                "non_preferred_output": [_ASKED],
            },
            "invalid_training_file",
            'Example 1, "non_preferred_output": an output must be one message of the assistant',
        ),
        (
            "dpo",
            {
                "input": {"messages": [{"content": "a"}]},
                "preferred_output": [_SAID],
                "non_preferred_output": [_SAID],
            },
            "invalid_training_file",
            "Example 1, input message 1 Discriminator 'role' is missing in value",
        ),
    ],
)
def test_what_is_wrong_is_said_with_its_place(format, line, code, says):
    failure = _failure(line, format)
    assert failure.code == code
    assert failure.param == "training_file"
    assert failure.message.startswith(
        "The job failed due to an invalid training file. Invalid file format. Example 1"
    )
    assert says in failure.message


def test_examples_are_counted_from_one_without_blank_lines():
    lines = [json.dumps({"messages": [_ASKED, _SAID]})] * 99
    lines.append(json.dumps({"messages": [_ASKED, {"content": "no role"}, _SAID]}))
    failure = _failure("\n\n".join(lines).encode(), "chat")
    assert failure.message == (
        "The job failed due to an invalid training file. Invalid file format. "
        "Example 100, message 2 Discriminator 'role' is missing in value"
    )


def test_ten_examples_are_enough_and_nine_are_not():
    validate_example_count(10)
    with pytest.raises(
        InvalidTrainingFileError, match=r"has 9 example\(s\), but must have at least 10"
    ):
        validate_example_count(9)


def test_too_many_examples_with_images_fail_the_job():
    validate_image_count(50_000, "training_file")
    with pytest.raises(InvalidTrainingFileError, match="must have at most 50000"):
        validate_image_count(50_001, "training_file")


def test_pairs_are_read_as_they_stand():
    content = '{"prompt": "Ich ", "completion": " Größe"}\n'.encode()
    assert read_examples(content, "completions") == [CompletionTrainingExample("Ich ", " Größe")]


def test_a_turn_that_calls_a_tool_is_learnt_as_text():
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    line = {"messages": [_ASKED, {"role": "assistant", "tool_calls": [call]}]}
    (example,) = read_examples(json.dumps(line).encode(), "chat")
    assert example.messages[0] == ChatMessage("user", "Hello")
    assert json.loads(example.messages[1].content) == [call]


def test_weights_reach_the_engine():
    line = {"messages": [_ASKED, {**_SAID, "weight": 0}, _ASKED, {**_SAID, "weight": 1}]}
    (example,) = read_examples(json.dumps(line).encode(), "chat")
    assert [message.weight for message in example.messages] == [None, 0, None, None]


def test_reinforcement_lines_are_graded_with_all_that_they_hold():
    seen = {}

    def grade(sample, item):
        seen.update(sample=sample, item=item)
        return 0.5

    line = {"messages": [_ASKED], "answer": 42}
    (example,) = read_examples(json.dumps(line).encode(), "reinforcement", grade=grade)
    assert example.grade("forty-two") == 0.5
    assert seen == {"sample": "forty-two", "item": line}
