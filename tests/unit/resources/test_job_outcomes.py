"""Outcomes of jobs: a model, or an error that says why there is none."""

import json

import pytest
from tests.unit.calls.conftest import Script, answer

from tunesmith import errors

pytestmark = pytest.mark.anyio


async def wait(**job):
    backend = Script(answer(json.dumps({"id": "ftjob-1", **job}).encode()))
    return await backend.client().fine_tuning.jobs.wait("ftjob-1")


async def test_a_job_that_succeeded_is_returned():
    job = await wait(status="succeeded", fine_tuned_model="ft:m")
    assert job.fine_tuned_model == "ft:m"


async def test_a_cancelled_job_is_an_error():
    with pytest.raises(errors.JobCancelledError, match=r"^job ftjob-1 was cancelled$") as caught:
        await wait(status="cancelled")
    assert caught.value.job_id == "ftjob-1"


async def test_a_failed_job_is_an_error_with_the_words_of_the_service():
    error = {"message": "Too few rows.", "code": "too_few", "param": "training_file"}
    with pytest.raises(errors.JobFailedError) as caught:
        await wait(status="failed", error=error)
    failed = caught.value
    assert str(failed) == "job ftjob-1 failed: Too few rows."
    assert (failed.job_id, failed.code, failed.param) == ("ftjob-1", "too_few", "training_file")


@pytest.mark.parametrize("error", [None, {}, {"message": None}])
async def test_a_job_may_fail_without_a_reason(error):
    words = "^job ftjob-1 failed: the service gives no reason$"
    with pytest.raises(errors.JobFailedError, match=words) as caught:
        await wait(status="failed", error=error)
    assert (caught.value.code, caught.value.param) == (None, None)


async def test_results_of_a_job_without_a_result_file_are_an_error():
    backend = Script(answer(b'{"id": "ftjob-1", "status": "running", "result_files": []}'))
    with pytest.raises(errors.JobError) as caught:
        await backend.client().fine_tuning.jobs.results("ftjob-1")
    assert caught.value.job_id == "ftjob-1"
    assert str(caught.value) == (
        "job ftjob-1 has no result file: it is running; a job writes one when it succeeds"
    )


@pytest.mark.parametrize("details", ["bad line 3", None])
async def test_a_rejected_file_is_an_error_with_the_words_of_the_service(details):
    file = {"id": "file-1", "status": "error", "status_details": details}
    backend = Script(answer(json.dumps(file).encode()))
    words = f"^file file-1 was rejected: {details or 'no reason is given'}$"
    with pytest.raises(errors.FileRejectedError, match=words) as caught:
        await backend.client().files.wait_for_processing("file-1")
    assert caught.value.file_id == "file-1"
