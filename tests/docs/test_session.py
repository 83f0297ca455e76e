"""The recorded session of the README matches the output of the commands."""

import importlib.util
import re
from html import unescape
from pathlib import Path

import pytest

spec = importlib.util.spec_from_file_location("session", Path(__file__).with_name("session.py"))
session = importlib.util.module_from_spec(spec)
spec.loader.exec_module(session)

KEY_LINES = (
    "Written: kant_prepared_train.jsonl (251 rows)",
    "Created fine-tuning job: ftjob-",
    "step 753 of 753   training loss 0.18   validation loss 4.88",
    "The job has successfully completed",
    f"Fine-tuned model: {session.MODEL}",
    " space, time, substance, causality, possibility and necessity.",
)


@pytest.fixture(scope="module")
def svg():
    """A new picture."""
    return session.picture(session.recorded())


def lines(svg):
    """Return the lines of text in a picture."""
    shown = {}
    for y, text in re.findall(r'<text [^>]*y="([\d.]+)"[^>]*>([^<]*)</text>', svg):
        shown[y] = shown.get(y, "") + unescape(text).replace("\xa0", " ")
    return shown.values()


def test_the_session_shows_the_lifecycle_of_a_job(svg):
    text = "\n".join(lines(svg))
    places = [text.index(line) for line in KEY_LINES]
    assert places[2] > places[3], "the curve stands below the events"
    assert sorted([*places[:2], *places[3:]]) == [*places[:2], *places[3:]]


def test_the_picture_in_the_documentation_shows_these_commands(svg):
    kept = session.PICTURE.read_text()

    def typed(svg):
        return [line for line in lines(svg) if line.startswith("$ ")]

    assert typed(kept) == typed(svg), "update it: python tests/docs/session.py"
    for line in KEY_LINES:
        assert any(line in shown for shown in lines(kept)), line


def test_the_picture_fetches_nothing_and_is_small():
    kept = session.PICTURE.read_text()
    addresses = set(re.findall(r"https?://[^\"' )]+", kept))
    assert addresses == {"http://www.w3.org/2000/svg"}  # a name, not a request
    assert "url(" not in kept
    assert len(kept) < 30_000


@pytest.mark.parametrize("page", ["README.md", "docs/index.md"])
def test_the_picture_is_shown(page):
    shown = re.search(r"!\[[^\]]+\]\(([^)]+session\.svg)\)", (session.ROOT / page).read_text())
    assert (session.ROOT / page).parent.joinpath(shown[1]).resolve() == session.PICTURE
