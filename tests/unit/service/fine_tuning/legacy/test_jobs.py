"""The legacy API: fine-tunes with their events, as a page and as a stream."""

import csv
from dataclasses import replace

import anyio
import pytest

from tunesmith.operations.files import DownloadFile
from tunesmith.operations.fine_tunes import (
    CancelFineTune,
    CreateFineTune,
    ListFineTuneEvents,
    ListFineTunes,
    RetrieveFineTune,
)
from tunesmith.operations.models import DeleteModel, RetrieveModel
from tunesmith.service.core.errors import ServiceError
from tunesmith.service.fine_tuning.timeline import FINE_TUNE_TIMELINE
from tunesmith.service.service import Service

pytestmark = pytest.mark.anyio


@pytest.fixture
async def fine_tune(service, upload, pairs):
    return await service.execute(CreateFineTune(training_file=await upload(pairs), model="ada"))


async def _after(service, fine_tune, seconds):
    service.clock.jump(seconds)
    return await service.execute(RetrieveFineTune(fine_tune.id))


async def test_a_new_fine_tune_is_what_the_service_sends(fine_tune):
    sent = fine_tune.model_dump(exclude_unset=True)
    (file,) = sent.pop("training_files")
    assert (file["object"], file["purpose"]) == ("file", "fine-tune")
    assert sent == {
        "id": fine_tune.id,
        "object": "fine-tune",
        "status": "pending",
        "model": "ada",
        "created_at": 1_700_000_000,
        "updated_at": 1_700_000_000,
        "fine_tuned_model": None,
        "organization_id": "org-tunesmith",
        "hyperparams": {
            "n_epochs": 4,
            "batch_size": None,
            "learning_rate_multiplier": None,
            "prompt_loss_weight": 0.01,
        },
        "validation_files": [],
        "result_files": [],
        "events": [
            {
                "object": "fine-tune-event",
                "created_at": 1_700_000_000,
                "level": "info",
                "message": f"Created fine-tune: {fine_tune.id}",
            }
        ],
    }
    assert len(fine_tune.id) == len("ft-") + 24


async def test_the_default_model_is_curie(service, upload, pairs):
    fine_tune = await service.execute(CreateFineTune(training_file=await upload(pairs)))
    assert fine_tune.model == "curie"


async def test_events_are_embedded_oldest_first(service, fine_tune):
    done = await _after(service, fine_tune, 3600)
    assert [event.message for event in done.events] == [
        f"Created fine-tune: {fine_tune.id}",
        "Fine-tune costs $0.00",
        "Fine-tune enqueued. Queue number: 0",
        "Fine-tune started",
        "Completed epoch 1/4",
        "Completed epoch 2/4",
        "Completed epoch 3/4",
        "Completed epoch 4/4",
        f"Uploaded model: {done.fine_tuned_model}",
        f"Uploaded result file: {done.result_files[0].id}",
        "Fine-tune succeeded",
    ]
    page = await service.execute(ListFineTuneEvents(fine_tune.id))
    assert page.data == done.events
    assert page.model_dump(exclude_unset=True).keys() == {"object", "data"}


async def test_the_queue_gets_shorter(upload, pairs):
    service = Service(fine_tune_timeline=replace(FINE_TUNE_TIMELINE, queue_length=2))
    fine_tune = await service.execute(CreateFineTune(training_file=await upload(pairs, to=service)))
    done = await _after(service, fine_tune, 3600)
    assert [event.message for event in done.events[2:6]] == [
        "Fine-tune enqueued. Queue number: 2",
        "Fine-tune is in the queue. Queue number: 1",
        "Fine-tune is in the queue. Queue number: 0",
        "Fine-tune started",
    ]


async def test_numbers_appear_when_it_runs(service, fine_tune):
    before = await _after(service, fine_tune, 60)
    assert before.hyperparams.batch_size is None
    running = await _after(service, fine_tune, 30)
    assert running.status == "running"
    assert running.hyperparams.batch_size >= 1
    assert running.updated_at > running.created_at


async def test_the_stream_follows_until_the_end(service, fine_tune):
    told = [
        (event.message, service.clock.time(), event.created_at)
        async for event in service.stream(ListFineTuneEvents(fine_tune.id))
    ]
    done = await service.execute(RetrieveFineTune(fine_tune.id))
    assert [message for message, *_ in told] == [event.message for event in done.events]
    assert all(heard == said for _, heard, said in told), "each came when it happened"


async def test_the_stream_ends_when_the_fine_tune_is_cancelled(service, fine_tune):
    told = []

    async def follow():
        told.extend([e.message async for e in service.stream(ListFineTuneEvents(fine_tune.id))])

    async with anyio.create_task_group() as group:
        group.start_soon(follow)
        await service.clock.sleep(85)
        await service.execute(CancelFineTune(fine_tune.id))
    assert told[-1] == "Fine-tune cancelled"


async def test_a_stream_of_an_unknown_fine_tune_is_a_404_before_anything_comes(service):
    with pytest.raises(ServiceError, match="Could not find fine tune: ft-x"):
        await anext(service.stream(ListFineTuneEvents("ft-x")))


async def test_a_cancelled_fine_tune_stays_so(service, fine_tune):
    cancelled = await service.execute(CancelFineTune(fine_tune.id))
    assert cancelled.status == "cancelled"
    assert cancelled.events[-1].message == "Fine-tune cancelled"
    assert await _after(service, fine_tune, 3600) == cancelled
    with pytest.raises(ServiceError, match="is cancelled"):
        await service.execute(CancelFineTune(fine_tune.id))


async def test_the_model_is_named_after_its_time_and_can_be_deleted(service, fine_tune):
    done = await _after(service, fine_tune, 3600)
    assert done.fine_tuned_model.startswith("ada:ft-personal-2023-11-14-22-")
    assert await service.execute(RetrieveModel(done.fine_tuned_model))
    deleted = await service.execute(DeleteModel(done.fine_tuned_model))
    assert deleted.deleted
    with pytest.raises(ServiceError, match="does not exist"):
        await service.models.open(done.fine_tuned_model)


@pytest.mark.slow
async def test_the_suffix_is_part_of_the_name(service, upload, pairs):
    fine_tune = await service.execute(
        CreateFineTune(training_file=await upload(pairs), model="ada", suffix="My Sums!")
    )
    done = await _after(service, fine_tune, 3600)
    assert done.fine_tuned_model.startswith("ada:ft-personal:my-sums-2023-11-14-")


async def test_two_models_of_one_second_have_two_names(service, upload, pairs):
    file = await upload(pairs)
    both = [
        await service.execute(CreateFineTune(training_file=file, model="ada")) for _ in range(2)
    ]
    names = {(await _after(service, one, 3600)).fine_tuned_model for one in both}
    assert len(names) == 2


async def test_results_are_plain_csv_with_validation_columns_when_there_is_a_file(
    service, upload, pairs
):
    fine_tune = await service.execute(
        CreateFineTune(
            training_file=await upload(pairs),
            validation_file=await upload(pairs[:3]),
            model="ada",
            n_epochs=2,
            batch_size=4,
        )
    )
    done = await _after(service, fine_tune, 3600)
    (file,) = done.result_files
    assert (file.filename, file.purpose) == ("compiled_results.csv", "fine-tune-results")
    content = await service.execute(DownloadFile(file.id))
    rows = list(csv.DictReader(content.decode().splitlines()))
    assert list(rows[0]) == [
        "step",
        "elapsed_tokens",
        "elapsed_examples",
        "training_loss",
        "training_sequence_accuracy",
        "training_token_accuracy",
        "validation_loss",
        "validation_sequence_accuracy",
        "validation_token_accuracy",
    ]
    assert [row["step"] for row in rows] == [str(step) for step in range(1, 7)]
    assert rows[-1]["elapsed_examples"] == "24"
    assert float(rows[-1]["training_loss"]) < float(rows[0]["training_loss"])


async def test_the_list_is_oldest_first_and_without_events(service, upload, pairs):
    file = await upload(pairs)
    ids = [(await service.execute(CreateFineTune(training_file=file))).id for _ in range(3)]
    page = await service.execute(ListFineTunes())
    assert [fine_tune.id for fine_tune in page.data] == ids
    assert all("events" not in item.model_dump(exclude_unset=True) for item in page.data)


async def test_chat_data_lets_it_fail(service, upload, chats):
    fine_tune = await service.execute(CreateFineTune(training_file=await upload(chats)))
    done = await _after(service, fine_tune, 3600)
    assert done.status == "failed"
    assert done.events[-1].level == "error"
    assert "is in the chat format" in done.events[-1].message


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": "gpt-4o-mini"}, "is not available for fine-tuning"),
        ({"training_file": "file-x"}, "File 'file-x' does not exist"),
        ({"compute_classification_metrics": True}, "need a validation file"),
    ],
)
async def test_some_mistakes_are_refused_at_once(service, upload, pairs, change, message):
    with pytest.raises(ServiceError, match=message):
        await service.execute(CreateFineTune(**{"training_file": await upload(pairs), **change}))
