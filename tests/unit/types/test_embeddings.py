"""What is borne in embeddings."""

import base64
import struct

import pytest
from hypothesis import given, strategies as st
from pydantic import ValidationError

from tunesmith.types import CreateEmbeddingResponse, Embedding

numbers = st.floats(width=32, allow_nan=False)


def as_base64(vector):
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


@given(st.lists(numbers))
def test_base64_is_the_same_vector(vector):
    assert Embedding(embedding=as_base64(vector)) == Embedding(embedding=vector)


def test_a_vector_is_written_as_numbers_however_it_came():
    assert Embedding(embedding="AACAPwAAAMA=").model_dump()["embedding"] == [1.0, -2.0]


def test_there_may_be_a_vector_for_each_token():
    assert Embedding(embedding=[[1, 2], [3, 4]]).embedding == [[1.0, 2.0], [3.0, 4.0]]


@pytest.mark.parametrize("text", ["AAA=", "no base64", "AACAP"])
def test_a_text_that_is_no_vector_is_refused(text):
    with pytest.raises(ValidationError, match=r"must be base64 of 32-bit floats"):
        Embedding(embedding=text)


def test_usage_model_and_index_may_be_missing():
    answer = CreateEmbeddingResponse.model_validate({"data": [{"embedding": [0]}], "usage": None})
    assert (answer.data[0].index, answer.model, answer.usage) == (0, None, None)


def test_the_vectors_are_needed():
    with pytest.raises(ValidationError, match="data"):
        CreateEmbeddingResponse.model_validate({"object": "list"})
    with pytest.raises(ValidationError, match="embedding"):
        CreateEmbeddingResponse.model_validate({"data": [{"index": 0}]})
