"""Fine-tunes of the legacy API."""

import anyio
import pytest
from tests.contract.data import pairs, send

from tunesmith import errors

pytestmark = pytest.mark.anyio


async def begin(client, lines=None, **options):
    training_file = await send(client, lines or pairs())
    return await client.fine_tunes.create(training_file=training_file, model="ada", **options)


async def streamed(client, fine_tune):
    async with client.fine_tunes.stream_events(fine_tune.id) as stream:
        return [event async for event in stream]


async def test_a_new_fine_tune_is_pending_and_lists_its_files_and_events(client):
    fine_tune = await begin(client)
    assert fine_tune.id.startswith("ft-")
    assert fine_tune.status == "pending"
    assert fine_tune.hyperparams.n_epochs == 4
    assert [file.purpose for file in fine_tune.training_files] == ["fine-tune"]
    assert fine_tune.events[0].message == f"Created fine-tune: {fine_tune.id}"


async def test_events_are_streamed_until_the_fine_tune_ends(client):
    fine_tune = await begin(client, n_epochs=2)
    events = await streamed(client, fine_tune)
    messages = [event.message for event in events]
    assert messages[0] == f"Created fine-tune: {fine_tune.id}"
    assert [m for m in messages if m.startswith("Completed")] == [
        "Completed epoch 1/2",
        "Completed epoch 2/2",
    ]
    assert messages[-1] == "Fine-tune succeeded"
    listed = await client.fine_tunes.list_events(fine_tune.id)
    assert [event.message for event in listed.data] == messages


async def test_the_fine_tuned_model_is_usable_and_its_results_are_readable(client):
    fine_tune = await begin(client, n_epochs=1, suffix="sums")
    await streamed(client, fine_tune)
    fine_tune = await client.fine_tunes.retrieve(fine_tune.id)
    assert fine_tune.status == "succeeded"
    assert fine_tune.is_over
    assert fine_tune.fine_tuned_model.startswith("ada:ft-personal:sums-")
    completion = await client.completions.create(
        model=fine_tune.fine_tuned_model, prompt=pairs()[0]["prompt"]
    )
    assert completion.model == fine_tune.fine_tuned_model
    results = await client.fine_tunes.results(fine_tune)
    assert [step.step for step in results] == list(range(1, len(results) + 1))
    assert all(step.train_loss > 0 for step in results)


async def test_listed_fine_tunes_have_no_events(client):
    fine_tunes = [await begin(client), await begin(client)]
    listed = await client.fine_tunes.list()
    assert [item.id for item in listed.data] == [item.id for item in fine_tunes]
    assert [item.events for item in listed.data] == [None, None]


async def test_cancelling_ends_the_stream_of_events(client):
    fine_tune = await begin(client)
    messages = []
    with anyio.fail_after(30):
        async with client.fine_tunes.stream_events(fine_tune.id) as stream:
            async for event in stream:
                messages.append(event.message)
                if event.message == "Fine-tune started":
                    cancelled = await client.fine_tunes.cancel(fine_tune.id)
    assert cancelled.status == "cancelled"
    assert messages[-1] == "Fine-tune cancelled"
    with pytest.raises(errors.JobError, match="cancelled"):
        await client.fine_tunes.results(fine_tune.id)


async def test_a_stream_of_events_can_be_left_early(client):
    fine_tune = await begin(client)
    async with client.fine_tunes.stream_events(fine_tune.id) as stream:
        assert (await anext(stream)).message == f"Created fine-tune: {fine_tune.id}"
    assert not (await client.fine_tunes.retrieve(fine_tune.id)).is_over


async def test_an_invalid_file_fails_the_fine_tune(client):
    fine_tune = await begin(client, [{"question": "?", "answer": "!"}] * 12)
    events = await streamed(client, fine_tune)
    assert events[-1].level == "error"
    assert (await client.fine_tunes.retrieve(fine_tune.id)).status == "failed"


async def test_every_operation_on_an_unknown_fine_tune_is_an_error(client):
    for asked in (client.fine_tunes.retrieve, client.fine_tunes.cancel, client.fine_tunes.results):
        with pytest.raises(errors.NotFoundError) as caught:
            await asked("ft-none")
        assert caught.value.code == "fine_tune_not_found"
    with pytest.raises(errors.NotFoundError):
        async with client.fine_tunes.stream_events("ft-none"):
            pytest.fail("there is nothing to stream")
