"""Jobs to log, on the service in memory."""

from itertools import islice
from pathlib import Path

import pytest

from tunesmith import AsyncClient, MemoryBackend

KANT = Path(__file__).parents[3] / "examples" / "data" / "kant.jsonl"


@pytest.fixture
async def client(anyio_backend):
    async with AsyncClient(backend=MemoryBackend(seed=1)) as client:
        yield client


@pytest.fixture
def data(tmp_path):
    """Training and validation data: 20 and 10 examples."""
    with KANT.open() as lines:
        for name, count in (("train.jsonl", 20), ("valid.jsonl", 10)):
            (tmp_path / name).write_text("".join(islice(lines, count)))
    return tmp_path


@pytest.fixture
async def job(client, data):
    """A job that was just created."""
    files = [await client.files.upload(data / name) for name in ("train.jsonl", "valid.jsonl")]
    return await client.fine_tuning.jobs.create(
        model="babbage-002", training_file=files[0].id, validation_file=files[1].id, seed=1
    )
