"""Common mistakes: each error says what to do next."""

import click
import httpx
import pytest

import tunesmith
from tunesmith.cli.messages import describe_shutdown
from tunesmith.service.service import Service


@pytest.mark.parametrize(
    ("command", "suggestion"),
    [("fine-tune", "fine-tunes"), ("finetunes", "fine-tunes"), ("model", "models")],
)
def test_a_similar_command_is_suggested(run, command, suggestion):
    result = run(f"{command} list")
    assert result.exit_code == 2
    assert f"Did you mean '{suggestion}'?" in result.stderr


@pytest.mark.parametrize(
    ("legacy", "current"),
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
def test_commands_of_openai_are_translated(run, legacy, current):
    result = run(legacy)
    assert result.exit_code == 2
    assert result.stderr.endswith(f" is now 'tunesmith {current}'.\n")
    assert run(f"{current} --help").exit_code == 0


def test_a_global_option_after_the_command_is_explained(run):
    result = run("fine-tunes list --state world.state")
    assert result.exit_code == 2
    assert "'--state' must precede the command: tunesmith --state … fine-tunes …" in result.stderr


@pytest.mark.parametrize("line", ["fine-tunes list --stat 3", "models get a --base 3"])
def test_other_unknown_options_are_usage_errors(run, line):
    assert "No such option" in run(line).stderr


@pytest.mark.parametrize(
    ("line", "command"),
    [
        ("fine-tunes get ftjob-1", "fine-tunes list"),
        ("fine-tunes follow ftjob-1", "fine-tunes list"),
        ("files get file-1", "files list"),
        ("files content file-1", "files list"),
        ("models get babage-002", "models list"),
        ("complete -m babage-002 a", "models list"),
        ("chat -m gpt-nine a", "models list"),
        ("fine-tunes create -t few.jsonl -m babage-002", "models list"),
    ],
)
def test_an_unknown_id_hints_at_the_list(run, few, remembered, line, command):
    result = run(f"--state other.state {line}")
    assert result.exit_code == 1
    names = {"fine-tunes": "jobs"}.get(command.split()[0], command.split()[0])
    assert result.stderr.endswith(f"List the {names}: tunesmith --state other.state {command}\n")


@pytest.mark.parametrize(
    ("model", "successor"), [("ada", "babbage-002"), ("curie:ft-acme-2021-03-03", "davinci-002")]
)
def test_a_model_of_the_legacy_api_hints_at_its_successor(run, few, remembered, model, successor):
    result = run(f"fine-tunes create -t few.jsonl -m {model}")
    assert result.exit_code == 1
    assert result.stderr == (f"Error: {model!r} was shut down on 2024-01-04. Use -m {successor}.\n")
    assert run("files list").stdout == ""  # nothing was uploaded


def test_a_model_that_a_service_shut_down_hints_at_its_replacement(run, few, client_of):
    def refuse(request):
        error = {"message": "The model `gpt-4` does not exist", "code": "model_not_found"}
        return httpx.Response(404, json={"error": error})

    http_client = httpx.AsyncClient(transport=httpx.MockTransport(refuse))
    client_of(tunesmith.HttpxBackend("http://service", api_key="any", http_client=http_client))
    result = run("chat -m gpt-4 a")
    assert result.exit_code == 1
    assert result.stderr.endswith("'gpt-4' was shut down on 2026-10-23. Use -m gpt-5.6-sol.\n")


def test_a_replacement_that_cannot_be_tuned_is_named_as_such():
    assert describe_shutdown("davinci-002", tuning=True) == (
        "'davinci-002' was shut down on 2026-09-28. "
        "Its replacement gpt-5.6-terra cannot be fine-tuned."
    )


@pytest.mark.parametrize("name", ["gpt-nine", "gpt-6-luna", "text-embedding-3-small"])
def test_a_model_that_was_not_shut_down_has_no_such_hint(name):
    assert describe_shutdown(name) is None


@pytest.mark.parametrize(
    ("line", "other"),
    [("complete -m gpt-4.1-nano-2025-04-14 a", "chat"), ("chat -m babbage-002 a", "complete")],
)
def test_a_model_of_the_other_kind_hints_at_its_command(run, remembered, line, other):
    result = run(line)
    assert result.exit_code == 1
    assert result.stderr.endswith(f"Use tunesmith {other}.\n")


@pytest.mark.parametrize("path", [".", "folder.jsonl"])
def test_a_folder_is_not_a_training_file(run, folder, remembered, path):
    (folder / "folder.jsonl").mkdir()
    result = run(f"fine-tunes create -t {path} -m babbage-002")
    assert result.exit_code == 1
    assert result.stderr == f"Error: {path} is a folder. Name a file.\n"


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


def test_a_base_url_without_its_path_is_suspected(run, client_of):
    http_client = httpx.AsyncClient(transport=Service().transport())
    client_of(tunesmith.HttpxBackend("http://service", api_key="any", http_client=http_client))
    result = run("models list")
    assert result.exit_code == 1
    assert (
        "The base URL may lack its path, such as /v1. Check it: tunesmith doctor" in result.stderr
    )


def test_an_unanswered_prompt_hints_at_the_option(run):
    result = run("prepare kant.csv")
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1] == (
        "Error: No answer, nothing was written. Accept all fixes with -q."
    )


def test_ctrl_c_at_a_prompt_is_an_interrupt(run, monkeypatch):
    def interrupted(*_, **__):
        abort = click.Abort()
        abort.__context__ = KeyboardInterrupt()  # as click does
        raise abort

    monkeypatch.setattr("click.prompt", interrupted)
    result = run("prepare kant.csv")
    assert result.exit_code == 130
    assert result.stderr.endswith("\nInterrupted.\n")


@pytest.mark.parametrize(
    ("line", "note"),
    [
        ("fine-tunes get -i {job}", "-i is now an argument."),
        ("fine-tunes events --id {job}", "--id is now an argument."),
        ("files get -i {file}", "-i is now an argument."),
        ("models get -i babbage-002", "-i is now an argument."),
        ("complete -m babbage-002 -p Kant --max_tokens 1", "-p is now an argument."),
        ("complete -m babbage-002 Kant --max_tokens 1", "--max_tokens is now --max-tokens."),
        ("files upload -f few.jsonl -p assistants", "-p is now --purpose."),
        (
            "fine-tunes create -t {file} -m babbage-002 --n_epochs 1 --no_follow",
            "--n_epochs is now --n-epochs.",
        ),
        (
            "fine-tunes create -t {file} -m babbage-002 --no_follow",
            "--no_follow is no longer needed.",
        ),
    ],
)
def test_options_of_openai_are_accepted_and_their_current_name_shown(run, tuned, line, note):
    result = run(line.format(job=tuned["id"], file=tuned["training_file"]))
    assert result.exit_code == 0, result.output
    assert result.stderr.splitlines().count(note) == 1


@pytest.mark.parametrize("option", ["--compute_classification_metrics", "--prompt_loss_weight=0.1"])
def test_removed_options_of_openai_are_refused_without_a_current_name(run, tuned, option):
    result = run(f"fine-tunes create -t {tuned['training_file']} -m babbage-002 {option}")
    assert result.exit_code == 2
    assert "is no longer part of the API. Leave it out." in result.stderr
    assert "is now" not in result.stderr
