"""While the service is out of reach a job waits, and gives up no row for it."""

import pytest
from tests.unit.batch.services import Service

from tunesmith import AsyncClient, errors
from tunesmith.batch import BatchJob

pytestmark = pytest.mark.anyio

PROMPTS = [f"p{i}" for i in range(40)]


async def run(service, output, **options):
    options = {"model": "m", "concurrency": 4, "max_retries": 2} | options
    async with BatchJob(PROMPTS, output, client=AsyncClient(backend=service), **options) as job:
        return await job.run()


def gone(since_s, until_s, phase="connect"):
    def refuse(number, now):
        if since_s <= now < until_s:
            return errors.BackendError("nobody is there", phase=phase)
        return None

    return refuse


@pytest.fixture
def output(tmp_path):
    return tmp_path / "answers.jsonl"


@pytest.mark.parametrize("phase", ["connect", "connect_timeout"])
async def test_an_outage_of_minutes_costs_no_row(output, phase):
    service = Service(refuse=gone(0.2, 300, phase))
    report = await run(service, output)
    assert (report.done, report.failed) == (40, 0)
    assert 300 < report.elapsed < 340
    assert report.retried < 100  # the whole job waits, not each row by itself
    assert "nobody is there" in report.last_retry_reason
    assert set(service.paid.values()) == {1}


async def test_a_service_that_was_never_reached_ends_the_job_soon_and_fails_no_row(output):
    service = Service(refuse=gone(0, 1e9))
    with pytest.raises(errors.APIConnectionError, match="nobody is there"):
        await run(service, output)
    assert service.clock.monotonic() < 10
    service.refuse = None
    report = await run(service, output, resume=True)
    assert (report.done, report.outcome_unknown) == (40, ())


async def test_a_service_that_stays_away_ends_the_job_and_the_rest_is_for_another_run(output):
    service = Service(refuse=gone(0.2, 1e9))
    with pytest.raises(errors.APIConnectionError, match="nobody is there"):
        await run(service, output)
    assert 600 < service.clock.monotonic() < 700
    service.refuse = None
    report = await run(service, output, resume=True)
    assert report.complete
    assert report.failed == 0
    assert report.skipped > 0
    assert set(service.paid.values()) == {1}


async def test_a_deadline_is_not_waited_over(output):
    report = await run(Service(refuse=gone(0.2, 1e9)), output, deadline=20)
    assert report.stopped == "deadline"
    assert report.elapsed <= 20
    assert report.failed == 0
