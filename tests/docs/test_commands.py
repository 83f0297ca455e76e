"""Every command line of the documentation that begins with `tunesmith` runs."""

import re
import shlex
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from tunesmith.cli.app import app

ROOT = Path(__file__).parents[2]
FENCE = re.compile(r"^```(\w+)(?: title=\"(.+?)\")?\n(.*?)^```", re.DOTALL | re.MULTILINE)


def command_lines(page):
    """The command lines of a page, as arguments."""
    for language, _, text in FENCE.findall(page.read_text()):
        for line in text.splitlines() if language == "bash" else ():
            if line.startswith("tunesmith "):
                yield shlex.split(line)[1:]


PAGES = [
    page
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    if any(command_lines(page))
]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Where commands run: the data that they speak of is there."""
    data = ROOT / "examples" / "data"
    shutil.copy(data / "kant.csv", tmp_path)
    shutil.copytree(data, tmp_path / "examples" / "data")
    monkeypatch.chdir(tmp_path)

    def ended_at_once(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("uvicorn.Server.run", ended_at_once)
    return tmp_path


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_command_lines_of_a_page_run_one_after_the_other(page, folder):
    for _, title, text in FENCE.findall(page.read_text()):
        if title:
            (folder / title).write_text(text)
    for arguments in command_lines(page):
        # Enter, to every question.
        result = CliRunner().invoke(app, arguments, input="\n" * 20)
        assert result.exit_code == 0, f"{' '.join(arguments)}\n{result.output}"


def test_there_are_command_lines():
    assert ROOT / "docs" / "how-to" / "prepare" / "index.md" in PAGES
