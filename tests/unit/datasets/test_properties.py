"""What holds for any table."""

import csv
import tempfile
from dataclasses import replace
from pathlib import Path

import openpyxl
import pyarrow as pa
import pytest
from hypothesis import given, settings, strategies as st
from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE
from pyarrow import parquet
from pydantic_core import to_json

from tunesmith.datasets import SOURCE_FORMATS, Dataset, diagnose, to_chat, to_completion, write
from tunesmith.datasets.report import make_report
from tunesmith.errors import DatasetError

TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12)
WORDS = st.lists(st.sampled_from(["a", "A", "the", "THE", " ", "?", ".", " ->", "\n", "Answer: "]))
ROW = st.fixed_dictionaries({"prompt": TEXT, "completion": TEXT})
SHORT = st.fixed_dictionaries(
    {"prompt": WORDS.map("".join), "completion": WORDS.map("".join).filter(str.strip)}
)


def write_csv(path, rows):
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["prompt", "completion"], quoting=csv.QUOTE_ALL)
        writer.writeheader()
        writer.writerows(rows)


def write_jsonl(path, rows):
    path.write_bytes(b"\n".join(map(to_json, rows)))


def write_json(path, rows):
    path.write_bytes(to_json(rows, indent=1))


def write_parquet(path, rows):
    parquet.write_table(pa.Table.from_pylist(rows), path)


def write_xlsx(path, rows):
    book = openpyxl.Workbook()
    book.active.append(["prompt", "completion"])
    for row in rows:
        book.active.append([row["prompt"], row["completion"]])
        for cell in book.active[book.active.max_row]:
            cell.data_type = "s"
    book.save(path)


def is_cell(row):
    """Whether a workbook can hold the texts: no control characters, nor an empty row."""
    texts = [row["prompt"], row["completion"]]
    return any(texts) and not any(
        ILLEGAL_CHARACTERS_RE.search(t) or set(t) & set("\r\ufffe\uffff") for t in texts
    )


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["csv", "jsonl", "json", "parquet"])
@given(rows=st.lists(ROW, min_size=1, max_size=8))
def test_any_table_comes_back_from_any_kind_of_file(kind, rows):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"t.{kind}")
        globals()[f"write_{kind}"](path, rows)

        assert [row.data for chunk in Dataset.open(path).chunks() for row in chunk] == rows


@pytest.mark.slow
@given(rows=st.lists(ROW.filter(is_cell), min_size=1, max_size=5))
@settings(max_examples=30)
def test_any_table_comes_back_from_a_workbook(rows):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "t.xlsx")
        write_xlsx(path, rows)

        assert [row.data for chunk in Dataset.open(path).chunks() for row in chunk] == rows


def repaired(plan):
    return [dict(row.data) for chunk in plan.transformed_chunks()() for row in chunk]


@pytest.mark.slow
@given(rows=st.lists(SHORT, min_size=2, max_size=8), accepted=st.sets(st.integers(0, 8)))
@settings(max_examples=300)
def test_a_plan_applied_to_its_own_result_changes_nothing(rows, accepted):
    asked = iter(range(100))
    plan = diagnose(Dataset.open(rows)).plan(lambda _: next(asked) in accepted)
    once = repaired(plan)

    again = replace(plan, source=Dataset.open(once, format="completions").chunks)
    assert repaired(again) == once


@pytest.mark.slow
@given(rows=st.lists(SHORT, min_size=2, max_size=8))
@settings(max_examples=300)
def test_no_row_is_lost_unless_a_finding_says_so(rows):
    diagnosis = diagnose(Dataset.open(rows))
    removing = {"empty-completions", "duplicates", "long-rows"}
    codes = {found.code for found in diagnosis.findings}
    kept = repaired(diagnosis.plan())

    assert len(kept) == len(rows) or codes & removing
    assert len(kept) >= len({(r["prompt"].lower(), r["completion"].lower().strip()) for r in kept})
    assert len(repaired(diagnosis.plan(lambda _: False))) == len(rows)


@pytest.mark.slow
@given(
    rows=st.lists(SHORT, min_size=2, max_size=20), share=st.floats(0.05, 0.95), seed=st.integers()
)
def test_a_split_loses_no_row(rows, share, seed):
    with tempfile.TemporaryDirectory() as folder:
        plan = diagnose(Dataset.open(rows)).plan(lambda _: False)
        if plan.fatal:
            with pytest.raises(DatasetError):
                write(plan, Path(folder, "t.jsonl"), split=share, seed=seed)
            return
        written = write(plan, Path(folder, "t.jsonl"), split=share, seed=seed)

        lines = b"".join(path.read_bytes() for path in written.files).splitlines()
        assert sorted(lines) == sorted(
            to_json({"prompt": row["prompt"], "completion": row["completion"]}) for row in rows
        )


LEAF = st.none() | st.booleans() | st.integers(-1, 2) | st.floats(allow_nan=False)
NAMES = [
    *("messages", "role", "content", "weight", "type", "text", "image_url", "url", "detail"),
    *("tools", "tool_calls", "functions", "function", "function_call", "name", "arguments"),
    *("parameters", "id", "input", "preferred_output", "prompt", "completion", "answer"),
]
VALUES = ["user", "assistant", "tool", "text", "image_url", "function", "https://example.com", "{}"]
JSON = st.recursive(
    LEAF | st.sampled_from(VALUES),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4)
    ),
    max_leaves=8,
)
MESSAGE = st.fixed_dictionaries(
    {"role": st.sampled_from(VALUES[:3]) | JSON, "content": JSON},
    optional=dict.fromkeys(("weight", "tool_calls", "function_call"), JSON),
)
MESSAGES = st.lists(MESSAGE | JSON, max_size=3) | JSON
ANYTHING = st.fixed_dictionaries(
    {},
    optional={
        "messages": MESSAGES,
        "input": st.fixed_dictionaries({"messages": MESSAGES}) | JSON,
        "preferred_output": MESSAGES,
        **dict.fromkeys(("tools", "functions", "prompt", "completion", "answer"), JSON),
    },
)


OPEN = st.dictionaries(
    st.sampled_from(sorted({key for source in SOURCE_FORMATS.values() for key in source.mapping})),
    MESSAGES | st.sampled_from(["Human: a\nAssistant: b", "[{'role': 'user'}]", "true", ""]),
    max_size=4,
)


@pytest.mark.slow
@given(
    rows=st.lists(ANYTHING | OPEN, min_size=2, max_size=4),
    format=st.none() | st.sampled_from([*SOURCE_FORMATS]),
)
@settings(max_examples=300)
def test_rows_of_any_shape_have_findings_and_crash_nothing(rows, format):
    try:
        diagnosis = diagnose(Dataset.open(rows, format=format, on_broken="skip"))
    except DatasetError:
        return
    assert all(str(found) for found in diagnosis.findings)
    plan = diagnosis.plan()
    assert len(repaired(plan)) <= len(rows)
    assert plan.fatal or make_report(diagnosis).to_html()


def test_items_with_fields_of_the_same_name_as_a_tables_are_told_apart_by_all_fields():
    rows = [
        {"messages": [{"role": "user", "content": f"{n}?"}], "prompt": "p", "completion": ["c"]}
        for n in range(20)
    ]
    codes = {found.code for found in diagnose(Dataset.open(rows)).findings}
    assert not codes & {"duplicates", "near-duplicates"}


@pytest.mark.slow
@given(row=ROW, system=st.none() | st.just("Be brief."))
def test_a_completion_comes_back_from_a_conversation(row, system):
    assert to_completion(to_chat(row, system), system) == row
