"""mypy strict and pyright strict pass, and find the mistakes that they should."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CALLS = Path(__file__).with_name("calls.py")


def run(*command):
    return subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=False
    )


def mypy():
    output = run("mypy", "--no-error-summary").stdout
    return [[*line.split(":")[:2], line] for line in output.splitlines() if ": error:" in line]


def pyright():
    output = run("pyright", "--outputjson", "--pythonpath", sys.executable).stdout
    return [
        [found["file"], str(found["range"]["start"]["line"] + 1), found["message"]]
        for found in json.loads(output)["generalDiagnostics"]
        if found["severity"] == "error"
    ]


@pytest.mark.parametrize("checker", [mypy, pyright])
def test_the_package_is_right_and_mistakes_are_found(checker):
    found = [[ROOT / file, *rest] for file, *rest in checker()]
    elsewhere = [problem for problem in found if problem[0] != CALLS]
    assert not elsewhere
    lines = enumerate(CALLS.read_text().splitlines(), 1)
    expected = {str(number) for number, line in lines if line.endswith("# error")}
    assert {problem[1] for problem in found} == expected
