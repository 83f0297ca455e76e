"""Services are independent, and reproducible by seed."""

import pytest
from tests.contract.data import finish_job, json_lines, pairs

from tunesmith import AsyncClient
from tunesmith.service.service import Service

pytestmark = pytest.mark.anyio


async def test_two_services_are_independent(access):
    async with access(Service(seed=1)) as one, access(Service(seed=2)) as other:
        first, second = AsyncClient(backend=one), AsyncClient(backend=other)
        job = await finish_job(first)
        assert [file.id async for file in second.files.list()] == []
        assert [job.id async for job in second.fine_tuning.jobs.list()] == []
        names = [model.id async for model in second.models.list()]
        assert job.fine_tuned_model not in names
        assert (await finish_job(second)).id != job.id


async def test_each_service_has_its_own_time(access):
    one, other = Service(), Service()
    async with access(one) as backend, access(other) as another:
        await finish_job(AsyncClient(backend=backend))
        await AsyncClient(backend=another).models.list()
    assert one.clock.monotonic() > 100
    assert other.clock.monotonic() == 0


async def test_services_with_the_same_seed_respond_alike(access):
    worlds = []
    for _ in range(2):
        async with access(Service(seed=5)) as backend:
            client = AsyncClient(backend=backend)
            job = await finish_job(client, seed=7, suffix="sums")
            results = await client.files.content(job.result_files[0]).read()
            completion = await client.completions.create(
                model=job.fine_tuned_model, prompt=pairs()[0]["prompt"], seed=1, temperature=1
            )
            events = (await client.fine_tuning.jobs.list_events(job.id)).data
            worlds.append((job, results, completion, events))
    assert worlds[0] == worlds[1]


async def test_two_clients_of_one_service_share_its_state(backend):
    one, other = AsyncClient(backend=backend), AsyncClient(backend=backend)
    file = await one.files.create(file=json_lines(pairs()), purpose="fine-tune")
    assert await other.files.retrieve(file.id) == file


async def test_a_client_with_other_options_shares_the_connections(client):
    hurried = client.with_options(timeout=5, deadline=5, max_retries=0)
    assert hurried.backend is client.backend
    await hurried.aclose()
    assert (await client.models.retrieve("davinci-002")).id == "davinci-002"
