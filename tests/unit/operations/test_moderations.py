"""What can be asked of models that judge, against the API's reference."""

import pytest
from pydantic import ValidationError

from tunesmith.operations.moderations import CreateModeration
from tunesmith.types import CreateModerationResponse

TEXT = {"type": "text", "text": "A"}
IMAGE = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}


def test_it_is_sent_as_the_reference_says():
    spec = CreateModeration.spec
    assert (spec.name, spec.method, spec.path) == ("moderations.create", "POST", "/moderations")
    assert set(spec.body_params) == {"input", "model"}
    assert spec.response_type is CreateModerationResponse


@pytest.mark.parametrize("given", ["A", ["A", "B"], [TEXT, IMAGE]])
def test_the_input_is_text_texts_or_parts(given):
    assert CreateModeration(input=given).input == given


@pytest.mark.parametrize("given", [None, 1, [1], [{"type": "audio"}], [{"text": "A"}]])
def test_an_input_of_another_form_is_refused(given):
    with pytest.raises(ValidationError, match="input"):
        CreateModeration(input=given)
