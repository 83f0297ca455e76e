"""Conversations of open datasets are recognised in every form, and nothing is lost silently."""

import json

import pytest

from tunesmith.datasets import Dataset, diagnose
from tunesmith.errors import DatasetError

USER = {"role": "user", "content": "Why?"}
ASSISTANT = {"role": "assistant", "content": "So."}
CONVERSATION = [USER, ASSISTANT]


def read(row):
    dataset = Dataset.open([row] * 12)
    return next(dataset.chunks())[0].data["messages"]


@pytest.mark.parametrize("key", ["conversations", "dialogue", "dialog", "turns", "chat", "data"])
@pytest.mark.parametrize(
    "turns",
    [
        ["Why?", "So."],
        [["Why?", "So."]],
        [{"from": "human", "value": "Why?"}, {"from": "gpt", "value": "So."}],
        [{"author": "user", "content": "Why?"}, {"author": "bot", "content": "So."}],
        [{"role": "USER", "message": "Why?"}, {"role": "CHATBOT", "message": "So."}],
        [{"speaker": "User", "utterance": "Why?"}, {"speaker": "System", "utterance": "So."}],
        [{"role": "user", "parts": [{"text": "Why?"}]}, {"role": "model", "parts": ["So."]}],
        [{"human": "Why?", "assistant": "So."}],
    ],
    ids=str,
)
def test_turns_are_read_in_every_form(key, turns):
    assert read({key: turns}) == CONVERSATION


@pytest.mark.parametrize(
    "text",
    [
        "<|im_start|>user\nWhy?<|im_end|>\n<|im_start|>assistant\nSo.<|im_end|>\n",
        "<|start_header_id|>user<|end_header_id|>\nWhy?<|eot_id|><|start_header_id|>assistant<|end_header_id|>\nSo.<|eot_id|>",
        "<bos><start_of_turn>user\nWhy?<end_of_turn>\n<start_of_turn>model\nSo.<end_of_turn>\n",
        "<|user|>\nWhy?</s>\n<|assistant|>\nSo.</s>",
        "<s>[INST] Why? [/INST] So. </s>",
        "[|Human|] Why?\n[|AI|] So.\n[|Human|] ",
        "### Human: Why?### Assistant: So.",
        "### Instruction:\nWhy?\n\n### Response:\nSo.",
        "\n\nHuman: Why?\n\nAssistant: So.",
        "USER: Why? ASSISTANT: So.</s>",
    ],
)
def test_a_transcript_is_read_by_the_marks_of_its_template(text):
    assert read({"text": text}) == CONVERSATION


def test_text_before_the_first_mark_is_a_system_message():
    text = "<s>[INST] <<SYS>>\nBe kind.\n<</SYS>>\n\nWhy? [/INST] So. </s>"
    assert read({"text": text}) == [{"role": "system", "content": "Be kind."}, *CONVERSATION]
    text = "A chat with an assistant. USER: Why? ASSISTANT: So.</s>"
    assert read({"text": text})[0] == {"role": "system", "content": "A chat with an assistant."}


@pytest.mark.parametrize(
    "text",
    ["A note.\nQuestion: Why?\nAnswer: So.", "User: only one speaker", "<|im_start|>user\nWhy?"],
)
def test_other_texts_stay_texts(text):
    rows = [{"text": f"{text} {n}"} for n in range(12)]
    assert next(Dataset.open(rows).chunks())[0].data == {"prompt": "", "completion": f"{text} 0"}


@pytest.mark.parametrize(
    "system",
    [
        {"system": "Be kind."},
        {"system_prompt": "Be kind."},
        {"system": [{"type": "text", "text": "Be kind."}]},
        {"systemInstruction": {"role": "system", "parts": [{"text": "Be kind."}]}},
    ],
    ids=str,
)
@pytest.mark.parametrize(
    "row",
    [
        {"contents": ["Why?", "So."]},
        {"prompt": "Why?", "completion": "So."},
        {"instruction": "Why?", "response": "So."},
        {"question": "Why?", "answer": "So."},
    ],
    ids=str,
)
def test_a_system_message_in_a_field_of_its_own_comes_first(row, system):
    assert read(row | system) == [{"role": "system", "content": "Be kind."}, *CONVERSATION]


@pytest.mark.parametrize(
    "history",
    [[["Hello", "Hi."]], [{"role": "User", "message": "Hello"}, {"role": "AI", "text": "Hi."}]],
)
def test_earlier_turns_come_before_the_question(history):
    messages = read({"prompt": "Why?", "response": "So.", "history": history})
    assert [message["content"] for message in messages] == ["Hello", "Hi.", "Why?", "So."]


@pytest.mark.parametrize(
    "answers",
    ["So.", {"text": ["So.", "so"], "answer_start": [0, 0]}, [{"text": "So.", "answer_start": 0}]],
)
def test_the_context_of_a_question_stays_with_it(answers):
    messages = read({"id": "7", "context": "It is so.", "question": "Why?", "answers": answers})
    assert messages == [{"role": "user", "content": "It is so.\n\nWhy?"}, ASSISTANT]


def test_a_question_without_an_answer_is_a_broken_row():
    with pytest.raises(DatasetError, match="`answers` must be text; it is missing"):
        read({"context": "c", "question": "Why?", "answers": {"text": [], "answer_start": []}})


@pytest.mark.parametrize("key", ["choices", "images", "tools", "label"])
def test_a_column_that_the_example_depends_on_is_not_left_out(key):
    row = {"question": "Why?", "answer": "So.", key: True if key == "label" else ["a", "b"]}
    with pytest.raises(DatasetError, match=f"depend on the column `{key}`.*format='completions'"):
        read(row)
    named = Dataset.open([row] * 12, format="completions")
    assert next(named.chunks())[0].data == {"prompt": "Why?", "completion": "So."}


def test_lists_as_python_text_are_read():
    rows = [{"messages": str(CONVERSATION)}] * 12
    assert next(Dataset.open(rows).chunks())[0].data == {"messages": CONVERSATION}


def test_calls_of_other_apis_become_tool_calls():
    rows = [
        {
            "messages": [
                USER,
                {"role": "assistant", "content": [
                    {"type": "text", "text": "I look."},
                    {"type": "tool_use", "id": "a", "name": "look", "input": {"at": 1}},
                ]},
                {"role": "user", "content": [
                    {"type": "tool_result", "tool_use_id": "a", "content": "7"},
                    {"type": "text", "text": "And?"},
                ]},
                ASSISTANT,
            ],
            "tools": [{"name": "look", "input_schema": {"type": "object"}}],
        }
    ] * 12  # fmt: skip
    plan = diagnose(Dataset.open(rows)).plan()
    row = next(plan.transformed_chunks()())[0].data

    assert not plan.errors
    function = {"name": "look", "arguments": '{"at":1}'}
    assert row["messages"][1]["tool_calls"] == [
        {"id": "a", "type": "function", "function": function}
    ]
    assert [message["role"] for message in row["messages"]] == [
        *("user", "assistant", "tool", "user", "assistant")
    ]
    assert row["tools"][0]["function"]["parameters"] == {"type": "object"}


ROWS = [{"prompt": f"q{n}", "completion": f"a{n}"} for n in range(12)]


class TestContainers:
    @pytest.mark.parametrize("name", ["t.json", "t.jsonl"])
    @pytest.mark.parametrize("others", [{}, {"version": 1}, {"columns": [{"name": "prompt"}]}])
    def test_the_list_of_rows_is_found_under_any_key(self, tmp_path, name, others):
        (tmp_path / name).write_text(json.dumps(others | {"my_rows": ROWS}))
        (chunk,) = Dataset.open(tmp_path / name).chunks()
        assert [row.data for row in chunk] == ROWS
        assert [row.line for row in chunk] == [*range(1, 13)]

    def test_lists_of_other_splits_are_named(self, tmp_path):
        file = tmp_path / "t.json"
        file.write_text(json.dumps({"train": ROWS, "test": ROWS[:3]}))
        diagnosis = diagnose(Dataset.open(file))
        (finding,) = [f for f in diagnosis.findings if f.code == "further-lists"]
        assert diagnosis.rows == 12
        assert "`test` (3 rows)" in finding.message
        assert "jq .test" in finding.message

    def test_several_lists_are_not_read_in_part(self, tmp_path):
        file = tmp_path / "t.json"
        file.write_text(json.dumps({"spring": ROWS, "autumn": ROWS}))
        with pytest.raises(DatasetError, match=r"`spring` \(12\), `autumn` \(12\).*jq .spring"):
            next(Dataset.open(file).chunks())

    def test_rows_with_cut_cells_are_broken(self, tmp_path):
        file = tmp_path / "t.json"
        rows = [
            {"row": row, "truncated_cells": ["prompt"] * (n == 4)} for n, row in enumerate(ROWS)
        ]
        file.write_text(json.dumps({"rows": rows}))
        with pytest.raises(DatasetError, match="Cells of this row are cut") as caught:
            next(Dataset.open(file).chunks())
        assert caught.value.line == 5


def test_tab_separated_lines_in_a_txt_file_are_a_table(tmp_path):
    (tmp_path / "t.txt").write_text(
        "".join(f"Who is number {n}?\tPerson {n}.\n" for n in range(12))
    )
    with pytest.raises(DatasetError, match="add a header"):
        next(Dataset.open(tmp_path / "t.txt").chunks())
    (tmp_path / "t.txt").write_text("A line\twith a tab\nand one without\n")
    assert len(next(Dataset.open(tmp_path / "t.txt").chunks())) == 2
