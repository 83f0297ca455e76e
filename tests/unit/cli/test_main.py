"""The entry point: quick, clear about what is missing, and about exit codes."""

import subprocess
import sys

import pytest

from tunesmith import cli
from tunesmith.cli.app import COMMANDS


def test_help_loads_no_command_and_none_of_the_package():
    script = (
        "import sys\nfrom tunesmith.cli import main\nsys.argv = ['tunesmith', '--help']\n"
        "try: main()\n"
        "finally: print(*(m for m in sys.modules if m.split('.')[0] in {'tunesmith', 'rich'}))"
    )
    command = [sys.executable, "-c", script]
    shown = subprocess.run(command, capture_output=True, text=True, check=True)
    *text, loaded = shown.stdout.splitlines()

    assert "prepare" in "\n".join(text)
    assert set(loaded.split()) <= {
        "tunesmith",
        "tunesmith.errors",
        "tunesmith.lazy",
        "tunesmith.cli",
        "tunesmith.cli.app",
        "tunesmith.cli.connection",
    }


@pytest.mark.parametrize("line", ["--help", "prepare --help"])
def test_exit_codes_are_in_the_help(run, line):
    assert "Exit codes: 0 done" in run(line).output


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_of_commands_says_what_each_says_of_itself(run, name):
    context = cli.app.app.make_context("tunesmith", ["--help"], resilient_parsing=True)
    assert cli.app.app.get_command(context, name).short_help == COMMANDS[name][1]


def test_an_unknown_command_is_wrong_usage(run):
    assert run("prepares").exit_code == 2


def test_the_version_is_shown(run):
    from importlib.metadata import version

    assert run("--version").output == f"tunesmith {version('tunesmith')}\n"


def test_without_click_it_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "click", None)
    monkeypatch.delitem(sys.modules, "tunesmith.cli.app")
    with pytest.raises(SystemExit) as left:
        cli.main()
    assert left.value.code == 1
    assert "pip install 'tunesmith[cli]'" in capsys.readouterr().err
