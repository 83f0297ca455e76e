"""Every command of the documentation that begins with `tunesmith` runs.

The commands of a page run in order, with the variables that the page exports.
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

EXPECTED_OUTPUT = {
    "course.md": (
        "Fine-tuned model: ft:babbage-002:personal:kant:RwQP8yw4",
        "space, time, substance, causality",
        "Fine-tuned model: ft:gpt-4.1-nano-2025-04-14:personal:teacher:hPsgCq8b",
    )
}
"""Expected output of the commands of a page."""


def shell_lines(page):
    """Yield the lines `tunesmith …` and `export NAME=VALUE` of a page, split into words."""
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
    """A folder with the data that the pages use."""
    data = ROOT / "examples" / "data"
    shutil.copy(data / "kant.csv", tmp_path)
    shutil.copytree(data, tmp_path / "examples" / "data")
    shutil.copytree(ROOT / "tests" / "data" / "formats", tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TUNESMITH_STATE", "service.state")

    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("uvicorn.Server.run", interrupt)
    return tmp_path


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_commands_of_a_page_run_in_order(page, folder, monkeypatch):
    for _, title, text in FENCE.findall(page.read_text()):
        if title:
            (folder / title).write_text(text)
    printed = ""
    for word, *arguments in shell_lines(page):
        if word == "export":
            monkeypatch.setenv(*arguments[0].split("=", 1))
            continue
        # Accept the default of every question.
        result = CliRunner().invoke(app, arguments, input="\n" * 20)
        assert result.exit_code == 0, f"{' '.join(arguments)}\n{result.output}"
        printed += result.stdout
    for expected in EXPECTED_OUTPUT.get(page.name, ()):
        assert expected in printed


def test_pages_with_commands_are_found():
    assert ROOT / "docs" / "how-to" / "prepare" / "index.md" in PAGES
    assert ROOT / "docs" / "tutorial" / "course.md" in PAGES
