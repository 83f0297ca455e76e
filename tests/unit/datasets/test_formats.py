"""Open formats are recognised and converted, and no meaning is lost silently."""

import pytest

from tunesmith.datasets import Dataset, diagnose
from tunesmith.errors import DatasetError


def diagnosed(row, count=12, **options):
    rows = [{key: make(value, n) for key, value in row.items()} for n in range(count)]
    return diagnose(Dataset.open(rows, **options))


def make(value, number):
    return f"{value} {number}" if isinstance(value, str) else value


def first(diagnosis):
    return next(diagnosis.plan().transformed_chunks()())[0].data


def codes(diagnosis):
    return {finding.code: finding for finding in diagnosis.findings}


def test_the_mapping_is_shown_and_part_of_the_diagnosis():
    diagnosis = diagnosed({"instruction": "Add", "input": "1", "output": "2"})

    assert (diagnosis.source_format, diagnosis.format) == ("alpaca", "chat")
    assert diagnosis.mapping == {"instruction": "user", "input": "user", "output": "assistant"}
    assert any("instruction → user" in finding.message for finding in diagnosis.findings)


def test_a_format_can_be_named():
    assert diagnosed({"prompt": "a", "completion": "b"}, format="completions").rows == 12
    with pytest.raises(DatasetError, match="Use one of"):
        Dataset.open([], format="parquet")


def test_calls_and_observations_become_tool_calls_and_answers():
    turns = [
        {"from": "human", "value": "Rain?"},
        {"from": "function_call", "value": '{"name": "weather", "arguments": {"city": "Rome"}}'},
        {"from": "observation", "value": "no"},
        {"from": "gpt", "value": "No."},
    ]
    messages = first(diagnosed({"conversations": turns, "tools": [{"name": "weather"}]}))[
        "messages"
    ]

    call = messages[1]["tool_calls"][0]
    assert call["function"] == {"name": "weather", "arguments": '{"city":"Rome"}'}
    assert messages[2] == {"role": "tool", "content": "no", "tool_call_id": call["id"]}


@pytest.mark.parametrize(
    ("chosen", "rejected", "prompt"),
    [
        ("\n\nHuman: Why?\n\nAssistant: So.", "\n\nHuman: Why?\n\nAssistant: No.", "Why?"),
        ("The sky is blue.", "The sky is green.", "The sky is"),
    ],
)
def test_an_implicit_prompt_is_taken_out_of_texts(chosen, rejected, prompt):
    rows = [{"chosen": chosen, "rejected": rejected}] * 12
    (row, *_) = next(Dataset.open(rows).chunks())

    assert row.data["input"]["messages"][-1] == {"role": "user", "content": prompt}


def test_bad_answers_are_left_out_and_counted():
    rows = [{"prompt": f"q{n}", "completion": f"a{n}", "label": n % 3 > 0} for n in range(30)]
    diagnosis = diagnose(Dataset.open(rows))

    assert codes(diagnosis)["rejected-answers"].count == 10
    assert diagnosis.rows == 20


@pytest.mark.parametrize(
    ("good", "bad"),
    [("True", "False"), ("true", "false"), ("desirable", "undesirable"), ("good", "bad")],
)
def test_labels_of_answers_can_be_text(good, bad):
    rows = [
        {"prompt": f"q{n}", "completion": f"a{n}", "label": (good, bad)[n % 2]} for n in range(30)
    ]
    diagnosis = diagnose(Dataset.open(rows))

    assert diagnosis.source_format == "kto"
    assert codes(diagnosis)["rejected-answers"].count == 15


def test_labels_of_0_and_1_need_a_decision():
    rows = [{"prompt": f"q{n}", "completion": f"a{n}", "label": n % 2} for n in range(30)]
    with pytest.raises(DatasetError, match=r"format='kto'.*format='completions'"):
        diagnose(Dataset.open(rows))

    assert diagnose(Dataset.open(rows, format="kto")).rows == 15
    assert diagnose(Dataset.open(rows, format="completions")).rows == 30


def test_two_labels_of_unknown_meaning_need_a_decision():
    rows = [
        {"prompt": f"q{n}", "completion": f"a{n}", "label": ("yes", "no")[n % 2]} for n in range(30)
    ]
    with pytest.raises(DatasetError, match=r"may mark bad answers.*as true and false"):
        diagnose(Dataset.open(rows))


@pytest.mark.parametrize(
    "row",
    [
        {"input": "Why?", "preferred_output": "So.", "non_preferred_output": "No."},
        {"question": "Why?", "better": "So.", "worse": "No."},
        {"prompt": "Why?", "preferred": "So.", "dispreferred": "No."},
    ],
    ids=lambda row: list(row)[1],
)
def test_preferences_are_read_under_other_names(row):
    assert first(diagnose(Dataset.open([row] * 12))) == {
        "input": {"messages": [{"role": "user", "content": "Why?"}]},
        "preferred_output": [{"role": "assistant", "content": "So."}],
        "non_preferred_output": [{"role": "assistant", "content": "No."}],
    }


def test_a_conversation_that_ends_with_a_question_is_no_item_for_a_grader():
    turns = [{"role": role, "content": "x"} for role in ("user", "assistant", "user")]
    assert Dataset.open([{"messages": turns}] * 12).source_format == "chat"
    assert Dataset.open([{"messages": turns, "answer": "7"}] * 12).source_format == "reinforcement"
    assert Dataset.open([{"messages": turns[:1]}] * 12).source_format == "reinforcement"


def test_a_label_that_judges_nothing_breaks_its_row():
    rows = [{"prompt": f"q{n}", "completion": f"a{n}", "label": True} for n in range(12)]
    rows[3]["label"] = "perhaps"
    diagnosis = diagnose(Dataset.open(rows, on_broken="skip"))
    assert "`label` must be true or false" in codes(diagnosis)["broken-lines"].message


def test_answers_with_a_label_cannot_become_pairs():
    rows = [{"prompt": "q", "completion": f"a{n}", "label": n % 2 > 0} for n in range(30)]
    with pytest.raises(DatasetError, match="a better and a worse answer to the same prompt"):
        diagnose(Dataset.open(rows, target_format="dpo"))


def test_unknown_keys_are_named_with_their_counts():
    turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    diagnosis = diagnosed({"messages": turns, "id": 1, "meta": {}})

    assert codes(diagnosis)["unknown-key"].fix.description == "Remove `id` (12), `meta` (12)"


@pytest.mark.parametrize("key", ["videos", "label"])
def test_a_key_that_changes_the_meaning_takes_its_row_with_it(key):
    turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    finding = codes(diagnosed({"messages": turns, key: ["x"]}))["meaningful-key"]

    assert (finding.severity, finding.fix.description) == (
        "error",
        "Remove 12 rows (meaningful-key)",
    )


@pytest.mark.parametrize(
    ("row", "hint"),
    [
        ({"Prompt": "a", "Antwort": "b"}, r"rename=\{'Antwort': 'completion'\}"),
        ({"": "7", "Frage": "Wer?", "Antwort": "Er war es."}, r"'Frage': 'prompt'.*'Antwort'"),
        ({"Antwort": "Er war es.", "Frage": "Wer, sag?"}, r"'Antwort': 'prompt'|'Frage': 'prompt'"),
        ({"question": "What?", "replies": {"text": ["7"]}}, r"`replies` holds .* \(`text`\)"),
        ({"question": "What?", "replies": ["7", "8"]}, "`replies` holds several texts: keep one"),
        ({"text": "Hi.", "role": "user", "parent_id": None}, "Each row is one message of a conv"),
        ({"prompt": [{"role": "user", "content": "Hi"}], "truth": "7"}, "'prompt': 'messages'"),
        ({"premise": "It rains.", "hypothesis": "It is wet.", "label": 1}, "would be left out"),
        ({"What is it?": "And this?", "It is a cat.": "A dog."}, "add a header"),
    ],
)
def test_the_hint_names_the_right_columns(row, hint):
    with pytest.raises(DatasetError, match=hint):
        diagnosed(row)


@pytest.mark.parametrize("prompt", ["什么是 GPT {} 模型", "GPT {} API 是什么", "ما هو GPT {}"])
def test_scripts_without_case_raise_no_alarm(prompt):
    rows = [{"prompt": prompt.format(n), "completion": f"人工智能模型 {n}"} for n in range(12)]

    assert "upper-case" not in codes(diagnose(Dataset.open(rows)))
