"""`tunesmith batch status` and `list`."""

import json

import pytest
from tests.unit.batch.services import Service

from tunesmith import AsyncClient
from tunesmith.batch.lock import is_locked
from tunesmith.batch.output import JobPaths
from tunesmith.cli.batch_status import Tally
from tunesmith.cli.connection import ServiceOptions
from tunesmith.datasets.cost import Prices


@pytest.fixture
def job(run, folder, monkeypatch):
    """A job of two rows, of which one failed."""
    service = Service()
    bad = (400, {}, {"error": {"message": "no such model", "code": "model_not_found"}})
    service.refuse = lambda number, now: bad if number == 1 else None
    monkeypatch.setattr(ServiceOptions, "client", lambda _: AsyncClient(backend=service))
    (folder / "prompts.jsonl").write_text('{"prompt":"a"}\n{"prompt":"b"}\n')
    assert run("batch run prompts.jsonl -o answers.jsonl -m m").exit_code == 1
    return folder / "answers.jsonl"


def test_status_shows_causes_of_failure(run, job):
    lines = run("batch status answers.jsonl").stdout.splitlines()
    assert lines[0].startswith("answers.jsonl: 1 of 2 answered, 1 failed")
    assert lines[1] == "1 failed by model_not_found: no such model"


def test_status_counts_the_failures_it_does_not_show(run, job):
    with JobPaths(job).errors.open("a") as errors:
        for line in range(7):
            errors.write(
                json.dumps({"error": {"code": "invalid_row", "message": f"{line}"}}) + "\n"
            )
    lines = run("batch status answers.jsonl").stdout.splitlines()
    assert lines[-1] == "3 more failed: see answers.errors.jsonl"


def test_watch_ends_with_the_run(run, job):
    assert run("batch status answers.jsonl --watch").stdout == (
        run("batch status answers.jsonl").stdout
    )


def test_watch_shows_a_running_job(run, job, monkeypatch):
    looks = iter([True, True, False])
    monkeypatch.setattr("tunesmith.batch.status.is_locked", lambda _: next(looks, False))
    slept = []
    monkeypatch.setattr("time.sleep", slept.append)
    result = run("batch status answers.jsonl --watch --interval 7")
    assert result.exit_code == 0
    assert slept == [7.0]
    assert "2/2  100%  1 failed" in result.stderr


def test_a_tally_reads_growing_files_once(job):
    prices = Prices(
        as_of="2026-11-01",
        usd_per_million_input_tokens={"m": 1e6},
        usd_per_million_output_tokens={"m": 2e6},
    )
    paths = JobPaths(job)
    tally = Tally(paths, prices)
    tally.read()
    before = tally.usage.total
    line = {"response": {"body": {"model": "m", "usage": {"prompt_tokens": 3}}}}
    line["response"]["body"]["usage"]["completion_tokens"] = 1
    usd = tally.usd
    with job.open("a") as file:
        file.write(json.dumps(line) + "\n" + '{"cut')
    tally.read()
    tally.read()
    assert tally.usage.total == before + 4
    assert tally.usd - usd == pytest.approx(5.0)
    assert not is_locked(paths.journal)


def test_a_tally_counts_the_answers_of_an_ordered_job_once(run, job, folder):
    assert run("batch run prompts.jsonl -o sorted.jsonl -m m --order input").exit_code == 0
    paths = JobPaths(folder / "sorted.jsonl")
    lines = paths.target.read_text().splitlines(keepends=True)
    paths.target.write_text("")
    paths.unordered.write_text(lines[0])  # while the job runs
    tally = Tally(paths, None)
    tally.read()
    first = tally.usage.total
    assert first > 0
    with paths.unordered.open("a") as file:
        file.write(lines[1])
    tally.read()
    assert tally.usage.total > first
    total = tally.usage.total
    paths.unordered.unlink()
    paths.target.write_text("".join(lines))  # its end
    tally.read()
    assert tally.usage.total == total
    after = Tally(paths, None)
    after.read()
    assert after.usage.total == total


def test_list_shows_the_jobs_of_a_folder(run, job, folder):
    (folder / "broken.journal").write_text("nothing")
    assert "answers.jsonl\tcomplete\t1\t1\t2" in run("batch list").stdout
    (listed, *_) = json.loads(run("batch list --json").stdout)
    assert (listed["output"], listed["failed"]) == ("answers.jsonl", 1)
    (folder / "empty").mkdir()
    assert run("batch list empty").stdout == ""
    assert run("batch list missing").exit_code == 2
