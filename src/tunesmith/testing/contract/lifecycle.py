"""Tests of typical client calls over the backend."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tunesmith.client import AsyncClient
from tunesmith.errors import NotFoundError
from tunesmith.testing.contract.base import BackendUnderTest, ContractBase, on_each_event_loop

__all__ = ["LifecycleContract"]

_DAY_S = 24 * 3600
_POLL_S = 0.001
"""Backends may not share the service's clock, so the tests advance it and poll at once."""

_LINES = [{"prompt": f"{i} + {i} ->", "completion": f" {2 * i} END"} for i in range(12)]
_CONTENT = b"".join(json.dumps(line).encode() + b"\n" for line in _LINES)


async def _training_file(client: AsyncClient) -> str:
    return (await client.files.create(file=("a.jsonl", _CONTENT), purpose="fine-tune")).id


class LifecycleContract(ContractBase):
    """Tests of typical client calls over the backend."""

    @on_each_event_loop
    async def test_a_fine_tuning_job_creates_a_model(self, target: BackendUnderTest) -> None:
        client = target.client
        job = await client.fine_tuning.jobs.create(
            model="davinci-002", training_file=await _training_file(client), suffix="sums"
        )
        target.service.clock.jump(_DAY_S)
        jobs = client.fine_tuning.jobs
        messages = [event.message async for event in jobs.follow(job, poll_interval=_POLL_S)]
        assert messages[0] == f"Created fine-tuning job: {job.id}"
        assert messages[-1] == "The job has successfully completed"
        job = await jobs.wait(job, poll_interval=_POLL_S)
        assert job.fine_tuned_model is not None
        assert job.fine_tuned_model.startswith("ft:davinci-002:personal:sums:")
        assert [step.train_loss for step in await jobs.results(job)]
        completion = await client.completions.create(model=job.fine_tuned_model, prompt="1 + 1 ->")
        assert completion.choices[0].text
        assert (await client.models.delete(job.fine_tuned_model)).deleted

    @on_each_event_loop
    async def test_a_stream_equals_the_completion(self, target: BackendUnderTest) -> None:
        create = target.client.completions.create
        completion = await create(model="davinci-002", prompt="The sky is", max_tokens=20, seed=3)
        async with target.client.completions.stream(
            model="davinci-002", prompt="The sky is", max_tokens=20, seed=3
        ) as stream:
            final = await stream.final_response()
        assert final.choices[0].text == completion.choices[0].text

    @on_each_event_loop
    async def test_a_chat_completion_is_streamed(self, target: BackendUnderTest) -> None:
        async with target.client.chat.completions.stream(
            model="gpt-4o-mini",
            messages=[{"role": "user", "content": "Was ist Größe?"}],
            max_completion_tokens=10,
        ) as stream:
            final = await stream.final_response()
        assert final.choices[0].message.content

    @on_each_event_loop
    async def test_lists_are_read_page_by_page(self, target: BackendUnderTest) -> None:
        created = [await _training_file(target.client) for _ in range(3)]
        files = [file.id async for file in target.client.files.list(limit=1, order="asc")]
        assert files == created

    @on_each_event_loop
    async def test_a_large_file_is_uploaded_in_parts(self, target: BackendUnderTest) -> None:
        with TemporaryDirectory() as folder:
            path = Path(folder) / "train.jsonl"
            path.write_bytes(_CONTENT)
            file = await target.client.files.upload(path, part_bytes=200, concurrency=2)
            copy = Path(folder) / "content.jsonl"
            await target.client.files.content(file.id).write_to(copy)
            assert copy.read_bytes() == _CONTENT

    @on_each_event_loop
    async def test_a_batch_completes(self, target: BackendUnderTest) -> None:
        client = target.client
        body = {"model": "davinci-002", "prompt": "Kant", "max_tokens": 3}
        line = {"custom_id": "1", "method": "POST", "url": "/v1/completions", "body": body}
        content = json.dumps(line).encode()
        file = await client.files.create(file=("batch.jsonl", content), purpose="batch")
        batch = await client.batches.create(
            input_file_id=file.id, endpoint="/v1/completions", completion_window="24h"
        )
        target.service.clock.jump(_DAY_S)
        batch = await client.batches.retrieve(batch.id)
        assert batch.status == "completed"
        results = await client.files.content(batch.output_file_id or "").text()
        assert json.loads(results)["custom_id"] == "1"

    @on_each_event_loop
    async def test_an_error_has_the_details_of_the_service(self, target: BackendUnderTest) -> None:
        with pytest.raises(NotFoundError, match="No such File object: file-none") as caught:
            await target.client.files.retrieve("file-none")
        error = caught.value
        assert (error.operation, error.status, error.param) == ("files.retrieve", 404, "id")
        assert error.request_id == error.headers["x-request-id"]
