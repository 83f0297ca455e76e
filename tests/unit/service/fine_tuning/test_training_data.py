"""What a job makes of its files, and how it says what is wrong with them."""

import json

import pytest

from tunesmith.service.engines import InvalidExampleError
from tunesmith.service.fine_tuning.training_data import (
    InvalidTrainingFileError,
    TrainingFile,
    to_file_error,
    validate_example_count,
    validate_image_count,
)

_ASKED = {"role": "user", "content": "Hello"}
_SAID = {"role": "assistant", "content": "Good day."}


def _failure(line, format):
    content = line if isinstance(line, bytes) else json.dumps(line).encode()
    with pytest.raises(InvalidTrainingFileError) as caught:
        TrainingFile(lambda: [b"\n", content, b"\n"], format)
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


def test_rows_are_read_each_time_as_they_stand():
    content = '{"prompt": "Ich ", "completion": " Größe"}\n'.encode()
    n_opened = 0

    def opened():
        nonlocal n_opened
        n_opened += 1
        return [content[:20], content[20:]]

    file = TrainingFile(opened, "completions")
    assert len(file) == 1
    rows = [list(file), list(file)]
    assert rows == [[{"prompt": "Ich ", "completion": " Größe"}]] * 2
    assert n_opened == 3


def test_a_row_that_an_engine_cannot_learn_fails_the_job_with_its_line():
    failure = to_file_error(
        InvalidExampleError("has no token to learn", 3, is_validation=True)
    ).failure
    assert failure.param == "validation_file"
    assert failure.message == (
        "The job failed due to an invalid validation file. Invalid file format. "
        "Example 3 has no token to learn"
    )
