"""Rows are made valid by edits that lose nothing, instead of being removed."""

import pytest

from tunesmith.datasets import Dataset, diagnose
from tunesmith.training_rules import inspect_row

ANSWER = {"role": "assistant", "content": "A cat."}
URL = "https://example.com/cat.png"


def image(url=URL):
    return {"type": "image_url", "image_url": {"url": url}}


def text(value):
    return {"type": "text", "text": value}


def user(content):
    return {"role": "user", "content": content}


def edited(row):
    """Return the row after all fixes, and the descriptions of the fixes."""
    diagnosis = diagnose(Dataset.open([row] * 12, format="chat"))
    fixes = [f.fix.description for f in diagnosis.findings if f.fix and not f.fix.required]
    data = next(diagnosis.plan().transformed_chunks()())[0].data
    assert [*inspect_row(data, "chat")] == []
    return data, fixes


@pytest.mark.parametrize(
    ("content", "images", "parts"),
    [
        ("<image>What?", [URL], [image(), text("What?")]),
        ("Left <image> right <image>", ["data:image/png;base64,iVBORw0K", URL], None),
        ("What?", [URL], [image(), text("What?")]),
        ("What?", [{"url": URL}], [image(), text("What?")]),
        ("What?", URL, [image(), text("What?")]),
    ],
)
def test_images_move_to_their_places_in_the_messages(content, images, parts):
    data, fixes = edited({"messages": [user(content), ANSWER], "images": images})
    if parts is None:
        parts = [text("Left"), image(images[0]), text("right"), image()]
    assert data == {"messages": [user(parts), ANSWER]}
    assert "Move images into the messages (12 rows)" in fixes


@pytest.mark.parametrize(
    ("content", "images"),
    [
        ("What?", ["cat.png"]),
        ("<image> and <image>", [URL]),
        ([text("What?")], [URL]),
        ("What?", [7]),
        ("What?", []),
        ("What?", None),
    ],
)
def test_images_that_have_no_place_take_their_row_with_them(content, images):
    rows = [{"messages": [user(content), ANSWER], "images": images}] * 12
    finding = next(f for f in diagnose(Dataset.open(rows)).findings if f.field == "images")
    assert finding.code == "meaningful-key"
    assert finding.fix.description == "Remove 12 rows (meaningful-key)"


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url", "image_url": URL},
        {"type": "image", "url": URL},
        {"type": "image", "image": URL},
        {"type": "input_image", "image_url": URL},
    ],
)
def test_parts_of_other_apis_are_rewritten(part):
    data, fixes = edited(
        {"messages": [user([{"type": "input_text", "text": "What?"}, part]), ANSWER]}
    )
    assert data["messages"][0]["content"] == [text("What?"), image()]
    assert "Write parts as `text` and `image_url` (12 rows)" in fixes


@pytest.mark.parametrize("role", ["ai", "chatgpt", "GPT", "Assistant"])
def test_roles_are_renamed_whatever_their_case(role):
    data, _ = edited({"messages": [user("What?"), {"role": role, "content": "A cat."}]})
    assert data["messages"][1] == ANSWER


def test_messages_after_the_last_answer_are_left_out():
    data, fixes = edited({"messages": [user("What?"), ANSWER, user("Thanks"), user("Bye")]})
    assert data == {"messages": [user("What?"), ANSWER]}
    assert "Leave out messages after the last answer (12 rows)" in fixes


@pytest.mark.parametrize("key", ["system", "system_prompt"])
def test_a_system_message_beside_the_messages_moves_into_them(key):
    data, _ = edited({key: "Be brief.", "messages": [user("What?"), ANSWER]})
    system = {"role": "system", "content": "Be brief."}
    assert data == {"messages": [system, user("What?"), ANSWER]}


def test_an_edit_that_another_one_reveals_is_offered_too():
    turns = [{"role": "human", "content": "What?"}, {"role": "gpt", "content": "A cat."}]
    data, _ = edited({"messages": [*turns, {"role": "human", "content": "Thanks"}]})
    assert data == {"messages": [user("What?"), ANSWER]}


def test_a_conversation_without_an_answer_is_removed():
    rows = [{"messages": [user("What?"), ANSWER]}] * 12 + [{"messages": [user("What?")]}]
    codes = {f.code for f in diagnose(Dataset.open(rows)).findings}
    assert "last-not-assistant" in codes
    assert "trailing-messages" not in codes


CALL = {"type": "function", "function": {"name": "look", "arguments": "{}"}}


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        ([user(7), ANSWER], [user("7"), ANSWER]),
        (
            [user("What?"), {**ANSWER, "weight": True}, user("And?"), {**ANSWER, "weight": "0"}],
            [user("What?"), {**ANSWER, "weight": 1}, user("And?"), {**ANSWER, "weight": 0}],
        ),
        (
            [
                *(user("What?"), {"role": "assistant", "tool_calls": [CALL]}),
                *({"role": "tool", "content": {"seen": 7}}, ANSWER),
            ],
            [
                *(user("What?"), {"role": "assistant", "tool_calls": [{**CALL, "id": "call_1_0"}]}),
                *({"role": "tool", "content": '{"seen":7}', "tool_call_id": "call_1_0"}, ANSWER),
            ],
        ),
    ],
    ids=["number as content", "weights of other types", "calls without ids"],
)
def test_values_of_other_types_are_written_as_the_service_takes_them(messages, expected):
    data, _ = edited({"messages": messages})
    assert data == {"messages": expected}


def test_a_prompt_and_its_completion_among_conversations_become_one():
    data, _ = edited({"prompt": "What?", "completion": "A cat."})
    assert data == {"messages": [user("What?"), ANSWER]}


def test_calls_of_a_user_are_unknown_keys():
    message = {**user("What?"), "tool_calls": [{**CALL, "id": "a"}]}
    row = {"messages": [message, {"role": "tool", "tool_call_id": "a", "content": "7"}, ANSWER]}
    codes = {problem.code for problem in inspect_row(row, "chat")}
    assert codes == {"unknown-key", "stray-tool-message"}
