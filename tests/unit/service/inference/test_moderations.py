"""Moderations flag a list of words in the format of the API."""

import pytest

from tunesmith.service.inference.moderations import FLAGGED_WORDS

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("category", "word"),
    [(category, word) for category, words in FLAGGED_WORDS.items() for word in sorted(words)],
)
async def test_a_word_flags_its_category_and_no_other(api, category, word):
    answer = await api.post("/moderations", input=f"They said: {word.upper()}!")
    (result,) = answer["results"]
    assert result["flagged"] is True
    assert [each for each, flag in result["categories"].items() if flag] == [category]
    scores = result["category_scores"]
    assert max(scores, key=scores.get) == category


async def test_a_harmless_text_is_not_flagged(api):
    (result,) = (await api.post("/moderations", input="The skillful painter."))["results"]
    assert result["flagged"] is False
    assert set(result["categories"]) == set(result["category_scores"]) == set(FLAGGED_WORDS)
    assert all(score < 0.5 for score in result["category_scores"].values())


async def test_a_response_has_an_id_and_the_model(api):
    answer = await api.post("/moderations", input="hello")
    assert answer["id"].startswith("modr-")
    assert answer["model"] == "omni-moderation-latest"


async def test_each_text_of_a_list_has_a_result(api):
    answer = await api.post("/moderations", input=["hello", "I will kill it", "bye"])
    assert [result["flagged"] for result in answer["results"]] == [False, True, False]


async def test_the_parts_of_a_message_have_one_result(api):
    parts = [
        {"type": "text", "text": "murder"},
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
    ]
    (result,) = (await api.post("/moderations", input=parts))["results"]
    assert result["categories"]["violence"] is True
    assert result["category_applied_input_types"]["violence"] == ["text"]


async def test_text_models_have_fewer_categories(api):
    answer = await api.post("/moderations", model="text-moderation-stable", input="a bomb")
    (result,) = answer["results"]
    assert len(result["categories"]) == 11
    assert "category_applied_input_types" not in result


@pytest.mark.parametrize("model", ["davinci-002", "unknown"])
async def test_only_moderation_models_moderate(api, model):
    status, error = await api.fail("/moderations", model=model, input="hello")
    assert (status, error["code"]) == (404, "model_not_found")
