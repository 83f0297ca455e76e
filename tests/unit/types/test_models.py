"""Models, as services answer them."""

from datetime import UTC, datetime

import pytest

from tunesmith.types import ErrorObject, Model, ModelDeleted


def test_a_models_time_is_also_an_aware_datetime():
    model = Model.model_validate(
        {"id": "davinci-002", "object": "model", "created": 1686935002, "owned_by": "openai"}
    )
    assert model.created_datetime == datetime(2023, 6, 16, 17, 3, 22, tzinfo=UTC)


def test_some_servers_do_not_say_when_a_model_was_made():
    model = Model.model_validate({"id": "smollm2-135m", "owned_by": "me", "permissions": []})
    assert model.created_datetime is None


def test_a_deleted_model():
    answer = {"id": "ft:davinci-002:acme::1", "object": "model", "deleted": True}
    assert ModelDeleted.model_validate(answer).id == "ft:davinci-002:acme::1"


@pytest.mark.parametrize("code", [None, "model_not_found", 404])
def test_an_errors_code_may_be_text_a_number_or_null(code):
    error = ErrorObject.model_validate({"message": "…", "type": None, "code": code})
    assert (error.code, error.param) == (code, None)
