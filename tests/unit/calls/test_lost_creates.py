"""A create whose answer was lost is looked up before it is sent again."""

import json
from email.utils import formatdate

import pytest
from tests.unit.calls.conftest import Script, answer, refusal

from tunesmith import errors
from tunesmith.clock import EPOCH_S
from tunesmith.errors import BackendError

pytestmark = pytest.mark.anyio

LOST = BackendError("the connection was reset", phase="read")


def job(id="ftjob-1", **fields):
    return {
        "id": id,
        "object": "fine_tuning.job",
        "status": "validating_files",
        "model": "gpt-4o-mini-2024-07-18",
        "training_file": "file-1",
        "seed": 7,
        "created_at": int(EPOCH_S),
        **fields,
    }


def page(*items, **headers):
    body = json.dumps({"object": "list", "data": items, "has_more": False}).encode()
    return answer(body, **headers)


async def create(backend):
    return await backend.client().fine_tuning.jobs.create(
        model="gpt-4o-mini", training_file="file-1", seed=7
    )


def operations(backend):
    return [request.operation for request in backend.requests]


async def test_what_was_made_is_found_and_not_made_again():
    backend = Script(LOST, page(job(), job("ftjob-0", training_file="file-0")))
    assert (await create(backend)).id == "ftjob-1"
    assert operations(backend) == ["fine_tuning.jobs.create", "fine_tuning.jobs.list"]


async def test_a_job_of_a_suffix_that_only_begins_alike_is_another():
    other = job("ftjob-0", user_provided_suffix="kant-2")
    backend = Script(LOST, page(other), answer(json.dumps(job()).encode()))
    made = await backend.client().fine_tuning.jobs.create(
        model="gpt-4o-mini", training_file="file-1", suffix="kant"
    )
    assert made.id == "ftjob-1"


async def test_what_was_not_made_is_sent_again():
    backend = Script(LOST, page(), answer(json.dumps(job()).encode()))
    assert (await create(backend)).id == "ftjob-1"
    assert operations(backend)[-1] == "fine_tuning.jobs.create"


async def test_an_equal_job_of_long_ago_is_another():
    old = job("ftjob-old", created_at=int(EPOCH_S) - 3600)
    backend = Script(LOST, page(old), answer(json.dumps(job()).encode()))
    assert (await create(backend)).id == "ftjob-1"


@pytest.mark.parametrize(
    ("created_after_s", "found"), [(0, "ftjob-1"), (-59, "ftjob-1"), (-3600, "ftjob-2")]
)
async def test_a_service_whose_clock_is_behind_is_believed(created_after_s, found):
    then = EPOCH_S - 86_400
    listed = page(job(created_at=int(then) + created_after_s), date=formatdate(then, usegmt=True))
    backend = Script(LOST, listed, answer(json.dumps(job("ftjob-2")).encode()))
    assert (await create(backend)).id == found


async def test_an_equal_job_that_this_client_made_before_is_another():
    backend = Script(
        answer(json.dumps(job()).encode()),
        LOST,
        page(job()),
        answer(json.dumps(job("ftjob-2")).encode()),
    )
    client = backend.client()
    for expected in ("ftjob-1", "ftjob-2"):
        made = await client.fine_tuning.jobs.create(
            model="gpt-4o-mini", training_file="file-1", seed=7
        )
        assert made.id == expected


@pytest.mark.parametrize(
    "other",
    [{"seed": 8}, {"training_file": "file-2"}, {"model": "babbage-002"}],
)
async def test_a_job_that_differs_is_another(other):
    backend = Script(LOST, page(job("ftjob-x", **other)), answer(json.dumps(job()).encode()))
    assert (await create(backend)).id == "ftjob-1"


async def test_two_that_fit_are_an_error_that_names_them():
    backend = Script(LOST, page(job("ftjob-1"), job("ftjob-2")))
    with pytest.raises(errors.UnknownOutcomeError) as caught:
        await create(backend)
    assert caught.value.candidates == ("ftjob-1", "ftjob-2")
    assert "fine_tuning.jobs.list" in str(caught.value)


async def test_a_look_up_that_fails_is_an_error_and_nothing_is_sent_again():
    backend = Script(LOST, *[refusal(500)] * 3)
    with pytest.raises(errors.UnknownOutcomeError):
        await create(backend)
    assert operations(backend).count("fine_tuning.jobs.create") == 1


@pytest.mark.parametrize("passing", [refusal(429), refusal(503)])
async def test_a_refusal_did_not_happen_so_it_needs_no_look_up(passing):
    backend = Script(passing, answer(json.dumps(job()).encode()))
    await create(backend)
    assert operations(backend) == ["fine_tuning.jobs.create"] * 2


async def test_a_connection_that_was_never_made_needs_no_look_up():
    backend = Script(BackendError("refused", phase="connect"), answer(json.dumps(job()).encode()))
    await create(backend)
    assert operations(backend) == ["fine_tuning.jobs.create"] * 2


async def test_a_lost_file_is_found_by_name_size_and_purpose():
    fields = {"purpose": "fine-tune", "object": "file", "created_at": int(EPOCH_S)}
    backend = Script(
        LOST,
        page(
            {"id": "file-a", "filename": "other.jsonl", "bytes": 3, **fields},
            {"id": "file-b", "filename": "train.jsonl", "bytes": 4, **fields},
            {"id": "file-c", "filename": "train.jsonl", "bytes": 3, **fields},
        ),
    )
    file = await backend.client().files.create(file=("train.jsonl", b"{}\n"), purpose="fine-tune")
    assert file.id == "file-c"
