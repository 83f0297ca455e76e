"""What holds for every command: exit codes, one-line errors, secrets, help, interruption."""

import os
import signal
import subprocess
import sys
import threading
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
def test_every_command_has_help_and_every_option_says_what_it_does(run, name):
    result = run(f"{name} --help")
    assert result.exit_code == 0
    command = app
    for part in name.split():
        command = command.get_command(click.Context(command), part)
    assert command.help or command.short_help
    assert all(p.help for p in command.params if isinstance(p, click.Option))


@pytest.mark.parametrize("name", sorted(set(all_commands()) - {"serve"}))
def test_every_command_prints_json_for_scripts(name):
    command = app
    for part in name.split():
        command = command.get_command(click.Context(command), part)
    if not isinstance(command, click.Group):
        assert "--json" in [option for p in command.params for option in p.opts]


class Down:
    """No answer ever comes."""

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


def test_out_of_reach_is_exit_code_4_and_names_the_doctor(run, client_of):
    client_of(Down(), max_retries=0)
    result = run("files list")
    assert (result.exit_code, result.stdout) == (4, "")
    assert result.stderr == (
        "Error: files.list: no route to host. See whether the service is there: tunesmith doctor\n"
    )


def test_a_deadline_is_exit_code_4_and_says_how_to_go_on(run, few, remembered):
    result = run("--deadline 30 fine-tunes create -t few.jsonl -m babbage-002 --follow")
    assert result.exit_code == 4
    assert "To follow it again: tunesmith fine-tunes follow ftjob-" in result.stderr
    assert "To cancel it: tunesmith fine-tunes cancel ftjob-" in result.stderr


@pytest.mark.slow
@pytest.mark.parametrize("command", ["fine-tunes results {job}", "files content {file}"])
def test_a_folder_that_is_not_there_is_named(run, tuned, command):
    command = command.format(job=tuned["id"], file=tuned["training_file"])
    result = run(f"{command} -o nowhere/x")
    assert result.exit_code == 1
    assert result.stderr == "Error: There is no folder nowhere: name another place, or make it.\n"


@respx.mock
def test_a_refused_key_says_what_to_set_and_is_not_shown(run, folder):
    respx.get("https://api.example/v1/files").respond(
        401, json={"error": {"message": "Incorrect API key provided: sk-secret."}}
    )
    result = run("--base-url https://api.example/v1 --api-key sk-secret files list")
    assert result.exit_code == 1
    assert "Set OPENAI_API_KEY to a key of this service." in result.stderr
    assert "sk-secret" not in result.output


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        ("files list", 1, "There is no API key: set OPENAI_API_KEY"),
        ("--state no/world files list", 1, "no/world cannot be used"),
        ("--state kant.csv files list", 1, "kant.csv is no state of a tunesmith service"),
        ("--state w files upload nothing.jsonl", 1, "nothing.jsonl: There is no such file"),
        ("--state w files get file-1", 1, "No such File object: file-1"),
        ("--state w files content file-1 -o x", 1, "No such File object: file-1"),
        ("--state w fine-tunes results ftjob-1", 1, "Could not find fine tune: ftjob-1"),
        ("--state w complete -m nothing a", 1, "The model 'nothing' does not exist"),
        ("--state w complete -m davinci-002 a -t 3", 2, "3.0 is not in the range"),
        ("--base-url ftp://x --api-key k files list", 1, "must be an http or https URL"),
        ("--state w --backend http files list", 2, "leave --backend http out"),
        ("--state w --api-key sk-secret files list", 2, "has no address and no key"),
    ],
)
def test_errors_are_one_line_with_a_code(run, folder, line, code, said):
    result = run(line)
    assert result.exit_code == code, result.output
    assert said in result.stderr.splitlines()[-1]
    assert result.stderr.splitlines()[-1].startswith("Error: ")
    assert "Traceback" not in result.output
    assert "sk-secret" not in result.output


@pytest.mark.slow
@pytest.mark.parametrize(
    ("typed", "begins"),
    [
        ("", "TUNESMITH_STATE is set, so OPENAI_BASE_URL is not used."),
        ("--base-url http://127.0.0.1:9/v1 --api-key k", "Error: "),
        ("--backend http --api-key k", "Error: "),
        ("--state other.state", ""),
    ],
)
def test_what_is_typed_comes_before_the_environment(
    run, folder, remembered, monkeypatch, typed, begins
):
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    result = run(f"{typed} --timeout 1 files list")
    assert result.stderr.startswith(begins)
    assert ("127.0.0.1:9" in result.stderr) == (begins == "Error: ")


def test_options_of_the_command_line_are_named_in_the_next_command_but_no_key(run, folder, few):
    result = run("--state w --deadline 60 fine-tunes create -t few.jsonl -m babbage-002")
    assert "Next: tunesmith --state w fine-tunes follow ftjob-" in result.stderr


def test_an_interruption_says_how_to_follow_and_how_to_cancel(run, few, client_of):
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
        "The job goes on. To follow it again: tunesmith fine-tunes follow ftjob-" in result.stderr
    )
    assert "To cancel it: tunesmith fine-tunes cancel ftjob-" in result.stderr


class Running(BaseHTTPRequestHandler):
    """A service whose one job runs for ever."""

    asked = threading.Event()

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
            self.asked.set()

    def log_message(self, *_):
        pass


@pytest.mark.slow
def test_control_c_in_a_shell_leaves_at_once_and_without_a_traceback():
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
        assert Running.asked.wait(20)
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=20)
        server.shutdown()
    assert process.returncode == 130, stderr
    follow = f"tunesmith --base-url {url} fine-tunes follow ftjob-1"
    assert stderr.splitlines()[0] == f"The job goes on. To follow it again: {follow}"
    assert "Traceback" not in stderr
    assert stdout == ""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
@pytest.mark.parametrize(
    ("line", "question"), [("chat -m gpt-4o-mini", "> "), ("prepare kant.csv", "[Y/n]: ")]
)
def test_control_c_at_a_question_leaves_at_once(folder, line, question):
    process = subprocess.Popen(
        [sys.executable, "-c", "from tunesmith.cli import main; main()", *line.split()],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TUNESMITH_BACKEND": "memory"},
    )
    asked = ""
    while not asked.endswith(question):
        assert process.poll() is None, asked
        asked += process.stderr.read(1)
    while Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0] != "S":
        pass  # it is about to wait for the answer
    process.send_signal(signal.SIGINT)
    # The standard input stays open: nobody answers.
    assert process.wait(20) == 130
    assert process.stderr.read().split() == ["Interrupted."]
    process.stdin.close()
    process.stderr.close()


def test_a_fault_of_our_own_is_one_line_too(monkeypatch, capsys):
    from tunesmith import cli
    from tunesmith.cli.connection import ServiceOptions

    monkeypatch.setattr(ServiceOptions, "client", lambda _: 1 / 0)
    monkeypatch.setattr(sys, "argv", ["tunesmith", "files", "list"])
    with pytest.raises(SystemExit) as left:
        cli.main()
    assert left.value.code == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "ZeroDivisionError: division by zero. That should not have happened" in said
    monkeypatch.setenv("TUNESMITH_TRACEBACK", "1")
    with pytest.raises(ZeroDivisionError):
        cli.main()
