"""Lists: a page when awaited, all pages when iterated, always finite."""

import itertools

import pytest
from tests.contract.data import begin_job
from tests.contract.wrappers import Wrapper

from tunesmith import AsyncClient, errors
from tunesmith.testing import Faults

pytestmark = pytest.mark.anyio


@pytest.fixture
async def made(backend):
    """Seven files, in the order in which they were made."""
    client = AsyncClient(backend=backend)
    return [
        (await client.files.create(file=(f"{n}.txt", b"Kant"), purpose="user_data")).id
        for n in range(7)
    ]


async def test_a_page_has_the_requested_length_and_has_more(client, made):
    page = await client.files.list(limit=3, order="asc")
    assert [file.id for file in page.data] == made[:3]
    assert page.has_more
    assert page.response.status == 200
    rest = await client.files.list(limit=10, order="asc", after=made[2])
    assert [file.id for file in rest.data] == made[3:]
    assert not rest.has_more


@pytest.mark.parametrize("limit", [1, 3, 7, 100, None])
async def test_iteration_covers_all_pages(backend, made, limit):
    looking_on = Wrapper(backend)
    client = AsyncClient(backend=looking_on)
    assert [file.id async for file in client.files.list(limit=limit, order="asc")] == made
    assert len(looking_on.asked) == (-(-7 // limit) if limit else 1)


async def test_iteration_over_a_page_continues_with_the_next_ones(client, made):
    page = await client.files.list(limit=2)
    assert [file.id async for file in page] == made[::-1]
    assert [file.id async for file in page] == made[::-1]


async def test_pages_can_be_requested_one_by_one(client, made):
    page = await client.files.list(limit=3)
    sizes = [len(page.data)]
    while page := await page.next_page():
        sizes.append(len(page.data))
    assert sizes == [3, 3, 1]


async def test_an_iteration_left_early_requests_no_more_pages(backend, made):
    looking_on = Wrapper(backend)
    async for file in AsyncClient(backend=looking_on).files.list(limit=2):
        assert file.id == made[-1]
        break
    assert looking_on.asked == ["files.list"]


async def test_a_page_that_fails_transiently_is_retried(backend, made):
    faults = Faults(backend)
    faults.on("files.list", nth=2).drop_response()
    faults.on("files.list", nth=3).refuse_connection()
    client = AsyncClient(backend=faults)
    assert [file.id async for file in client.files.list(limit=3)] == made[::-1]


async def test_a_repeated_page_is_an_error_instead_of_a_loop(backend, made):
    def endless(page):
        return {**page, "data": [{"id": made[0], "object": "file"}], "has_more": True}

    faults = Faults(backend)
    faults.on("files.list", nth=None).edit(endless)
    client = AsyncClient(backend=faults)
    with pytest.raises(errors.PaginationError, match=made[0]) as caught:
        [file async for file in client.files.list()]
    assert caught.value.operation == "files.list"


async def test_a_cycle_of_pages_is_an_error(backend, made):
    around = itertools.cycle(made[:3])

    def endless(page):
        return {**page, "data": [{"id": next(around), "object": "file"}], "has_more": True}

    faults = Faults(backend)
    faults.on("files.list", nth=None).edit(endless)
    client = AsyncClient(backend=faults)
    with pytest.raises(errors.PaginationError, match=made[0]):
        [file async for file in client.files.list()]


async def test_the_next_page_can_be_requested_twice(client, made):
    page = await client.files.list(limit=2)
    pages = [await page.next_page() for _ in range(2)]
    assert [[file.id for file in page.data] for page in pages] == [made[::-1][2:4]] * 2


async def test_an_empty_list_ends_at_once(client):
    assert [file async for file in client.files.list()] == []
    assert [job async for job in client.fine_tuning.jobs.list()] == []


async def test_events_and_jobs_have_pages_too(client):
    jobs = [(await begin_job(client)).id for _ in range(3)]
    assert [job.id async for job in client.fine_tuning.jobs.list(limit=1)] == jobs[::-1]
    events = client.fine_tuning.jobs.list_events
    one_by_one = [event async for event in events(jobs[0], limit=1)]
    assert one_by_one == (await events(jobs[0])).data
    assert len(one_by_one) == 2
