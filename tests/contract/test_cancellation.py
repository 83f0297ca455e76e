"""Cancelling at any await leaves no task, no socket and no half-written file behind."""

import gc
import random
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest
from tests.contract.accesses import over_sockets
from tests.contract.data import begin_job, json_lines, pairs, send

from tunesmith import AsyncClient

pytestmark = pytest.mark.anyio

CONTENT = random.Random(1).randbytes(200_000)
LINES = json_lines(pairs(40))
NOTES = ".train.jsonl.tunesmith-upload.json"


async def create(client, world):
    await client.completions.create(model="davinci-002", prompt="Kant", max_tokens=5)


async def stream(client, world):
    asked = {"model": "davinci-002", "prompt": "Kant", "max_tokens": 5}
    async with client.completions.stream(**asked) as events:
        await events.final_response()


async def create_file(client, world):
    await client.files.create(file=world.folder / "train.jsonl", purpose="fine-tune")


async def upload_in_parts(client, world):
    await client.files.upload(
        world.folder / "train.jsonl", part_bytes=1000, concurrency=3, reuse=False
    )


async def download(client, world):
    await client.files.content(world.file_id).write_to(world.folder / "content.bin")


async def follow(client, world):
    async for event in client.fine_tuning.jobs.follow(world.job_id, poll_interval=60):
        assert event.message


async def wait(client, world):
    await client.fine_tuning.jobs.wait(world.job_id, poll_interval=60)


async def create_batch(client, world):
    await client.batches.create(
        input_file_id=world.batch_file_id, endpoint="/v1/completions", completion_window="24h"
    )


async def list_pages(client, world):
    async for event in client.fine_tuning.jobs.list_events(world.job_id, limit=1):
        assert event.id


CALLS = [
    create,
    stream,
    create_file,
    upload_in_parts,
    download,
    follow,
    wait,
    create_batch,
    list_pages,
]


class World:
    """What the calls are about."""

    def __init__(self, folder):
        self.folder = folder
        (folder / "train.jsonl").write_bytes(LINES)

    async def prepare(self, client):
        self.file_id = (await client.files.create(file=CONTENT, purpose="user_data")).id
        self.job_id = (await begin_job(client)).id
        line = {
            "custom_id": "row",
            "method": "POST",
            "url": "/v1/completions",
            "body": {"model": "davinci-002", "prompt": "Kant"},
        }
        self.batch_file_id = await send(client, [line], purpose="batch")

    def half_written(self):
        """Files that are neither what was there, nor whole, nor notes of what to go on with."""
        found = []
        for path in self.folder.iterdir():
            whole = {"train.jsonl": LINES, "content.bin": CONTENT}.get(path.name)
            if path.name != NOTES and path.read_bytes() != whole:
                found.append(path.name)
        return found

    def open_files(self):
        """Files of the folder that this process holds open, as far as the system tells."""
        descriptors = Path("/proc/self/fd")
        if not descriptors.is_dir():
            return []
        links = [descriptor.resolve() for descriptor in descriptors.iterdir()]
        return [link.name for link in links if link.parent == self.folder]


async def cancelled_after(checkpoints, call):
    """Run a call and cancel it after so many checkpoints; tells whether it came to its end."""
    finished = False

    async def run():
        nonlocal finished
        await call()
        finished = True

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run)
        for _ in range(checkpoints):
            if finished:
                break
            await anyio.lowlevel.checkpoint()
        tasks.cancel_scope.cancel()
    return finished


def moments(seed):
    """Yield each of the first moments, then ever fewer; later ones differ from test to test."""
    rng = random.Random(seed)
    at = 0
    while True:
        yield at
        at += rng.randint(1, 1 + at // 6)


@pytest.mark.slow
@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.__name__)
async def test_a_call_cancelled_at_any_await_leaves_nothing_behind(
    backend, tmp_path, call, request
):
    server = getattr(backend, "server", None)
    client = AsyncClient(backend=backend)
    world = World(tmp_path)
    await world.prepare(client)
    tasks = len(anyio.get_running_tasks()) - (server.open if server else 0)
    for checkpoints in moments(request.node.name):
        finished = await cancelled_after(checkpoints, lambda: call(client, world))
        assert world.half_written() == []
        assert world.open_files() == []
        if server is not None:
            await server.wait_until_all_answered()
        await anyio.wait_all_tasks_blocked()
        # Each connection that the pool keeps is served by one task.
        connections = server.open if server else 0
        assert len(anyio.get_running_tasks()) <= tasks + connections
        if finished:
            break
    gc.collect()  # a generator that nobody closed would speak up now
    await call(client, world)
    assert (await client.models.retrieve("davinci-002")).id == "davinci-002"


@pytest.mark.parametrize("call", [create, stream, upload_in_parts, download])
async def test_a_cancelled_call_releases_or_closes_its_connection(service, tmp_path, call):
    """A pool of two connections serves on after many calls were cancelled."""
    async with over_sockets(service, max_connections=2) as backend:
        client = AsyncClient(backend=backend)
        world = World(tmp_path)
        await world.prepare(client)
        for checkpoints in range(0, 60, 4):
            await cancelled_after(checkpoints, lambda: call(client, world))
            await backend.server.wait_until_at_most(2)
        with anyio.fail_after(10):
            await call(client, world)
