"""The lines of training files."""

import json

import pytest
from pydantic import ValidationError

from tunesmith.types import (
    ChatExample,
    CompletionExample,
    PreferenceExample,
    ReinforcementExample,
)

CHAT = {
    "messages": [
        {"role": "system", "content": "You know Kant."},
        {"role": "user", "content": [{"type": "text", "text": "What is space?"}]},
        {
            "role": "assistant",
            "tool_calls": [
                {"id": "1", "type": "function", "function": {"name": "find", "arguments": "{}"}}
            ],
        },
        {"role": "tool", "tool_call_id": "1", "content": "A 26"},
        {"role": "assistant", "content": "A form of outer intuition.", "weight": 1},
        {"role": "assistant", "content": "A concept.", "weight": 0},
    ],
    "tools": [{"type": "function", "function": {"name": "find", "parameters": {}}}],
    "parallel_tool_calls": False,
}
PREFERENCE = {
    "input": {
        "messages": [{"role": "user", "content": "What is space?"}],
        "tools": [],
        "parallel_tool_calls": True,
    },
    "preferred_output": [{"role": "assistant", "content": "A form of intuition."}],
    "non_preferred_output": [{"role": "assistant", "content": "A concept."}],
}


@pytest.mark.parametrize(
    ("kind", "line"),
    [
        (CompletionExample, {"prompt": "Space is", "completion": " a form of intuition."}),
        (ChatExample, CHAT),
        (ChatExample, {"messages": CHAT["messages"][:2], "functions": [{"name": "find"}]}),
        (PreferenceExample, PREFERENCE),
        (ReinforcementExample, {"messages": CHAT["messages"][:2], "answer": "A 26"}),
    ],
)
def test_a_line_is_read_and_written_the_same(kind, line):
    assert json.loads(kind.model_validate(line).model_dump_json(exclude_none=True)) == line


def test_a_reinforcement_example_holds_what_its_grader_needs():
    line = {"messages": CHAT["messages"][:2], "answer": "A 26", "pages": [26, 27]}
    example = ReinforcementExample.model_validate(line)
    assert example.reference == {"answer": "A 26", "pages": [26, 27]}


def refused(kind, line):
    with pytest.raises(ValidationError) as error:
        kind.model_validate(line)
    return error.value.errors()[0]["loc"]


def test_a_wrong_message_is_refused_by_its_place():
    messages = [*CHAT["messages"][:2], {"role": "assistent", "content": "A form."}]
    assert refused(ChatExample, {"messages": messages}) == ("messages", 2, "role")


def test_a_weight_is_0_or_1():
    messages = [{"role": "assistant", "content": "A form.", "weight": 0.5}]
    assert refused(ChatExample, {"messages": messages}) == ("messages", 0, "weight")


@pytest.mark.parametrize(
    ("kind", "line", "place"),
    [
        (CompletionExample, {"prompt": "Space is"}, ("completion",)),
        (ChatExample, {"messages": []}, ("messages",)),
        (ReinforcementExample, {"answer": "A 26"}, ("messages",)),
        (PreferenceExample, PREFERENCE | {"preferred_output": []}, ("preferred_output",)),
        (PreferenceExample, PREFERENCE | {"input": {}}, ("input", "messages")),
    ],
)
def test_an_incomplete_line_is_refused_by_what_is_missing(kind, line, place):
    assert refused(kind, line) == place
