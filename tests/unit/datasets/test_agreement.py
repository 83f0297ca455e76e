"""`prepare` accepts exactly what the service trains on, and what it writes can be trained on."""

import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from tunesmith.datasets import Dataset, diagnose, write
from tunesmith.errors import DatasetError
from tunesmith.service.fine_tuning.training_data import (
    InvalidTrainingFileError,
    TrainingFile,
    validate_example_count,
)

USER = {"role": "user", "content": "Hello"}
ANSWER = {"role": "assistant", "content": "Hi."}
PNG = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk"
TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}

TEXTS = st.sampled_from(["Hello", "Why?", "", " ", "Größe"])
JUNK = st.sampled_from([None, True, 0, 1.0, 0.5, "text", [], {}, ["a"], {"a": 1}])
PARTS = st.lists(
    st.one_of(
        st.builds(lambda text: {"type": "text", "text": text}, TEXTS),
        st.sampled_from(
            [
                {"type": "image_url", "image_url": {"url": PNG}},
                {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
                {"type": "image_url", "image_url": {"url": "data:image/gif;base64,R0lGODlh"}},
                {"type": "image_url", "image_url": "https://example.com/a.png"},
                {"type": "image_url", "image_url": "a.png"},
                {"type": "image", "url": "https://example.com/a.png"},
                {"type": "input_text", "text": "Hello"},
                {"type": "tool_use", "id": "c1", "name": "weather", "input": {}},
                {"type": "tool_result", "tool_use_id": "c1", "content": "Rain"},
                {"text": "Hello"},
                {"type": "text", "text": ""},
                {"type": "file", "file": {"file_id": "f"}},
            ]
        ),
    ),
    max_size=12,
)
CALLS = st.lists(
    st.builds(
        lambda call_id, name, arguments, kind: {
            **({"id": call_id} if call_id else {}),
            **({"type": kind} if kind else {}),
            "function": {"name": name, "arguments": arguments},
        },
        st.sampled_from(["c1", "c2", None]),
        st.sampled_from(["weather", "other", "bad name!"]),
        st.sampled_from(["{}", "{", {}, None]),
        st.sampled_from(["function", "custom", None]),
    ),
    max_size=2,
)
ROLES = ["AI", "user", "assistant", "system", "developer", "tool", "function", "human", None]


@st.composite
def messages(draw, last):
    """Return a conversation that is mostly good and ends with a good message."""
    conversation = draw(st.lists(st.sampled_from([USER, ANSWER]), max_size=2))
    for _ in range(draw(st.integers(0, 2))):
        message = {
            "role": draw(st.sampled_from(ROLES)),
            "content": draw(st.one_of(TEXTS, PARTS, JUNK)),
        }
        if draw(st.booleans()):
            message["weight"] = draw(JUNK)
        if draw(st.booleans()):
            message["tool_calls"] = draw(st.one_of(CALLS, JUNK))
        if draw(st.booleans()):
            message["tool_call_id"] = draw(st.sampled_from(["c1", "c9"]))
        conversation.append(draw(st.one_of(st.just(message), JUNK.map(lambda junk: junk))))
    return [*conversation, draw(st.sampled_from([*last, *last, USER, ANSWER]))]


EXTRAS = st.fixed_dictionaries(
    {},
    optional={
        "tools": st.sampled_from(
            [
                [TOOL],
                [],
                None,
                {},
                [{"type": "function"}],
                [TOOL["function"]],
                [{"name": "weather", "input_schema": {}}],
            ]
        ),
        "parallel_tool_calls": st.booleans(),
        "source": st.just("forum"),
        "system": st.sampled_from(["Be brief.", "", None, [{"text": "Be brief."}], [7]]),
        "images": st.sampled_from([["https://example.com/a.png"], ["a.png"], [], None, 7]),
    },
)
CHAT = st.builds(lambda turns, extras: {"messages": turns, **extras}, messages([ANSWER]), EXTRAS)
ITEM = st.builds(
    lambda turns, extras: {"messages": turns, "answer": "4", **extras}, messages([USER]), EXTRAS
)
OUTPUT = st.one_of(
    st.just([ANSWER]),
    st.just([{"role": "assistant", "content": "No."}]),
    st.just([{**ANSWER, "weight": 1}]),
    st.just([ANSWER, ANSWER]),
    st.just([USER]),
    JUNK,
)
PAIR = st.fixed_dictionaries(
    {"input": st.builds(lambda turns: {"messages": turns}, messages([USER]))},
    optional={"preferred_output": OUTPUT, "non_preferred_output": OUTPUT, "source": JUNK},
)
COMPLETION = st.fixed_dictionaries(
    {"prompt": TEXTS | JUNK}, optional={"completion": TEXTS | JUNK, "id": JUNK}
)
ROWS = {"chat": CHAT, "dpo": PAIR, "reinforcement": ITEM, "completions": COMPLETION}
GOOD = {
    "chat": {"messages": [USER, ANSWER]},
    "dpo": {
        "input": {"messages": [USER]},
        "preferred_output": [ANSWER],
        "non_preferred_output": [{"role": "assistant", "content": "No."}],
    },
    "reinforcement": {"messages": [USER], "answer": "4"},
    "completions": {"prompt": "a", "completion": " b"},
}


def failure(content, format):
    """Return why the service fails a job with this training file; None if it trains."""
    try:
        examples = list(TrainingFile(lambda: [content], format))
        validate_example_count(len(examples))
    except InvalidTrainingFileError as error:
        return str(error)
    return None


def numbered(format, row, count=12):
    """Return good rows that differ, and one row to judge."""
    rows = [json.loads(json.dumps(GOOD[format])) for _ in range(count)]
    for number, good in enumerate(rows):
        if format == "completions":
            good["prompt"], good["completion"] = f"Question {number}", f" Answer {number * 7}"
        else:
            turns = good["input"]["messages"] if format == "dpo" else good["messages"]
            turns[0] = {"role": "user", "content": f"Hello {number}"}
    return [*rows, row]


def lines(rows):
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


@pytest.mark.slow
@pytest.mark.parametrize("format", ROWS)
@given(data=st.data())
@settings(max_examples=200)
def test_errors_are_exactly_what_fails_a_job(format, data):
    rows = numbered(format, data.draw(ROWS[format]))
    content = lines(rows)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "t.jsonl")
        file.write_bytes(content)
        dataset = Dataset.open(file, format=format, on_broken="skip")
        findings = diagnose(dataset).findings
    errors = [finding for finding in findings if finding.severity in {"error", "fatal"}]
    assert bool(errors) == bool(failure(content, format)), (errors, failure(content, format))


@pytest.mark.slow
@pytest.mark.parametrize("format", ROWS)
@given(data=st.data())
@settings(max_examples=100)
def test_a_file_that_is_written_can_be_trained_on(format, data):
    row = data.draw(ROWS[format])
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "t.jsonl")
        file.write_bytes(lines(numbered(format, row)))
        try:
            dataset = Dataset.open(file, format=format, on_broken="skip")
            written = write(diagnose(dataset).plan())
        except DatasetError:
            return
        content = (written.files or (file,))[0].read_bytes()
        assert not written.errors
        assert failure(content, format) is None


@pytest.mark.parametrize("format", ROWS)
def test_too_few_examples_fail_and_are_an_error(format):
    rows = numbered(format, GOOD[format], count=8)

    assert "must have at least 10 examples" in failure(lines(rows), format)
    codes = {f.code for f in diagnose(Dataset.open(rows, format=format)).findings}
    assert "too-few-examples" in codes
