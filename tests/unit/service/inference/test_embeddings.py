"""Embeddings are vectors of length 1 in the format of the API."""

import base64
import math
import struct

import pytest

from tunesmith.service.engines.ngram.tokenizer import standard_tokenizer

pytestmark = pytest.mark.anyio


@pytest.fixture
def embed(api):
    """Embed by text-embedding-3-small."""

    async def send(input, **parameters):
        return await api.post(
            "/embeddings", **{"model": "text-embedding-3-small", "input": input, **parameters}
        )

    return send


async def test_an_answer_has_the_format_of_the_api(embed, service):
    answer = await embed(["Duty is reason.", "Water"])
    assert answer["object"] == "list"
    assert answer["model"] == "text-embedding-3-small"
    assert [(each["object"], each["index"]) for each in answer["data"]] == [
        ("embedding", 0),
        ("embedding", 1),
    ]
    tokens = sum(len(standard_tokenizer().encode(text)) for text in ("Duty is reason.", "Water"))
    assert answer["usage"] == {"prompt_tokens": tokens, "total_tokens": tokens}


@pytest.mark.parametrize(
    ("model", "dimensions"),
    [
        ("text-embedding-ada-002", 1536),
        ("text-embedding-3-small", 1536),
        ("text-embedding-3-large", 3072),
    ],
)
async def test_each_model_has_its_dimensions(embed, model, dimensions):
    vector = (await embed("Duty", model=model))["data"][0]["embedding"]
    assert len(vector) == dimensions
    assert math.hypot(*vector) == pytest.approx(1, abs=1e-6)


async def test_fewer_dimensions_can_be_requested(embed):
    vector = (await embed("Duty", dimensions=64))["data"][0]["embedding"]
    assert len(vector) == 64
    assert math.hypot(*vector) == pytest.approx(1, abs=1e-6)


async def test_base64_holds_the_same_numbers_as_32_bit_floats(embed):
    numbers = (await embed("Duty", dimensions=8))["data"][0]["embedding"]
    text = (await embed("Duty", dimensions=8, encoding_format="base64"))["data"][0]["embedding"]
    assert struct.unpack("<8f", base64.b64decode(text)) == pytest.approx(numbers, abs=1e-6)


async def test_token_ids_are_an_input_like_their_text(embed, service):
    ids = standard_tokenizer().encode("Duty is reason.")
    by_text = await embed("Duty is reason.")
    assert (await embed(ids))["data"] == by_text["data"]
    assert [each["embedding"] for each in (await embed([ids, ids]))["data"]] == [
        by_text["data"][0]["embedding"]
    ] * 2


async def test_similar_texts_are_nearer(embed):
    texts = ["A cat sleeps on the sofa", "A cat sleeps on the chair", "Taxes rose by nine percent"]
    one, like, other = [each["embedding"] for each in (await embed(texts))["data"]]
    assert math.dist(one, like) < math.dist(one, other)


@pytest.mark.parametrize("input", ["", [], ["Duty", ""], [[]]])
async def test_an_empty_input_is_refused(api, input):
    status, error = await api.fail("/embeddings", model="text-embedding-3-small", input=input)
    assert (status, error["type"]) == (400, "invalid_request_error")


async def test_an_input_that_is_too_long_is_refused(api):
    status, error = await api.fail(
        "/embeddings", model="text-embedding-3-small", input="word " * 9000
    )
    assert status == 400
    assert "maximum context length is 8192 tokens" in error["message"]


async def test_more_dimensions_than_the_model_has_are_refused(api):
    status, error = await api.fail(
        "/embeddings", model="text-embedding-3-small", input="x", dimensions=1537
    )
    assert (status, error["param"]) == (400, "dimensions")


async def test_the_dimensions_of_ada_are_fixed(api):
    status, error = await api.fail(
        "/embeddings", model="text-embedding-ada-002", input="x", dimensions=64
    )
    assert status == 400
    assert error["message"] == "This model does not support specifying dimensions."


async def test_a_chat_model_does_not_embed(api):
    status, error = await api.fail("/embeddings", model="gpt-4o-mini", input="x")
    assert status == 403
    assert error["message"] == "You are not allowed to generate embeddings from this model"


async def test_an_unknown_model_is_404(api):
    status, error = await api.fail("/embeddings", model="unknown", input="x")
    assert (status, error["code"]) == (404, "model_not_found")
