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


def write_few(folder):
    """Write a few rows of training data: few.jsonl."""
    rows = [{"prompt": f"What is {n}? ->", "completion": f" The number {n}.\n"} for n in range(12)]
    (folder / "few.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder / "few.jsonl"


@pytest.fixture
def few(folder):
    return write_few(folder)


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


@pytest.fixture(scope="session")
def tuned_state(tmp_path_factory):
    """The state of a service after a job succeeded, and the job."""
    folder = tmp_path_factory.mktemp("tuned")
    line = f"--state {folder}/state fine-tunes create -t {write_few(folder)} -m babbage-002"
    shown = CliRunner().invoke(app, shlex.split(f"{line} --suffix few --follow --json"))
    assert shown.exit_code == 0, shown.output
    return folder / "state", json.loads(shown.stdout.splitlines()[-1])


@pytest.fixture
def tuned(folder, few, remembered, tuned_state):
    """A job that succeeded."""
    state, job = tuned_state
    shutil.copytree(state, folder / "world.state")
    return job


@pytest.fixture
def client_of(monkeypatch):
    """Let all commands use a backend, which none of them closes."""

    def use(backend, **options):
        client = tunesmith.AsyncClient(backend=backend, **options)
        monkeypatch.setattr(ServiceOptions, "client", lambda _: client.with_options())
        return backend

    return use
