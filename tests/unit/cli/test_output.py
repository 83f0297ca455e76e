"""Output on a terminal and in a pipe."""

import io
import json
import os
import subprocess
import sys
import unicodedata

import pytest
from hypothesis import given, strategies as st
from rich.console import Console
from rich.file_proxy import FileProxy

from tunesmith.cli.connection import ServiceOptions
from tunesmith.cli.messages import clean
from tunesmith.cli.output import Output, echo


@pytest.fixture
def terminal(monkeypatch):
    """Let standard output be a terminal with this number of columns."""
    monkeypatch.setattr(Output, "is_terminal", True)
    return lambda columns: monkeypatch.setenv("COLUMNS", str(columns))


@pytest.mark.slow
def test_a_list_is_a_table_where_there_is_room(run, tuned, terminal):
    terminal(140)
    head, row = run("fine-tunes list").stdout.splitlines()
    assert head.split() == ["id", "created", "status", "model", "fine-tuned", "model"]
    assert row.startswith(f"{tuned['id']}  ")
    assert row.rstrip().endswith(tuned["fine_tuned_model"])


@pytest.mark.slow
@pytest.mark.parametrize("columns", [40, 60, 80])
def test_an_id_is_never_cut(run, tuned, terminal, columns):
    terminal(columns)
    job = run("fine-tunes list").stdout
    assert f"id                {tuned['id']}\n" in job
    assert f"fine-tuned model  {tuned['fine_tuned_model']}\n" in job
    assert tuned["training_file"] in run("files list").stdout.split()
    assert tuned["fine_tuned_model"] in run("models list").stdout.split()
    checkpoints = run(f"fine-tunes checkpoints {tuned['id']}").stdout.split()
    assert tuned["fine_tuned_model"] in checkpoints


@pytest.mark.slow
def test_where_there_is_little_room_each_object_is_a_block(run, tuned, few, terminal):
    (few.parent / "more.jsonl").write_text(few.read_text() * 2)
    run("files upload more.jsonl")
    terminal(60)
    blocks = run("files list --purpose fine-tune").stdout.split("\n\n")
    assert [block.splitlines()[-1] for block in blocks] == [
        "name     more.jsonl",
        "name     few.jsonl",
    ]


@pytest.mark.slow
def test_names_are_not_markup(run, few, remembered, terminal):
    run("fine-tunes create -t few.jsonl -m babbage-002 --suffix dog --follow")
    run("files upload few.jsonl --force --name '[red]few[/].jsonl'")
    terminal(140)
    assert ":dog:" in run("models list --tuned").stdout
    assert "[red]few[/].jsonl" in run("files list").stdout


def test_names_break_neither_lines_nor_columns(run, few, remembered):
    run("files upload few.jsonl --name 'a\tb\x1b[31m.jsonl'")
    (line,) = run("files list").stdout.splitlines()
    assert line.split("\t")[-1] == "a b.jsonl"


@pytest.mark.slow
def test_messages_are_wrapped_and_stay_a_table(run, tuned, terminal):
    terminal(90)
    lines = run(f"fine-tunes events {tuned['id']}").stdout.splitlines()
    assert lines[0].split() == ["time", "level", "message"]
    assert max(map(len, lines)) <= 90


def test_an_empty_list_is_an_empty_table(run, remembered, terminal):
    terminal(40)
    assert run("fine-tunes list").exit_code == 0


def test_messages_appear_above_a_live_display(monkeypatch):
    terminal = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    monkeypatch.setattr(sys, "stderr", terminal)
    echo("before", err=True)
    shown = []
    monkeypatch.setattr(Console, "print", lambda _, text: shown.append(str(text)))
    monkeypatch.setattr(sys, "stderr", FileProxy(Console(file=terminal), terminal))
    echo("Stopping", err=True)
    assert shown == ["Stopping"]


def test_control_characters_are_removed_on_a_terminal(terminal, capsys):
    Output(ServiceOptions(), as_json=False).text("a\x1b[2Jb\tc\x07\x9b")
    assert capsys.readouterr().out == "ab\tc\n"


@pytest.mark.parametrize(
    "text",
    [
        "\x1b]0;title\x07",
        "\x1b]52;c;ZXZpbA==\x07",
        "\x1b]8;;http://evil\x1b\\",
        "\x1b[2J\x1b[31m",
        "\x9b31m\x9d0;t\x9c",
        "\x00\x08\r\x0c\x7f",
        "\u202e\u2066\u2028",
    ],
)
def test_terminal_sequences_are_removed_whole(text):
    assert clean(f"a{text}b\tc\n") == "ab\tc\n"


@pytest.mark.slow
@given(st.text())
def test_cleaned_text_has_no_control_characters(text):
    controls = [c for c in clean(text) if unicodedata.category(c) == "Cc"]
    assert set(controls) <= {"\t", "\n"}


def test_json_escapes_control_characters(capsys):
    text = "a\x1b[2J\x9b\u202e\ud800"
    Output(ServiceOptions(), as_json=True).json({"text": text})
    line = capsys.readouterr().out
    assert line.isascii()
    assert json.loads(line) == {"text": text}


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "latin-1"])
@pytest.mark.parametrize(
    "arguments",
    [
        ("prepare", "kant.csv", "-q"),
        ("--backend", "memory", "complete", "-m", "davinci-002", "你好 →"),
        ("--backend", "memory", "doctor"),
    ],
)
@pytest.mark.slow
def test_output_encodings_without_unicode_are_supported(folder, encoding, arguments):
    done = subprocess.run(
        [sys.executable, "-m", "tunesmith", *arguments],
        env={**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert b"Traceback" not in done.stderr
