"""A create whose response was lost is searched for before it is repeated."""

import io
import json
import logging
from email.utils import formatdate

import pytest
from tests.unit.calls.conftest import HANG, Script, answer, refusal

from tunesmith import AsyncClient, MemoryBackend, errors
from tunesmith.clock import EPOCH_S
from tunesmith.errors import BackendError
from tunesmith.testing import Faults

pytestmark = pytest.mark.anyio

LOST = BackendError("the connection was reset", phase="read")
CREATE, LIST = "fine_tuning.jobs.create", "fine_tuning.jobs.list"
SEARCHES = 4


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


def created(id="ftjob-1"):
    return answer(json.dumps(job(id)).encode())


async def create(backend, **parameters):
    options = {"model": "gpt-4o-mini", "training_file": "file-1", **parameters}
    return await backend.client().fine_tuning.jobs.create(**options)


def operations(backend):
    return [request.operation for request in backend.requests]


async def test_a_created_object_is_found_and_not_created_again(caplog):
    caplog.set_level(logging.INFO, "tunesmith")
    backend = Script(LOST, page(job(), job("ftjob-0", training_file="file-0")))
    assert (await create(backend)).id == "ftjob-1"
    assert operations(backend) == [CREATE, LIST]
    message = caplog.records[-1].getMessage()
    assert message == f"{CREATE}: found the object whose response was lost"


async def test_an_object_that_was_not_created_is_created_after_several_searches():
    backend = Script(LOST, *[page()] * SEARCHES, created())
    assert (await create(backend)).id == "ftjob-1"
    assert operations(backend) == [CREATE, *[LIST] * SEARCHES, CREATE]
    assert backend.times[-2] - backend.times[0] == 7


async def test_an_object_that_appears_late_is_found():
    backend = Script(LOST, page(), page(), page(job()))
    assert (await create(backend)).id == "ftjob-1"
    assert operations(backend) == [CREATE, LIST, LIST, LIST]


@pytest.mark.parametrize("status", [408, 409, 500, 502, 503, 504, 520, 522, 524, 529])
async def test_statuses_that_may_hide_a_success_are_followed_by_a_search(status):
    backend = Script(refusal(status), page(job()))
    assert (await create(backend)).id == "ftjob-1"


@pytest.mark.parametrize("status", [429, 521, 523, 525])
async def test_statuses_of_unprocessed_requests_need_no_search(status):
    backend = Script(refusal(status), created())
    await create(backend)
    assert operations(backend) == [CREATE, CREATE]


async def test_a_connection_that_was_never_made_needs_no_search():
    backend = Script(BackendError("refused", phase="connect"), created())
    await create(backend)
    assert operations(backend) == [CREATE, CREATE]


async def test_a_deadline_ends_the_searches():
    backend = Script(LOST, page(), page())
    while_searching = "while searching for the created object$"
    with pytest.raises(errors.DeadlineExceededError, match=while_searching) as caught:
        await backend.client(deadline=2.5).fine_tuning.jobs.create(
            model="gpt-4o-mini", training_file="file-1"
        )
    assert (caught.value.operation, caught.value.attempts) == (CREATE, 1)


async def test_the_deadline_ends_a_search_that_hangs():
    backend = Script(LOST, page(), HANG)
    with pytest.raises(errors.DeadlineExceededError):
        await backend.client(deadline=2.5).fine_tuning.jobs.create(
            model="gpt-4o-mini", training_file="file-1"
        )
    assert backend.clock.monotonic() == pytest.approx(2.5)


async def test_without_retries_nothing_is_searched():
    backend = Script(LOST)
    with pytest.raises(errors.APIConnectionError):
        await backend.client(max_retries=0).fine_tuning.jobs.create(
            model="gpt-4o-mini", training_file="file-1"
        )


async def test_all_attempts_of_a_create_carry_the_same_idempotency_key():
    backend = Script(refusal(429), created(), created())
    await create(backend)
    await create(backend)
    first, again, other = (request.headers["idempotency-key"] for request in backend.requests)
    assert first == again != other


async def test_a_key_of_the_caller_is_sent_instead():
    backend = Script(created())
    await create(backend, extra_headers={"Idempotency-Key": "mine"})
    assert backend.requests[0].headers["idempotency-key"] == "mine"


def n_epochs(count):
    hyperparameters = {"n_epochs": count}
    return {"type": "supervised", "supervised": {"hyperparameters": hyperparameters}}


def graded_by(reference, outputs=("x", "y")):
    grader = {"type": "string_check", "name": "g", "input": "{{sample.output_text}}"}
    grader |= {"operation": "eq", "reference": reference}
    settings = {"grader": grader, "response_format": {"enum": outputs}}
    return {"type": "reinforcement", "reinforcement": settings}


@pytest.mark.parametrize(
    ("requested", "shown"),
    [
        ({"seed": 7}, {"seed": 8}),
        ({}, {"training_file": "file-2"}),
        ({}, {"model": "babbage-002"}),
        ({"model": "gpt-4o"}, {}),
        ({"suffix": "kant"}, {"user_provided_suffix": "kant-2"}),
        ({}, {"user_provided_suffix": "prod"}),
        ({}, {"metadata": {"team": "billing"}}),
        ({"metadata": {"team": "a"}}, {"metadata": {"team": "b"}}),
        ({}, {"validation_file": "file-9"}),
        ({"hyperparameters": {"n_epochs": 1}}, {"hyperparameters": {"n_epochs": 10}}),
        ({"method": n_epochs(1)}, {"method": n_epochs(10)}),
        ({"method": n_epochs(1)}, {"hyperparameters": {"n_epochs": 10}}),
        ({"hyperparameters": {"n_epochs": 1}}, {"method": n_epochs(10)}),
        ({"method": n_epochs(1)}, {"method": {"type": "dpo", "dpo": {}}}),
        ({}, {"method": {"type": "dpo", "dpo": {}}}),
        ({"method": graded_by("a")}, {"method": graded_by("b")}),
        ({"method": graded_by("a", ["x"])}, {"method": graded_by("a", ["y"])}),
        ({"method": graded_by("a", ["x"])}, {"method": graded_by("a", ["x", "y"])}),
        ({"method": graded_by("a", ["x"])}, {"method": graded_by("a", 7)}),
        (
            {"integrations": [{"type": "wandb", "wandb": {"project": "x"}}]},
            {"integrations": []},
        ),
    ],
)
async def test_a_job_that_differs_is_another(requested, shown):
    backend = Script(LOST, *[page(job("ftjob-x", **shown))] * SEARCHES, created())
    assert (await create(backend, **requested)).id == "ftjob-1"


@pytest.mark.parametrize(
    ("requested", "shown"),
    [
        ({}, {"hyperparameters": {"n_epochs": 4}, "seed": 99}),
        ({}, {"method": n_epochs(4), "metadata": None, "integrations": []}),
        ({"method": n_epochs(1)}, {"method": n_epochs(1)}),
        ({"method": graded_by("a")}, {"method": graded_by("a")}),
        ({"hyperparameters": {"n_epochs": 1}, "seed": 5}, {"hyperparameters": None, "seed": None}),
        ({"method": n_epochs("auto")}, {"method": n_epochs(3)}),
        ({"hyperparameters": {"n_epochs": 1}}, {"method": n_epochs(1)}),
        ({"method": n_epochs(1)}, {"hyperparameters": {"n_epochs": 1, "batch_size": 8}}),
        ({"suffix": "kant"}, {}),
        ({"suffix": "kant"}, {"user_provided_suffix": "kant"}),
        ({"metadata": {"team": "a"}}, {"metadata": {"team": "a"}}),
        (
            {"integrations": [{"type": "wandb", "wandb": {"project": "x"}}]},
            {"integrations": [{"type": "wandb", "wandb": {"project": "x", "name": None}}]},
        ),
    ],
)
async def test_a_job_that_shows_the_requested_values_is_the_created_one(requested, shown):
    backend = Script(LOST, page(job(**shown)))
    assert (await create(backend, **requested)).id == "ftjob-1"


async def test_a_parameter_shown_as_null_leaves_the_outcome_unknown():
    backend = Script(LOST, *[page(job(metadata=None))] * SEARCHES)
    with pytest.raises(errors.UnknownOutcomeError) as caught:
        await create(backend, metadata={"team": "a"})
    assert caught.value.candidates == ("ftjob-1",)


async def test_two_equal_objects_are_an_error_that_names_them():
    backend = Script(refusal(429), LOST, page(job("ftjob-1"), job("ftjob-2")))
    with pytest.raises(errors.UnknownOutcomeError) as caught:
        await create(backend)
    assert caught.value.candidates == ("ftjob-1", "ftjob-2")
    assert str(caught.value) == (
        f"{CREATE}: the response was lost ({CREATE}: the connection was reset), and ftjob-1, "
        f"ftjob-2 may be the created object. Check {LIST} before creating it again."
    )
    assert (caught.value.operation, caught.value.attempts) == (CREATE, 2)


async def test_a_search_that_fails_is_an_error_and_nothing_is_repeated():
    backend = Script(LOST, *[refusal(500)] * 3)
    with pytest.raises(
        errors.UnknownOutcomeError, match=r", and searching for the created object failed\. "
    ):
        await create(backend)
    assert operations(backend).count(CREATE) == 1


# A minute of difference is tolerated, and the last search is 7 seconds after the create.
@pytest.mark.parametrize(("age_s", "found"), [(0, "ftjob-1"), (67, "ftjob-1"), (68, "ftjob-2")])
async def test_the_age_of_an_object_is_judged_by_the_clock_of_the_service(age_s, found):
    now = EPOCH_S - 86_400
    listed = page(job(created_at=int(now) - age_s), date=formatdate(now, usegmt=True))
    backend = Script(LOST, *[listed] * SEARCHES, created("ftjob-2"))
    assert (await create(backend)).id == found


@pytest.mark.parametrize("headers", [{}, {"date": "yesterday"}])
async def test_a_recent_object_of_a_service_without_a_clock_is_the_created_one(headers):
    backend = Script(LOST, page(job(created_at=int(EPOCH_S) - 60), **headers))
    assert (await create(backend)).id == "ftjob-1"


@pytest.mark.parametrize("headers", [{}, {"date": "yesterday"}])
async def test_an_old_object_of_a_service_without_a_clock_leaves_the_outcome_unknown(headers):
    backend = Script(LOST, *[page(job(created_at=int(EPOCH_S) - 61), **headers)] * SEARCHES)
    with pytest.raises(errors.UnknownOutcomeError) as caught:
        await create(backend)
    assert caught.value.candidates == ("ftjob-1",)


async def test_an_equal_job_that_this_client_created_before_is_another():
    backend = Script(created(), LOST, *[page(job())] * SEARCHES, created("ftjob-2"))
    client = backend.client()
    for options, expected in (({"timeout": 5}, "ftjob-1"), ({}, "ftjob-2")):
        made = await client.with_options(**options).fine_tuning.jobs.create(
            model="gpt-4o-mini", training_file="file-1"
        )
        assert made.id == expected


async def test_an_equal_job_that_was_found_before_is_another():
    backend = Script(LOST, page(job()), LOST, *[page(job())] * SEARCHES, created("ftjob-2"))
    client = backend.client()
    for expected in ("ftjob-1", "ftjob-2"):
        made = await client.fine_tuning.jobs.create(model="gpt-4o-mini", training_file="file-1")
        assert made.id == expected


LINE = b'{"prompt":"a","completion":"b"}\n'


@pytest.mark.parametrize("kind", ["path", "bytes", "file", "half of a file", "tuple"])
async def test_a_lost_file_is_found_however_it_was_passed(kind, tmp_path):
    path = tmp_path / "train.jsonl"
    path.write_bytes(LINE * 20)
    file = path.open("rb")
    if kind == "half of a file":
        file.seek(len(LINE) * 10)
    passed = {
        "path": path,
        "bytes": ("train.jsonl", LINE),
        "tuple": ("train.jsonl", io.BytesIO(LINE)),
    }.get(kind, file)
    faults = Faults(MemoryBackend())
    faults.on("files.create").drop_response()
    async with AsyncClient(backend=faults) as client:
        await client.files.create(file=passed, purpose="fine-tune")
        assert len([listed async for listed in client.files.list()]) == 1
    file.close()


def file(id, **fields):
    return {
        "id": id,
        "object": "file",
        "purpose": "fine-tune",
        "filename": "train.jsonl",
        "bytes": 3,
        "created_at": int(EPOCH_S),
        **fields,
    }


async def test_a_lost_file_is_found_by_name_size_and_content():
    candidates = page(
        file("file-a", filename="other.jsonl"), file("file-b", bytes=4), file("file-c"), file("d")
    )
    backend = Script(LOST, candidates, answer([b"{", b"}\n"]), answer(b"[]\n"))
    found = await backend.client().files.create(file=("train.jsonl", b"{}\n"), purpose="fine-tune")
    assert found.id == "file-c"
    listing = backend.requests[1]
    assert dict(listing.query) == {"limit": "100", "order": "desc", "purpose": "fine-tune"}


@pytest.mark.parametrize("content", [b"{}", b"{}\n\n", b"", b"{]\n"])
async def test_a_file_with_other_content_is_another(content):
    search = [page(file("file-x")), answer(content)]
    backend = Script(LOST, *search * SEARCHES, answer(json.dumps(file("file-1")).encode()))
    made = await backend.client().files.create(file=("train.jsonl", b"{}\n"), purpose="fine-tune")
    assert made.id == "file-1"


async def test_a_file_is_compared_however_its_content_is_cut(tmp_path):
    path = tmp_path / "train.jsonl"
    path.write_bytes(LINE * 30_000)  # read in several chunks, received in one
    listed = file("file-1", bytes=path.stat().st_size)
    backend = Script(LOST, page(listed), answer(path.read_bytes()))
    made = await backend.client().files.create(file=path, purpose="fine-tune")
    assert made.id == "file-1"


async def test_the_deadline_ends_the_comparison_of_a_file():
    backend = Script(LOST, page(), page(file("file-1")), answer([b"{", 100.0, b"}\n"]))
    with pytest.raises(errors.DeadlineExceededError):
        await backend.client(deadline=5).files.create(
            file=("train.jsonl", b"{}\n"), purpose="fine-tune"
        )
    assert backend.clock.monotonic() == pytest.approx(5)


async def test_a_file_that_cannot_be_downloaded_is_found_by_name_and_size():
    backend = Script(LOST, page(file("file-1")), refusal(400))
    made = await backend.client().files.create(file=("train.jsonl", b"{}\n"), purpose="fine-tune")
    assert made.id == "file-1"


@pytest.mark.parametrize("n_bytes", [3, None])
async def test_a_file_of_unknown_size_leaves_the_outcome_unknown(n_bytes):
    async def chunks():
        yield b"{}\n"

    listed = file("file-1", bytes=n_bytes)
    if n_bytes is None:
        del listed["bytes"]
    backend = Script(LOST, *[page(listed)] * SEARCHES)
    with pytest.raises(errors.UnknownOutcomeError) as caught:
        await backend.client().files.create(file=("train.jsonl", chunks()), purpose="fine-tune")
    assert caught.value.candidates == ("file-1",)


async def test_a_lost_batch_is_found():
    batch = {
        "id": "batch_1",
        "status": "validating",
        "endpoint": "/v1/completions",
        "input_file_id": "file-1",
        "completion_window": "24h",
        "metadata": {"run": "1"},
        "created_at": int(EPOCH_S),
    }
    others = [batch | {"id": "batch_2", "metadata": {"run": "2"}}, batch | {"metadata": None}]
    backend = Script(LOST, page(*others[:1], batch))
    made = await backend.client().batches.create(
        completion_window="24h",
        endpoint="/v1/completions",
        input_file_id="file-1",
        metadata={"run": "1"},
    )
    assert made.id == "batch_1"


@pytest.mark.parametrize("shown", [{"n_epochs": 4}, None])
async def test_a_lost_fine_tune_of_the_legacy_api_is_found(shown):
    fine_tune = {
        "id": "ft-1",
        "status": "pending",
        "model": "curie",
        "training_files": [{"id": "file-1"}],
        "hyperparams": shown,
        "created_at": int(EPOCH_S),
    }
    if shown is None:
        del fine_tune["hyperparams"]
    others = [
        fine_tune | {"id": "ft-2", "training_files": [{"id": "file-2"}]},
        fine_tune | {"id": "ft-3", "hyperparams": {"n_epochs": 2}},
        fine_tune | {"id": "ft-4", "validation_files": [{"id": "file-9"}]},
    ]
    backend = Script(LOST, page(*others, fine_tune))
    made = await backend.client().fine_tunes.create(training_file="file-1", n_epochs=4)
    assert made.id == "ft-1"
