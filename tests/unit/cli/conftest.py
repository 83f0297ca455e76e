"""A folder with data, and a runner for the command line in it."""

import json
import shlex
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

import tunesmith
from tunesmith.cli.app import app
from tunesmith.cli.connection import ServiceOptions

DATA = Path(__file__).parents[3] / "examples" / "data"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    shutil.copy(DATA / "kant.csv", tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(folder):
    """Run the command line: `run("prepare kant.csv", "y")` also answers prompts."""

    def run(line, answers=""):
        return CliRunner().invoke(app, shlex.split(line), input=answers, prog_name="tunesmith")

    return run


@pytest.fixture
def few(folder):
    """A few rows of training data: few.jsonl."""
    rows = [{"prompt": f"What is {n}? ->", "completion": f" The number {n}.\n"} for n in range(12)]
    (folder / "few.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder / "few.jsonl"


@pytest.fixture
def remembered(folder, monkeypatch):
    """Let all commands use one service in memory, stored in a file."""
    monkeypatch.setenv("TUNESMITH_STATE", "world.state")


@pytest.fixture
def as_json(run):
    """Run a command and return its JSON."""

    def run_json(line):
        result = run(f"{line} --json")
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    return run_json


@pytest.fixture
def tuned(run, few, remembered):
    """A job that succeeded."""
    shown = run("fine-tunes create -t few.jsonl -m babbage-002 --suffix few --follow --json")
    assert shown.exit_code == 0, shown.output
    return json.loads(shown.stdout.splitlines()[-1])


@pytest.fixture
def client_of(monkeypatch):
    """Let all commands use a backend, which none of them closes."""

    def use(backend, **options):
        client = tunesmith.AsyncClient(backend=backend, **options)
        monkeypatch.setattr(ServiceOptions, "client", lambda _: client.with_options())
        return backend

    return use
