"""`tunesmith example` and `tunesmith.datasets.example`."""

from pathlib import Path

import pytest

from tunesmith import ConfigurationError
from tunesmith.datasets import diagnose, example

KANT = Path(__file__).parents[3] / "examples" / "data" / "kant.csv"


def test_the_example_is_written_and_the_next_command_suggested(run, folder):
    result = run("example kant -o example.csv")
    assert result.exit_code == 0, result.output
    assert (folder / "example.csv").read_bytes() == KANT.read_bytes()
    assert result.stderr == "Saved: example.csv\nNext: tunesmith prepare example.csv\n"
    assert run("prepare example.csv -q").exit_code == 0


def test_an_existing_file_is_kept(run, folder):
    (folder / "kant.csv").write_text("mine")
    result = run("example")
    assert result.exit_code == 1
    assert "kant.csv already exists. Replace it with --force" in result.stderr
    assert (folder / "kant.csv").read_text() == "mine"
    assert run("example --force").exit_code == 0
    assert (folder / "kant.csv").read_bytes() == KANT.read_bytes()


def test_the_example_opens_from_python(tmp_path):
    diagnosis = diagnose(example("kant"))
    assert diagnosis.rows == 279
    assert diagnosis.format == "completions"


def test_an_unknown_example_is_an_error():
    with pytest.raises(ConfigurationError, match="unknown example 'hume'; use one of: kant"):
        example("hume")
