"""A deadline of a method spans all calls that it makes, and its error names the method."""

import json

import pytest
from tests.unit.calls.conftest import Script, answer

from tunesmith import errors
from tunesmith.testing import VirtualClock

pytestmark = pytest.mark.anyio

RESPONSES = {
    "files.create": {"id": "file-1"},
    "files.list": {"data": [{"id": "file-0", "bytes": 4, "purpose": "fine-tune"}]},
    "files.content": {},
    "files.retrieve": {"id": "file-1", "status": "uploaded"},
    "uploads.create": {"id": "upload_1", "status": "pending"},
    "uploads.parts.create": {"id": "part_1"},
    "uploads.complete": {"id": "upload_1", "status": "completed", "file": {"id": "file-1"}},
    "fine_tuning.jobs.retrieve": {"id": "ftjob-1", "status": "running", "result_files": ["f"]},
    "fine_tuning.jobs.list_events": {"data": [], "has_more": False},
    "fine_tunes.retrieve": {"id": "ft-1", "status": "running", "result_files": [{"id": "f"}]},
    "batches.retrieve": {"id": "batch_1", "status": "in_progress"},
}


class Slow(Script):
    """Service that takes 30 seconds for each response."""

    def __init__(self):
        super().__init__()
        self.clock = VirtualClock()

    def send(self, request):
        body = json.dumps(RESPONSES[request.operation]).encode()
        self.steps.append(answer([30.0, body]))
        return super().send(request)


async def follow(client, **options):
    return [event async for event in client.fine_tuning.jobs.follow("ftjob-1", **options)]


WAITING = {
    "files.wait_for_processing": (
        lambda client, **options: client.files.wait_for_processing("file-1", **options),
        "the file to be processed",
    ),
    "fine_tuning.jobs.wait": (
        lambda client, **options: client.fine_tuning.jobs.wait("ftjob-1", **options),
        "the job",
    ),
    "fine_tuning.jobs.follow": (follow, "the job"),
    "batches.wait": (
        lambda client, **options: client.batches.wait("batch_1", **options),
        "the batch",
    ),
}


@pytest.mark.parametrize("name", WAITING)
@pytest.mark.parametrize("where", ["client", "call"])
async def test_waiting_ends_with_an_error_that_says_for_what(name, where):
    call, waited_for = WAITING[name]
    backend = Slow()
    begun = backend.clock.monotonic()
    client = backend.client(deadline=95 if where == "client" else 1000)
    options = {} if where == "client" else {"deadline": 95}
    with pytest.raises(errors.DeadlineExceededError) as caught:
        await call(client, poll_interval=50, **options)
    assert caught.value.operation == name
    assert str(caught.value).startswith(f"{name}: the deadline of 95 s passed while waiting for")
    assert backend.clock.monotonic() - begun <= 95
    with pytest.raises(errors.DeadlineExceededError, match=f"while waiting for {waited_for}$"):
        await call(backend.client(), deadline=100, poll_interval=90)


async def test_the_name_of_the_official_sdk_for_a_deadline():
    backend = Slow()
    files = backend.client(deadline=1000).files
    with pytest.raises(errors.DeadlineExceededError, match="of 50 s"):
        await files.wait_for_processing("file-1", max_wait_seconds=50)
    with pytest.raises(errors.DeadlineExceededError, match="of 40 s"):
        await files.wait_for_processing("file-1", max_wait_seconds=50, deadline=40)


CALLS = {
    "files.upload": [
        lambda client, path: client.files.upload(path, reuse=False, part_bytes=2),
        lambda client, path: client.files.upload(path, part_bytes=4),
    ],
    "fine_tuning.jobs.results": [lambda client, _: client.fine_tuning.jobs.results("ftjob-1")],
    "fine_tunes.results": [lambda client, _: client.fine_tunes.results("ft-1")],
}


@pytest.mark.parametrize(("name", "index"), [(n, i) for n in CALLS for i in range(len(CALLS[n]))])
@pytest.mark.parametrize("seconds", [20, 50])
async def test_a_method_of_several_calls_ends_at_its_deadline(name, index, seconds, tmp_path):
    path = tmp_path / "train.jsonl"
    path.write_bytes(b"{}\n\n")
    backend = Slow()
    begun = backend.clock.monotonic()
    with pytest.raises(errors.DeadlineExceededError) as caught:
        await CALLS[name][index](backend.client(deadline=seconds), path)
    assert caught.value.operation == name
    assert caught.value.deadline == seconds
    assert backend.clock.monotonic() - begun == seconds
