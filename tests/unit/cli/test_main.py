"""The entry point: start-up time, missing extras, exit codes, completion."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete

from tunesmith import cli
from tunesmith.cli.app import app


def test_help_loads_no_command_and_nothing_slow():
    script = (
        "import sys\nfrom tunesmith.cli import main\nsys.argv = ['tunesmith', '--help']\n"
        "try: main()\n"
        "finally: print(*sys.modules)"
    )
    command = [sys.executable, "-c", script]
    shown = subprocess.run(command, capture_output=True, text=True, check=True)
    *text, loaded = shown.stdout.splitlines()

    assert "prepare" in "\n".join(text)
    slow = {"anyio", "asyncio", "httpx", "importlib.metadata", "pydantic", "rich", "sqlite3", "ssl"}
    assert not slow & set(loaded.split())
    assert {m for m in loaded.split() if m.split(".")[0] == "tunesmith"} <= {
        "tunesmith",
        "tunesmith.errors",
        "tunesmith._lazy",
        "tunesmith.cli",
        "tunesmith.cli.app",
        "tunesmith.cli.connection",
        "tunesmith.cli.legacy_commands",
        "tunesmith.cli.messages",
        "tunesmith.cli.output",
    }


@pytest.mark.parametrize("line", ["--help", "prepare --help"])
def test_exit_codes_are_in_the_help(run, line):
    assert "Exit codes: 0 " in run(line).output


def test_an_unknown_command_is_a_usage_error(run):
    assert run("prepares").exit_code == 2


def test_the_version_is_shown(run):
    from importlib.metadata import version

    assert run("--version").output == f"tunesmith {version('tunesmith')}\n"


def test_without_click_the_error_names_the_extra(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "click", None)
    monkeypatch.delitem(sys.modules, "tunesmith.cli.app")
    with pytest.raises(SystemExit) as exited:
        cli.main()
    assert exited.value.code == 1
    assert "pip install 'tunesmith[cli]'" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="bash")
@pytest.mark.parametrize(
    ("line", "completions"),
    [
        ("tunesmith f", ["files", "fine-tunes"]),
        ("tunesmith fine-tunes c", ["cancel", "checkpoints", "create"]),
        ("tunesmith files upload --pu", ["--purpose"]),
        ("tunesmith files upload --purpose f", ["fine-tune"]),
    ],
)
def test_bash_completes_commands_and_options(line, completions):
    script = f"""
        eval "$(_TUNESMITH_COMPLETE=bash_source tunesmith)"
        COMP_WORDS=({line}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
        _tunesmith_completion tunesmith
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", script],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PATH": path},
    )
    assert done.stdout.split() == completions


@pytest.mark.slow
def test_python_m_tunesmith_is_the_command_line():
    done = subprocess.run(
        [sys.executable, "-m", "tunesmith", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("tunesmith ")


@pytest.mark.parametrize("option", ["-t", "-v"])
def test_the_shell_completes_training_files(option):
    create = ["fine-tunes", "create", option]
    completions = ShellComplete(app, {}, "tunesmith", "").get_completions(create, "kan")
    assert [(item.type, item.value) for item in completions] == [("file", "kan")]
