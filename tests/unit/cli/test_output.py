"""Output on a terminal and in a pipe."""

import pytest

from tunesmith.cli.connection import ServiceOptions
from tunesmith.cli.output import Output


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


def test_control_characters_are_removed_on_a_terminal(terminal, capsys):
    Output(ServiceOptions(), as_json=False).text("a\x1b[2Jb\tc\x07\x9b")
    assert capsys.readouterr().out == "ab\tc\n"
