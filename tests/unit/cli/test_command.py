"""Behaviour of every command: exit codes, one-line errors, secrets, help, interruption."""

import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import click
import pytest
import respx

from tunesmith import BackendError, MemoryBackend
from tunesmith.cli.app import app


def all_commands(group=app, path=()):
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from all_commands(command, (*path, name))
        yield " ".join((*path, name))


@pytest.mark.parametrize("name", sorted(all_commands()))
def test_every_command_and_option_has_help(run, name):
    result = run(f"{name} --help")
    assert result.exit_code == 0
    command = app
    for part in name.split():
        command = command.get_command(click.Context(command), part)
    assert command.help or command.short_help
    assert all(p.help for p in command.params if isinstance(p, click.Option))


@pytest.mark.parametrize("name", sorted(set(all_commands()) - {"serve", "playground"}))
def test_every_command_prints_json_for_scripts(name):
    command = app
    for part in name.split():
        command = command.get_command(click.Context(command), part)
    if not isinstance(command, click.Group):
        assert "--json" in [option for p in command.params for option in p.opts]


class Down:
    """A backend that cannot connect."""

    def send(self, request):
        raise BackendError("no route to host", phase="connect")

    async def aclose(self):
        pass


@pytest.mark.slow
def test_a_password_in_the_address_is_not_shown(run, folder, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    for command in ("models list", "doctor"):
        result = run(f"--base-url http://me:p@ssword@127.0.0.1:9/v1 {command}")
        assert "http://…@127.0.0.1:9/v1" in result.output
        assert "ssword" not in result.output


def test_an_unreachable_service_is_exit_code_4_with_a_hint(run, client_of):
    client_of(Down(), max_retries=0)
    result = run("files list")
    assert (result.exit_code, result.stdout) == (4, "")
    assert result.stderr == (
        "Error: files.list: no route to host. Check the service: tunesmith doctor\n"
    )


def test_a_deadline_is_exit_code_4_with_commands_to_continue(run, few, remembered):
    result = run("--deadline 30 fine-tunes create -t few.jsonl -m babbage-002 --follow")
    assert result.exit_code == 4
    assert "To follow it again: tunesmith fine-tunes follow ftjob-" in result.stderr
    assert "To cancel it: tunesmith fine-tunes cancel ftjob-" in result.stderr


@pytest.mark.slow
@pytest.mark.parametrize("command", ["fine-tunes results {job}", "files content {file}"])
def test_a_missing_folder_is_named(run, tuned, command):
    command = command.format(job=tuned["id"], file=tuned["training_file"])
    result = run(f"{command} -o nowhere/x")
    assert result.exit_code == 1
    assert (
        result.stderr
        == "Error: The folder nowhere does not exist. Create it, or choose another path.\n"
    )


@respx.mock
def test_a_rejected_key_has_a_hint_and_is_not_shown(run, folder):
    respx.get("https://api.example/v1/files").respond(
        401, json={"error": {"message": "Incorrect API key provided: sk-secret."}}
    )
    result = run("--base-url https://api.example/v1 --api-key sk-secret files list")
    assert result.exit_code == 1
    assert "Set OPENAI_API_KEY to a key of this service." in result.stderr
    assert "sk-secret" not in result.output


@pytest.mark.parametrize(
    ("line", "code", "message"),
    [
        ("files list", 1, "API key missing. Set OPENAI_API_KEY"),
        ("--state no/world files list", 1, "no/world cannot be used"),
        ("--state kant.csv files list", 1, "kant.csv is not a folder"),
        ("--state w files upload nothing.jsonl", 1, "nothing.jsonl does not exist"),
        ("--state w files get file-1", 1, "No such File object: file-1"),
        ("--state w files content file-1 -o x", 1, "No such File object: file-1"),
        ("--state w fine-tunes results ftjob-1", 1, "Could not find fine tune: ftjob-1"),
        ("--state w complete -m nothing a", 1, "The model 'nothing' does not exist"),
        ("--state w complete -m davinci-002 a -t 3", 2, "3.0 is not in the range"),
        ("--base-url ftp://x --api-key k files list", 1, "must be an http or https URL"),
        ("--state w --backend http files list", 2, "Remove --backend http"),
        ("--state w --api-key sk-secret files list", 2, "takes neither --base-url nor --api-key"),
    ],
)
def test_errors_are_one_line_with_a_code(run, folder, line, code, message):
    result = run(line)
    assert result.exit_code == code, result.output
    assert message in result.stderr.splitlines()[-1]
    assert result.stderr.splitlines()[-1].startswith("Error: ")
    assert "Traceback" not in result.output
    assert "sk-secret" not in result.output


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "start"),
    [
        ("", "TUNESMITH_STATE is set, so OPENAI_BASE_URL is not used."),
        ("--base-url http://127.0.0.1:9/v1 --api-key k", "Error: "),
        ("--backend http --api-key k", "Error: "),
        ("--state other.state", ""),
    ],
)
def test_typed_options_override_the_environment(
    run, folder, remembered, monkeypatch, options, start
):
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    result = run(f"{options} --timeout 1 files list")
    assert result.stderr.startswith(start)
    assert ("127.0.0.1:9" in result.stderr) == (start == "Error: ")


def test_suggested_commands_repeat_the_global_options(run, folder, few):
    result = run("--state w --deadline 60 fine-tunes create -t few.jsonl -m babbage-002")
    assert "Next: tunesmith --state w fine-tunes follow ftjob-" in result.stderr


@pytest.mark.parametrize("command", ["fine-tunes create -m babbage-002 -t", "files upload"])
def test_no_command_is_suggested_for_a_service_that_ends(run, few, command):
    result = run(f"--backend memory {command} few.jsonl")
    assert result.exit_code == 0, result.output
    assert "Next:" not in result.stderr
    assert "tunesmith --state DIR COMMAND." in result.stderr


def test_an_interruption_shows_how_to_follow_and_how_to_cancel(run, few, client_of):
    class Interrupted:
        def __init__(self):
            self.inner = MemoryBackend()

        def send(self, request):
            if request.operation == "fine_tuning.jobs.list_events":
                raise KeyboardInterrupt
            return self.inner.send(request)

        async def aclose(self):
            await self.inner.aclose()

    client_of(Interrupted())
    result = run("fine-tunes create -t few.jsonl -m babbage-002 --follow")
    assert result.exit_code == 130
    assert (
        "The job continues. To follow it again: tunesmith fine-tunes follow ftjob-" in result.stderr
    )
    assert "To cancel it: tunesmith fine-tunes cancel ftjob-" in result.stderr


class Running(BaseHTTPRequestHandler):
    """A service whose only job never ends."""

    requested = threading.Event()

    def do_GET(self):
        events = self.path.partition("?")[0].endswith("/events")
        body = (
            b'{"object": "list", "data": [], "has_more": false}'
            if events
            else b'{"object": "fine_tuning.job", "id": "ftjob-1", "status": "running"}'
        )
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        if events:
            self.requested.set()

    def log_message(self, *_):
        pass


@pytest.mark.slow
def test_ctrl_c_in_a_shell_exits_at_once_and_without_a_traceback():
    with HTTPServer(("127.0.0.1", 0), Running) as server:
        threading.Thread(target=server.serve_forever).start()
        url = f"http://127.0.0.1:{server.server_port}/v1"
        command = [sys.executable, "-c", "from tunesmith.cli import main; main()"]
        process = subprocess.Popen(
            [*command, "--base-url", url, "fine-tunes", "follow", "ftjob-1"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "OPENAI_API_KEY": "sk-secret"},
        )
        assert Running.requested.wait(20)
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=20)
        server.shutdown()
    assert process.returncode == 130, stderr
    follow = f"tunesmith --base-url {url} fine-tunes follow ftjob-1"
    assert stderr.splitlines()[0] == f"The job continues. To follow it again: {follow}"
    assert "Traceback" not in stderr
    assert stdout == ""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
@pytest.mark.parametrize(
    ("line", "prompt"), [("chat -m gpt-4o-mini", "> "), ("prepare kant.csv", "[Y/n/a/q]: ")]
)
def test_ctrl_c_at_a_prompt_exits_at_once(folder, line, prompt):
    process = subprocess.Popen(
        [sys.executable, "-c", "from tunesmith.cli import main; main()", *line.split()],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TUNESMITH_BACKEND": "memory"},
    )
    shown = ""
    while not shown.endswith(prompt):
        assert process.poll() is None, shown
        shown += process.stderr.read(1)
    while Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0] != "S":
        pass  # it is about to wait for the answer
    process.send_signal(signal.SIGINT)
    # The standard input stays open: nobody answers.
    assert process.wait(20) == 130
    assert process.stderr.read().split() == ["Interrupted."]
    process.stdin.close()
    process.stderr.close()


def test_a_bug_is_one_line_too(monkeypatch, capsys):
    from tunesmith import cli
    from tunesmith.cli.connection import ServiceOptions

    monkeypatch.setattr(ServiceOptions, "client", lambda _: 1 / 0)
    monkeypatch.setattr(sys, "argv", ["tunesmith", "files", "list"])
    with pytest.raises(SystemExit) as exited:
        cli.main()
    assert exited.value.code == 1
    shown = capsys.readouterr().err
    assert shown.count("\n") == 1
    assert "ZeroDivisionError: division by zero. This is a bug" in shown
    monkeypatch.setenv("TUNESMITH_TRACEBACK", "1")
    with pytest.raises(ZeroDivisionError):
        cli.main()


@pytest.mark.skipif(os.name == "nt", reason="needs a shell")
@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize("line", ["models list", "complete -m davinci-002 Kant", "migrate ."])
def test_streams_that_are_closed_are_no_error(closed, line, tmp_path):
    command = f"{sys.executable} -m tunesmith --backend memory {line} {closed}"
    done = subprocess.run(
        ["sh", "-c", command], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert (done.returncode, "Error" in done.stderr) == (0, False)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize(
    "line",
    [
        "--help",
        "--version",
        "batch run --help",
        "models list",
        "files list --json",
        "chat -m gpt-4o-mini hi",
    ],
)
def test_output_that_cannot_be_written_is_an_error_of_one_line(monkeypatch, capsys, line):
    from tunesmith import cli

    monkeypatch.setattr(sys, "argv", ["tunesmith", "--backend", "memory", *line.split()])
    with suppress(OSError), Path("/dev/full").open("w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        with pytest.raises(SystemExit) as exited:
            cli.main()
    assert exited.value.code == 1
    assert capsys.readouterr().err == (
        "Error: The output cannot be written: No space left on device.\n"
    )
