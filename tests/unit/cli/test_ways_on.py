"""What somebody new gets wrong: each error says what to do next."""

import click
import httpx
import pytest

import tunesmith
from tunesmith.service.service import Service


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("fine-tune", "fine-tunes"), ("finetunes", "fine-tunes"), ("model", "models")],
)
def test_a_command_of_nearly_this_name_is_offered(run, typed, meant):
    result = run(f"{typed} list")
    assert result.exit_code == 2
    assert f"Did you mean '{meant}'?" in result.stderr


@pytest.mark.parametrize(
    ("then", "now"),
    [
        ("api fine_tunes.create -t few.jsonl", "fine-tunes create"),
        ("tools fine_tunes.prepare_data -f kant.csv", "prepare"),
        ("fine_tunes.prepare_data -f kant.csv", "prepare"),
        ("fine_tunes.list_events", "fine-tunes events"),
        ("api fine_tunes.follow -i ft-1", "fine-tunes follow"),
        ("api completions.create -m ada", "complete"),
        ("api chat_completions.create", "chat"),
        ("api files.create", "files upload"),
        ("api something.else", "fine-tunes create"),
        ("api", "fine-tunes create"),
    ],
)
def test_commands_of_old_courses_are_translated(run, then, now):
    result = run(then)
    assert result.exit_code == 2
    assert result.stderr.endswith(f" is now 'tunesmith {now}'.\n")
    assert run(f"{now} --help").exit_code == 0


def test_an_option_of_the_whole_is_sent_to_its_place(run):
    result = run("fine-tunes list --state world.state")
    assert result.exit_code == 2
    assert "'--state' stands before the command: tunesmith --state … fine-tunes …" in result.stderr


@pytest.mark.parametrize("line", ["fine-tunes list --stat 3", "models get a --base 3"])
def test_other_options_are_just_unknown(run, line):
    assert "No such option" in run(line).stderr


@pytest.mark.parametrize(
    ("line", "way"),
    [
        ("fine-tunes get ftjob-1", "fine-tunes list"),
        ("fine-tunes follow ftjob-1", "fine-tunes list"),
        ("files get file-1", "files list"),
        ("files content file-1", "files list"),
        ("models get babage-002", "models list"),
        ("complete -m babage-002 a", "models list"),
        ("chat -m gpt-4 a", "models list"),
        ("fine-tunes create -t few.jsonl -m babage-002", "models list"),
    ],
)
def test_what_is_not_there_is_to_be_looked_for_in_a_list(run, few, remembered, line, way):
    result = run(f"--state other.state {line}")
    assert result.exit_code == 1
    assert result.stderr.endswith(f"See what there is: tunesmith --state other.state {way}\n")


@pytest.mark.parametrize(("then", "now"), [("ada", "babbage-002"), ("curie", "davinci-002")])
def test_for_a_model_of_old_courses_the_one_that_took_its_place_is_named(
    run, few, remembered, then, now
):
    result = run(f"fine-tunes create -t few.jsonl -m {then}")
    assert result.exit_code == 1
    assert f"{now} took the place of {then}: -m {now}" in result.stderr


@pytest.mark.parametrize(
    ("line", "other"),
    [("complete -m gpt-4.1-nano-2025-04-14 a", "chat"), ("chat -m babbage-002 a", "complete")],
)
def test_a_model_of_the_other_kind_has_its_own_command(run, remembered, line, other):
    result = run(line)
    assert result.exit_code == 1
    assert result.stderr.endswith(f"Its command is tunesmith {other}.\n")


@pytest.mark.parametrize("path", [".", "folder.jsonl"])
def test_a_folder_is_no_training_file(run, folder, remembered, path):
    (folder / "folder.jsonl").mkdir()
    result = run(f"fine-tunes create -t {path} -m babbage-002")
    assert result.exit_code == 1
    assert result.stderr == f"Error: {path} is a folder: name a file.\n"


@pytest.mark.parametrize(
    "line",
    [
        "files upload none.jsonl",
        "prepare none.csv",
        "fine-tunes create -t none.jsonl -m babbage-002",
        "batch run none.jsonl -o out.jsonl -m babbage-002",
    ],
)
def test_a_missing_file_has_the_same_exit_code_everywhere(run, remembered, line):
    assert run(line).exit_code == 1


def test_an_address_without_its_path_is_suspected(run, client_of):
    http_client = httpx.AsyncClient(transport=Service().transport())
    client_of(tunesmith.HttpxBackend("http://service", api_key="any", http_client=http_client))
    result = run("models list")
    assert result.exit_code == 1
    assert "The address may lack its path, such as /v1: see tunesmith doctor" in result.stderr


def test_when_nobody_answers_a_question_it_is_said_how_to_go_on(run):
    result = run("prepare kant.csv")
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1] == (
        "Error: Nobody answers, and nothing was written. Accept all remedies with -q."
    )


def test_ctrl_c_at_a_question_is_an_interrupt(run, monkeypatch):
    def interrupted(*_, **__):
        abort = click.Abort()
        abort.__context__ = KeyboardInterrupt()  # as click does
        raise abort

    monkeypatch.setattr("click.confirm", interrupted)
    result = run("prepare kant.csv")
    assert result.exit_code == 130
    assert result.stderr.endswith("\nInterrupted.\n")
