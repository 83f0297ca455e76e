"""Embeddings, models and moderations."""

import math

import pytest
from tests.contract.data import finish_job

from tunesmith import errors

pytestmark = pytest.mark.anyio

EMBEDDER = "text-embedding-3-small"


async def embed(client, *texts, **options):
    answer = await client.embeddings.create(model=EMBEDDER, input=list(texts), **options)
    return [item.embedding for item in answer.data]


def likeness(one, other):
    return sum(a * b for a, b in zip(one, other, strict=True)) / (
        math.hypot(*one) * math.hypot(*other)
    )


async def test_similar_texts_have_similar_embeddings(client):
    cat, cats, law = await embed(
        client, "the cat sat on the mat", "a cat sat on a mat", "the moral law commands us"
    )
    assert len(cat) == len(law)
    assert likeness(cat, cats) > likeness(cat, law)


async def test_embeddings_are_the_same_as_numbers_and_in_base64(client):
    (numbers,) = await embed(client, "duty", dimensions=64, encoding_format="float")
    (packed,) = await embed(client, "duty", dimensions=64, encoding_format="base64")
    assert len(numbers) == 64
    assert packed == pytest.approx(numbers, abs=1e-6)


async def test_models_are_listed_and_retrieved(client):
    names = [model.id async for model in client.models.list()]
    assert {"davinci-002", "gpt-4o-mini", EMBEDDER} <= set(names)
    assert (await client.models.retrieve("davinci-002")).object == "model"


async def test_a_fine_tuned_model_can_be_deleted(client):
    name = (await finish_job(client)).fine_tuned_model
    assert name in [model.id async for model in client.models.list()]
    deleted = await client.models.delete(name)
    assert (deleted.id, deleted.deleted) == (name, True)
    assert name not in [model.id async for model in client.models.list()]
    for gone in (
        client.models.retrieve(name),
        client.models.delete(name),
        client.completions.create(model=name, prompt="Kant"),
    ):
        with pytest.raises(errors.NotFoundError) as caught:
            await gone
        assert caught.value.code == "model_not_found"


async def test_a_base_model_cannot_be_deleted(client):
    with pytest.raises(errors.PermissionDeniedError, match="base model"):
        await client.models.delete("davinci-002")
    assert (await client.models.retrieve("davinci-002")).id == "davinci-002"


async def test_a_moderation_has_a_result_for_each_text(client):
    judged = await client.moderations.create(input=["I will kill you.", "Good morning."])
    assert [result.flagged for result in judged.results] == [True, False]
    assert judged.id.startswith("modr-")
