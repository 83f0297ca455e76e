"""Batches: a file of requests becomes a file of responses within a day."""

import json

import pytest
from tests.contract.data import send

from tunesmith import errors

pytestmark = pytest.mark.anyio


def line(number, **body):
    return {
        "custom_id": f"row-{number}",
        "method": "POST",
        "url": "/v1/completions",
        "body": {"model": "davinci-002", "prompt": f"Row {number}", "max_tokens": 2, **body},
    }


async def begin(client, lines, **options):
    input_file_id = await send(client, lines, purpose="batch")
    return await client.batches.create(
        input_file_id=input_file_id,
        endpoint="/v1/completions",
        completion_window="24h",
        **options,
    )


async def rows(client, file_id):
    text = await client.files.content(file_id).text()
    return {row["custom_id"]: row for row in map(json.loads, text.splitlines())}


async def test_every_line_of_a_batch_gets_a_response(client, service):
    batch = await begin(client, [line(n) for n in range(25)], metadata={"run": "1"})
    assert batch.status == "validating"
    assert not batch.is_over
    service.clock.jump(10)
    running = await client.batches.retrieve(batch.id)
    assert running.status == "in_progress"
    assert 0 < running.request_counts.completed < 25
    service.clock.jump(100)
    batch = await client.batches.retrieve(batch.id)
    assert batch.status == "completed"
    assert batch.is_over
    assert batch.metadata == {"run": "1"}
    assert (batch.request_counts.completed, batch.request_counts.failed) == (25, 0)
    assert batch.error_file_id is None
    answers = await rows(client, batch.output_file_id)
    assert set(answers) == {f"row-{n}" for n in range(25)}
    assert {answer["response"]["status_code"] for answer in answers.values()} == {200}
    # One of them may be the empty text: a model that was told nothing of its length may stop.
    assert any(answer["response"]["body"]["choices"][0]["text"] for answer in answers.values())


async def test_a_line_gets_the_response_of_a_single_call(client, service):
    batch = await begin(client, [line(1, seed=3, max_tokens=20)])
    service.clock.jump(100)
    batch = await client.batches.retrieve(batch.id)
    answer = (await rows(client, batch.output_file_id))["row-1"]["response"]["body"]
    alone = await client.completions.create(**line(1, seed=3, max_tokens=20)["body"])
    assert answer["choices"][0]["text"] == alone.choices[0].text
    assert batch.usage.total_tokens == alone.usage.total_tokens


async def test_failed_lines_are_in_the_error_file(client, service):
    batch = await begin(client, [line(1), line(2, temperature=17)])
    service.clock.jump(100)
    batch = await client.batches.retrieve(batch.id)
    assert batch.status == "completed"
    assert (batch.request_counts.completed, batch.request_counts.failed) == (1, 1)
    failed = await rows(client, batch.error_file_id)
    assert list(failed) == ["row-2"]
    assert failed["row-2"]["response"]["status_code"] == 400


async def test_an_invalid_input_file_fails_the_batch(client, service):
    batch = await begin(client, [line(1), line(1)])
    service.clock.jump(100)
    batch = await client.batches.retrieve(batch.id)
    assert batch.status == "failed"
    assert batch.errors.data[0].line == 2
    assert batch.output_file_id is None


async def test_a_cancelled_batch_keeps_its_finished_lines(client, service):
    batch = await begin(client, [line(n) for n in range(40)])
    service.clock.jump(20)
    assert (await client.batches.cancel(batch.id)).status == "cancelling"
    service.clock.jump(600)
    batch = await client.batches.retrieve(batch.id)
    assert batch.status == "cancelled"
    done = await rows(client, batch.output_file_id)
    undone = await rows(client, batch.error_file_id)
    assert len(done) == batch.request_counts.completed > 0
    assert len(done) + len(undone) == 40
    assert {row["error"]["code"] for row in undone.values()} == {"batch_cancelled"}
    with pytest.raises(errors.ConflictError):
        await client.with_options(max_retries=0).batches.cancel(batch.id)


async def test_batches_are_listed_newest_first_over_all_pages(client):
    made = [(await begin(client, [line(1)])).id for _ in range(5)]
    listed = [batch.id async for batch in client.batches.list(limit=2)]
    assert listed == made[::-1]


async def test_a_file_with_another_purpose_is_rejected(client):
    file_id = await send(client, [line(1)], purpose="fine-tune")
    with pytest.raises(errors.BadRequestError, match="purpose"):
        await client.batches.create(
            input_file_id=file_id, endpoint="/v1/completions", completion_window="24h"
        )
    with pytest.raises(errors.NotFoundError):
        await client.batches.retrieve("batch_none")
