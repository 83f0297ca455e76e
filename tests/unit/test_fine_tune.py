"""Fine-tuning in one call, resumed by a handle."""

import pytest

from tunesmith import AsyncClient, ConfigurationError, FineTuneHandle, MemoryBackend, fine_tune

pytestmark = pytest.mark.anyio

ROWS = "prompt,completion\n" + "".join(f"Question {n} ->, Answer {n} END\n" for n in range(20))


@pytest.fixture
async def client():
    async with AsyncClient(backend=MemoryBackend()) as client:
        yield client


@pytest.fixture
def data(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text(ROWS)
    return path


async def test_a_finished_run_is_not_repeated(client, data, tmp_path):
    for _ in range(2):
        handle = FineTuneHandle.load(tmp_path / "run.json")
        job = await fine_tune(client, data, model="babbage-002", seed=1, handle=handle)
        assert job.status == "succeeded"
    assert [listed.id async for listed in client.fine_tuning.jobs.list()] == [job.id]


async def test_a_finished_run_needs_its_data_no_more(client, data, tmp_path):
    for _ in range(2):
        handle = FineTuneHandle.load(tmp_path / "run.json")
        job = await fine_tune(client, data, model="babbage-002", handle=handle)
        data.unlink(missing_ok=True)
    assert job.status == "succeeded"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("model", {"model": "davinci-002"}),
        ("seed", {"seed": 2}),
        ("suffix", {"suffix": "kant"}),
        ("split", {"split": 0.5}),
        ("method", {"method": {"type": "supervised"}}),
        ("metadata", {"metadata": {"team": "a"}}),
    ],
)
async def test_a_handle_refuses_other_settings(client, data, name, changed):
    handle = FineTuneHandle()
    options = {"model": "babbage-002", "seed": 1}
    await fine_tune(client, data, handle=handle, **options)
    with pytest.raises(ConfigurationError, match=f"another value of '{name}'"):
        await fine_tune(client, data, handle=handle, **options | changed)


async def test_a_handle_refuses_other_data(client, data):
    handle = FineTuneHandle()
    await fine_tune(client, data, model="babbage-002", handle=handle)
    data.write_text(ROWS.replace("Answer", "Reply"))
    with pytest.raises(ConfigurationError, match="another value of 'data'"):
        await fine_tune(client, data, model="babbage-002", handle=handle)
