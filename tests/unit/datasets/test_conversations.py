"""Conversations, preference pairs and reinforcement items: what would be refused, and is unwise."""

import json

import pytest

from tunesmith.datasets import Dataset, diagnose

USER = {"role": "user", "content": "What is space?"}
ANSWER = {"role": "assistant", "content": "A form of intuition."}
TOOL = {"type": "function", "function": {"name": "look_up", "parameters": {"type": "object"}}}
CALL = {"id": "c1", "type": "function", "function": {"name": "look_up", "arguments": "{}"}}
CALLING = {"role": "assistant", "tool_calls": [CALL]}
REPLY = {"role": "tool", "tool_call_id": "c1", "content": "found"}
PNG = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUg=="
PAIR = {"input": {"messages": [USER]}, "preferred_output": [ANSWER]}
WORSE = [{"role": "assistant", "content": "No idea."}]


def image(url=PNG):
    return {"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}


def good(format):
    return {
        "chat": {"messages": [USER, ANSWER]},
        "dpo": {**PAIR, "non_preferred_output": WORSE},
        "reinforcement": {"messages": [USER], "reference": "space"},
    }[format]


def diagnosed(row, format):
    return diagnose(Dataset.open([good(format), row], format=format))


def chat(*messages, **more):
    return {"messages": list(messages), **more}


REFUSED_CHATS = {
    "no-messages": ({"messages": []}, "messages"),
    "bad-message": (chat("hello", ANSWER), "messages[0]"),
    "missing-role": (chat({"content": "x"}, ANSWER), "messages[0]"),
    "unknown-role": (chat({"role": "critic", "content": "x"}, ANSWER), "messages[0].role"),
    "bad-content": (chat({"role": "user", "content": {"a": 5}}, ANSWER), "messages[0].content"),
    "empty-content": (chat({"role": "user", "content": " "}, ANSWER), "messages[0].content"),
    "bad-weight": (chat(USER, {**ANSWER, "weight": 0.5}), "messages[1].weight"),
    "last-not-assistant": (chat(USER), "messages[0].role"),
    "nothing-to-learn": (chat(USER, {**ANSWER, "weight": 0}), "messages"),
    "bad-tool": (chat(USER, ANSWER, tools=[{"type": "function"}]), "tools[0]"),
    "bad-tool-call": (
        chat(USER, {"role": "assistant", "tool_calls": [{"id": "c1"}]}),
        "messages[1].tool_calls[0]",
    ),
    "unknown-tool": (
        chat(USER, CALLING, tools=[{**TOOL, "function": {"name": "other"}}]),
        "messages[1].tool_calls[0].function.name",
    ),
    "unanswered-tool-call": (
        chat(USER, CALLING, USER, ANSWER, tools=[TOOL]),
        "messages[1].tool_calls[0]",
    ),
    "stray-tool-message": (chat(USER, REPLY, ANSWER), "messages[1].tool_call_id"),
    "unknown-part": (
        chat({"role": "user", "content": [{"type": "input_audio"}]}, ANSWER),
        "messages[0].content[0]",
    ),
    "bad-image": (chat(image("file:///a.png"), ANSWER), "messages[0].content[0].image_url.url"),
    "image-format": (
        chat(image("data:image/gif;base64,R0lGODlh"), ANSWER),
        "messages[0].content[0].image_url.url",
    ),
    "image-too-large": (
        chat(image(PNG[:42] + "A" * 14_000_000), ANSWER),
        "messages[0].content[0].image_url.url",
    ),
    "image-not-from-user": (
        chat(USER, {**image(), "role": "assistant"}),
        "messages[1].content[0]",
    ),
    "too-many-images": (chat(*[image()] * 11, ANSWER), "messages"),
}


@pytest.mark.parametrize("code", REFUSED_CHATS)
def test_a_conversation_that_would_be_refused_is_found_and_can_be_left_out(code):
    row, field = REFUSED_CHATS[code]
    diagnosis = diagnosed(row, "chat")
    found = {f.code: f for f in diagnosis.findings}[code]

    assert (found.severity, found.lines, found.count) == ("error", (2,), 1)
    assert found.field == field
    plan = diagnosis.plan(lambda finding: finding.code == code)
    assert [r.data for c in plan.transformed_chunks()() for r in c] == [good("chat")]


@pytest.mark.parametrize(
    "row",
    [
        chat(USER, CALLING, REPLY, ANSWER, tools=[TOOL], parallel_tool_calls=False),
        chat(USER, CALLING, tools=[TOOL]),
        chat({"role": "system", "content": "Be brief."}, USER, {**ANSWER, "weight": 1}),
        chat(image(), image("https://example.org/a.jpg"), ANSWER),
        chat(USER, {"role": "assistant", "content": None, "refusal": "I can't."}),
        chat(
            USER,
            {"role": "assistant", "function_call": {"name": "f", "arguments": "{}"}},
            functions=[{"name": "f"}],
        ),
    ],
)
def test_what_the_service_takes_is_no_error(row):
    assert not [
        f for f in diagnosed(row, "chat").findings if f.severity == "error" and f.count != 2
    ]


def test_unknown_keys_are_removed_rather_than_the_row():
    row = chat({**USER, "mood": "curious"}, ANSWER, source="a book")
    diagnosis = diagnosed(row, "chat")

    assert {f.code: f.count for f in diagnosis.findings}["unknown-key"] == 1
    plan = diagnosis.plan(lambda found: found.code == "unknown-key")
    assert [r.data for c in plan.transformed_chunks()() for r in c][1] == chat(USER, ANSWER)


def test_system_messages_that_differ_or_are_missing_are_told():
    def row(system, number):
        question = {"role": "user", "content": f"Question {number}"}
        first = [{"role": "system", "content": system}] if system else []
        return chat(*first, question, ANSWER)

    rows = [row("Be brief.", 1), row("Be brief.", 2), row("Be brief!", 3), row("Be brief.", 4)]
    found = {f.code: f for f in diagnose(Dataset.open([*rows, row(None, 5)])).findings}

    assert found["system-drift"].lines == (3,)
    assert found["no-system-message"].lines == (5,)


def test_duplicates_and_secrets_are_found_in_conversations():
    secret = chat(USER, {"role": "assistant", "content": "ghp_" + "a1" * 20})
    found = {f.code: f for f in diagnosed(good("chat"), "chat").findings}

    assert found["duplicates"].lines == (2,)
    assert "secret" in {f.code for f in diagnosed(secret, "chat").findings}


REFUSED_PAIRS = {
    "missing-key": PAIR,
    "input-ends-with-assistant": {
        **good("dpo"),
        "input": {"messages": [USER, ANSWER]},
    },
    "bad-output": {**PAIR, "non_preferred_output": [ANSWER, ANSWER]},
    "image-in-pair": {**good("dpo"), "input": {"messages": [image()]}},
    "unknown-key": {**good("dpo"), "score": 1},
}


@pytest.mark.parametrize("code", REFUSED_PAIRS)
def test_a_preference_pair_that_would_be_refused_is_found(code):
    found = {f.code: f for f in diagnosed(REFUSED_PAIRS[code], "dpo").findings}

    assert (found[code].severity, found[code].lines) == ("error", (2,))


def test_prompts_with_a_chosen_and_a_rejected_answer_become_pairs(tmp_path):
    file = tmp_path / "t.csv"
    file.write_text("prompt,chosen,rejected\nWhat is space?,A form of intuition.,No idea.\n")
    dataset = Dataset.open(file)

    assert dataset.format() == "dpo"
    assert [row.data for chunk in dataset.chunks() for row in chunk] == [good("dpo")]


@pytest.mark.parametrize(
    ("row", "code"),
    [
        ({"messages": [USER, ANSWER], "reference": "x"}, "last-not-user"),
        ({"messages": [USER]}, "no-reference"),
        ({"messages": [USER], "other": "x"}, "uneven-fields"),
    ],
)
def test_a_reinforcement_item_that_is_wrong_is_found(row, code):
    assert code in {f.code for f in diagnosed(row, "reinforcement").findings}


@pytest.mark.parametrize("format", ["chat", "dpo", "reinforcement"])
def test_the_format_is_recognised(format):
    assert Dataset.open([good(format)] * 2).format() == format


def test_conversations_in_the_cells_of_a_table_are_read(tmp_path):
    file = tmp_path / "t.tsv"
    cell = json.dumps(good("chat")["messages"]).replace('"', '""')
    file.write_text(f'messages\n"{cell}"\n')

    assert [r.data for c in Dataset.open(file).chunks() for r in c] == [good("chat")]
