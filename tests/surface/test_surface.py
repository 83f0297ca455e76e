"""Every public name of the official SDK is here or explained, and the pages are current."""

import pytest
from tests.surface import comparison


def test_the_page_lists_all_names_that_are_written_otherwise():
    page = comparison.PAGE.read_text()
    assert comparison.render_names() in page, "write it again: python -m tests.surface --write"
    assert "| `openai.AsyncOpenAI` | `tunesmith.AsyncClient(…)` |" in page


def test_a_name_without_an_explanation_is_reported():
    found = comparison.compare(
        {
            "version": "9",
            "module": ["APIError", "Novelty", "OpenAIError"],
            "constructor": ["api_key", "novelty"],
            "methods": {
                "client.novelty.create": [],
                "client.files.create": ["file", "novelty"],
                "client.images.edit": [],
                "client.images.generate": [],
            },
            "objects": {"error": ["request_id", "status", "novelty"]},
        }
    )
    assert found.unexplained == [
        "Module: Novelty",
        "Options of the client: novelty",
        "Methods: client.novelty",
        "Parameters: client.files.create(novelty=)",
        "Error with a status: novelty",
    ]
    page = comparison.render(found)
    assert "Module: `APIError`." in page
    assert "| Methods | 1 | 0 | 2 |" in page


@pytest.mark.slow
def test_every_name_of_the_installed_sdk_is_here_or_explained_and_the_page_is_current():
    if not comparison.OFFICIAL.exists():
        pytest.skip("the official SDK is not installed: tests/clients/install does it")
    found = comparison.compare(comparison.read_official())
    assert not found.unexplained
    assert comparison.PAGE.read_text() == comparison.render(found), (
        "write it again: python -m tests.surface --write"
    )
