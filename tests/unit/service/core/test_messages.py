"""Messages of all kinds become texts."""

import json

import pytest

from tunesmith.service.core.messages import as_mapping, turn_text
from tunesmith.types.chat import ChatCompletionMessage

_CALL = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}


@pytest.mark.parametrize(
    ("message", "content"),
    [
        ({"role": "user", "content": "What is duty?"}, "What is duty?"),
        ({"role": "assistant", "content": None}, ""),
        (
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "What is this?"},
                    {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
                ],
            },
            "What is this?\n[image_url]",
        ),
        (
            {"role": "assistant", "content": [{"type": "refusal", "refusal": "I cannot."}]},
            "I cannot.",
        ),
        (
            {"role": "assistant", "content": "Let me see.", "tool_calls": [_CALL]},
            f"Let me see.\n{json.dumps([_CALL])}",
        ),
        ({"role": "tool", "tool_call_id": "call_1", "content": "42"}, "42"),
    ],
)
def test_a_message_is_a_turn_with_a_text(message, content):
    assert turn_text(message) == content


def test_a_message_of_an_earlier_answer_is_a_turn_as_it_is():
    message = ChatCompletionMessage(role="assistant", content="Duty is …", refusal=None)
    assert turn_text(as_mapping(message)) == "Duty is …"
