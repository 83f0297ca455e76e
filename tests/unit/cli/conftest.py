"""A folder with data, and the command line in it."""

import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from tunesmith.cli.app import app

KANT = Path(__file__).parents[3] / "examples" / "data" / "kant.csv"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    shutil.copy(KANT, tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(folder):
    """Run the command line: `run("prepare kant.csv", "y")` answers the questions, too."""

    def run(line, answers=""):
        return CliRunner().invoke(app, line.split(), input=answers, prog_name="tunesmith")

    return run
