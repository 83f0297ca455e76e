"""What can be asked of models that turn texts into vectors, against the API's reference."""

import pytest
from pydantic import ValidationError

from tunesmith.operations.embeddings import CreateEmbedding
from tunesmith.types import CreateEmbeddingResponse


def ask(input="Space", **parameters):
    return CreateEmbedding(model="text-embedding-3-small", input=input, **parameters)


def test_it_is_sent_as_the_reference_says():
    spec = CreateEmbedding.spec
    assert (spec.name, spec.method, spec.path) == ("embeddings.create", "POST", "/embeddings")
    assert set(spec.body_params) == {"input", "model", "encoding_format", "dimensions", "user"}
    assert spec.response_type is CreateEmbeddingResponse


@pytest.mark.parametrize("given", ["Space", ["Space", "Time"], [1, 2], [[1], [2, 3]]])
def test_the_input_has_one_of_four_forms(given):
    assert ask(given).input == given


@pytest.mark.parametrize("given", [[], [[]], ["a"] * 2049, [1] * 2049, None, {"a": 1}])
def test_an_input_of_another_form_or_size_is_refused(given):
    with pytest.raises(ValidationError, match="input"):
        ask(given)


def test_the_other_parameters_are_taken_within_their_limits():
    asked = ask(dimensions=1, encoding_format="base64", user="u")
    assert (asked.dimensions, asked.encoding_format, asked.user) == (1, "base64", "u")


@pytest.mark.parametrize("parameters", [{"dimensions": 0}, {"encoding_format": "hex"}])
def test_a_wrong_parameter_is_refused_by_name(parameters):
    with pytest.raises(ValidationError) as refused:
        ask(**parameters)
    assert refused.value.errors()[0]["loc"] == tuple(parameters)
