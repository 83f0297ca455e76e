"""What is borne in moderations."""

import pytest
from pydantic import ValidationError

from tunesmith.types import CreateModerationResponse

RESULT = {
    "flagged": True,
    "categories": {"violence": True, "self-harm/intent": False, "illicit": None},
    "category_scores": {"violence": 0.95, "self-harm/intent": 0.0001, "illicit": None},
    "category_applied_input_types": {"violence": ["text", "image"], "self-harm/intent": []},
}


def test_a_judgement_is_read_by_category():
    body = {"id": "modr-1", "model": "omni-moderation-latest", "results": [RESULT]}
    answer = CreateModerationResponse.model_validate(body)
    assert answer.model_dump() == body
    assert answer.results[0].categories["violence"] is True
    assert answer.results[0].category_scores["self-harm/intent"] == 0.0001


def test_models_for_text_do_not_tell_what_a_category_applies_to():
    result = {k: v for k, v in RESULT.items() if k != "category_applied_input_types"}
    answer = CreateModerationResponse.model_validate({"results": [result]})
    assert answer.results[0].category_applied_input_types is None
    assert (answer.id, answer.model) == ("", None)


@pytest.mark.parametrize("missing", ["flagged", "categories", "category_scores"])
def test_a_judgement_without_a_judgement_is_refused(missing):
    result = {key: value for key, value in RESULT.items() if key != missing}
    with pytest.raises(ValidationError, match=missing):
        CreateModerationResponse.model_validate({"results": [result]})
