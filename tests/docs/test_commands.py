"""Every command line of the documentation that begins with `tunesmith` runs.

The commands of a page run one after the other, with what the page exports, so that a service that
is kept in a file goes on from one to the next.
"""

import re
import shlex
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from tunesmith.cli.app import app

ROOT = Path(__file__).parents[2]
FENCE = re.compile(r"^```(\w+)(?: title=\"(.+?)\")?\n(.*?)^```", re.DOTALL | re.MULTILINE)

PROMISED = {
    "course.md": (
        "Fine-tuned model: ft:babbage-002:personal:kant:RwQP8yw4",  # the page's id is the reader's
        "space, time, substance, causality",  # what it was taught
        "Fine-tuned model: ft:gpt-4.1-nano-2025-04-14:personal:teacher:hPsgCq8b",
    )
}
"""What a page's commands print."""


def shell_lines(page):
    """The lines of a page that are run: `tunesmith …` and `export NAME=VALUE`, split as words."""
    for language, _, text in FENCE.findall(page.read_text()):
        for line in text.splitlines() if language == "bash" else ():
            if line.startswith(("tunesmith ", "export ")):
                yield shlex.split(line)


PAGES = [
    page
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    if any(words[0] == "tunesmith" for words in shell_lines(page))
]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Where commands run: the data that they speak of is there."""
    data = ROOT / "examples" / "data"
    shutil.copy(data / "kant.csv", tmp_path)
    shutil.copytree(data, tmp_path / "examples" / "data")
    shutil.copytree(ROOT / "tests" / "data" / "formats", tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TUNESMITH_STATE", "service.state")

    def ended_at_once(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("uvicorn.Server.run", ended_at_once)
    return tmp_path


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_command_lines_of_a_page_run_one_after_the_other(page, folder, monkeypatch):
    for _, title, text in FENCE.findall(page.read_text()):
        if title:
            (folder / title).write_text(text)
    printed = ""
    for word, *arguments in shell_lines(page):
        if word == "export":
            monkeypatch.setenv(*arguments[0].split("=", 1))
            continue
        # Enter, to every question.
        result = CliRunner().invoke(app, arguments, input="\n" * 20)
        assert result.exit_code == 0, f"{' '.join(arguments)}\n{result.output}"
        printed += result.stdout
    for promised in PROMISED.get(page.name, ()):
        assert promised in printed


def test_there_are_command_lines():
    assert ROOT / "docs" / "how-to" / "prepare" / "index.md" in PAGES
    assert ROOT / "docs" / "tutorial" / "course.md" in PAGES
