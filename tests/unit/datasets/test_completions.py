"""Prompt/completion tables: what is found, and what each fix does."""

import pytest

from tunesmith.datasets import Dataset, diagnose
from tunesmith.datasets.checks.separators import is_label


def table(pairs):
    return Dataset.open([{"prompt": p, "completion": c} for p, c in pairs])


def findings(pairs):
    return {found.code: found for found in diagnose(table(pairs)).findings}


def repaired(pairs, *codes):
    """The rows with only the remedies of these codes applied."""
    plan = diagnose(table(pairs)).plan(lambda found: found.code in codes)
    return [
        (r.data["prompt"], r.data["completion"]) for c in plan.transformed_chunks()() for r in c
    ]


NUMBERED = [(f"question {i}?", f" {i} is the answer.") for i in range(120)]


def test_a_table_in_order_needs_nothing_but_to_be_written_as_json_lines():
    found = findings(NUMBERED)

    assert set(found) == {"converted", "separator", "ending", "prompt-prefix"}
    assert {code for code in found if found[code].fix} == {"converted"}


@pytest.mark.parametrize(
    ("rows", "code", "severity"),
    [(5, "too-few-examples", "error"), (50, "few-examples", "warning")],
)
def test_few_rows(rows, code, severity):
    assert findings(NUMBERED[:rows])[code].severity == severity


def test_empty_completions_are_removed_and_named_by_line():
    found = findings([("a", "b"), ("c", ""), ("d", " \n"), ("e", "f")])["empty-completions"]

    assert (found.count, found.lines, found.field) == (2, (2, 3), "completion")
    assert found.fix.required
    assert repaired([("a", "b"), ("c", ""), ("e", "f")]) == [("a", "b"), ("e", "f")]


def test_columns_in_the_wrong_case_are_renamed_and_others_left_out(tmp_path):
    file = tmp_path / "t.csv"
    file.write_text("id,Prompt,COMPLETION\n1,a,b\n2,c,d\n")
    diagnosis = diagnose(Dataset.open(file))
    found = [f for f in diagnosis.findings if f.fix and f.fix.required]

    assert [f.code for f in found] == [
        "converted",
        "renamed-column",
        "renamed-column",
        "extra-columns",
    ]
    rows = [
        row.data
        for chunk in diagnosis.plan(lambda _: False).transformed_chunks()()
        for row in chunk
    ]
    assert rows == [{"prompt": "a", "completion": "b"}, {"prompt": "c", "completion": "d"}]


def test_numbers_become_text():
    dataset = Dataset.open([{"prompt": 1, "completion": True}, {"prompt": None, "completion": 2.5}])
    diagnosis = diagnose(dataset)

    assert {f.code: f.count for f in diagnosis.findings}["not-text"] == 4
    assert [r.data for chunk in diagnosis.source() for r in chunk] == [
        {"prompt": "1", "completion": "true"},
        {"prompt": "", "completion": "2.5"},
    ]


@pytest.mark.parametrize(
    ("pairs", "task"),
    [
        ([("", f"text {i}") for i in range(20)], "open-ended generation"),
        ([(f"q{i}", "yes" if i % 2 else "no") for i in range(20)], "classification"),
        (NUMBERED, "conditional generation"),
    ],
)
def test_the_task_is_told(pairs, task):
    assert diagnose(table(pairs)).task == task


def test_labels_that_are_uneven_are_named():
    found = findings([(f"q{i}", "rare" if i == 7 else "usual") for i in range(60)])["imbalance"]

    assert "`usual` occurs 59 times and `rare` 1 times" in found.message


def test_duplicates_are_removed_but_for_the_first():
    pairs = [("a", "x"), ("b", "y"), ("a", "x"), ("a", "x"), ("a", "z")]

    found = findings(pairs)["duplicates"]
    assert (found.count, found.lines) == (2, (3, 4))
    assert repaired(pairs, "duplicates") == [("a", "x"), ("b", "y"), ("a", "z")]


def test_rows_that_lower_case_makes_equal_are_removed_with_the_duplicates():
    pairs = [("A", "X"), ("a", "x"), ("A", "X")]

    assert repaired(pairs, "duplicates", "upper-case") == [("a", "x")]


def test_near_duplicates_are_told_and_kept():
    pairs = [("Is it 1.5?", "yes"), ("is it  1.5", "Yes!"), ("is it 15", "yes"), ("b", "c")]

    found = findings(pairs)["near-duplicates"]
    assert (found.count, found.lines, found.fix) == (1, (2,), None)


def test_long_rows_are_removed_even_after_duplicates_were():
    pairs = [("a", "b"), ("a", "b"), ("c", "x" * 10_001), ("d", "e")]

    assert findings(pairs)["long-rows"].lines == (3,)
    assert repaired(pairs, "duplicates", "long-rows") == [("a", "b"), ("d", "e")]


def test_upper_case_is_lowered_column_by_column():
    pairs = [("WHAT IS Ä?", "a thing"), ("WHO?", "a person")]

    found = findings(pairs)["upper-case"]
    assert found.field == "prompt"
    assert repaired(pairs, "upper-case") == [("what is ä?", "a thing"), ("who?", "a person")]


@pytest.mark.parametrize(
    ("extra", "separator"),
    [
        ("", " ->"),
        ("x -> y", "\n\n###\n\n"),
        ("two\nlines", "\n\n###\n\n"),
        ("x\n\n###\n\ny", "\n\n===\n\n"),
        ("".join(f"\n\n{s}\n\n" for s in ("###", "===", "---", "===>", "--->")), "\n\n### =>\n\n"),
    ],
)
def test_the_separator_is_the_first_that_is_in_no_prompt(extra, separator):
    pairs = [("a" + extra + "b", "1"), ("c", "2")]

    assert repaired(pairs, "no-separator")[1][0] == "c" + separator


@pytest.mark.parametrize(
    ("inside", "ending"), [("", "\n"), ("\n", "."), ("\n.", " END"), ("\n. END***", "+++")]
)
def test_the_ending_is_the_first_that_is_in_no_completion(inside, ending):
    pairs = [("a", f"1{inside}x"), ("b", "2")]

    assert repaired(pairs, "no-ending")[1][1] == "2" + ending


def test_words_are_not_cut_by_a_common_ending():
    found = findings([(f"q {i}", f" {w}") for i, w in enumerate(["positive", "negative"] * 2)])
    assert "ending" not in found

    pairs = [("q 1", " it is positive"), ("q 2", " it is negative"), ("q 3", " it is active")]
    assert findings(pairs)["no-ending"].fix is not None


def test_words_are_not_cut_by_a_common_beginning():
    pairs = [("Theoretical reason is", "1"), ("Theology is", "2")]

    assert "prompt-prefix" not in findings(pairs)


def test_a_separator_that_is_also_inside_is_told_whenever_it_shows():
    pairs = [(f"a {i}???", str(i)) for i in range(1500)] + [("b? c?", "d")]

    assert "separator-inside" in findings(pairs)


def test_a_long_prompt_prefix_can_be_removed_but_not_if_a_prompt_would_be_empty():
    prefix = "Answer this question: "
    pairs = [(prefix + "who?", "1"), (prefix + "what?", "2")]

    assert [p for p, _ in repaired(pairs, "prompt-prefix")] == ["who?", "what?"]
    assert findings([*pairs, (prefix, "3")])["prompt-prefix"].fix is None
    assert findings([*pairs, (prefix * 2 + "x", "3")])["prompt-prefix"].fix is None


def test_a_completion_prefix_is_removed_but_for_its_leading_space():
    pairs = [("a", " Answer: yes"), ("b", " Answer: no")]

    assert [c for _, c in repaired(pairs, "completion-prefix")] == [" yes", " no"]


@pytest.mark.parametrize(
    "prefix",
    [
        *("2024-01-", "Order 2024-", "ORDER-", "INV-", "https://example.com/", "com.example."),
        *(
            '{"label": "',
            "<answer>",
            "def solve(self):\n    ",
            "urn:isbn:",
            "Price: $",
            "There is a ",
        ),
    ],
)
def test_prefixes_that_carry_data_are_kept(prefix):
    pairs = [(f"{prefix}{word}", f" {prefix}{word}") for word in ("ab", "cd", "ef")]
    found = findings(pairs)

    fixes = [found[c].fix for c in ("prompt-prefix", "completion-prefix") if c in found]
    assert not any(fixes)


@pytest.mark.parametrize(
    "prefix",
    [
        *("Answer:", "Answer -> ", "Sentiment = ", "Classify the text.\n\n", "\uff1f 回答\uff1a"),
        "### Instruction:\nClassify the tweet.\n\n### Tweet:\n",
    ],
)
def test_labels_and_instructions_are_no_data(prefix):
    assert is_label(prefix)


def test_completions_get_a_leading_space():
    assert repaired([("a", "x"), ("b", " y")], "no-leading-space") == [("a", " x"), ("b", " y")]


@pytest.mark.parametrize("field", ["prompt", "completion"])
def test_a_column_of_one_text_is_fatal(field):
    pairs = [("same", str(i)) if field == "prompt" else (str(i), "same") for i in range(3)]
    pairs = pairs if field == "prompt" else pairs[:2]

    assert findings(pairs)[f"identical-{field}s"].severity == "fatal"


def test_keys_and_addresses_are_found_and_masked():
    secret = "sk-" + "a1B2" * 8
    found = findings([("a", f"use {secret}"), ("b", "write to kant@koenigsberg.de")])

    assert found["secret"].lines == (1,)
    assert found["email-address"].lines == (2,)
    assert secret not in str(found["secret"]) + str(found["secret"].excerpt)
    assert "koenigsberg" not in str(found["email-address"].excerpt)
