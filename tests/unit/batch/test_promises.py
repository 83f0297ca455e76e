"""The promises of a job about files, answers, names, waits and money."""

import json
import os
import random
from collections import Counter

import anyio
import pytest
from pydantic import BaseModel, field_validator
from tests.unit.batch.services import Service, too_many

from tunesmith import AsyncClient, errors
from tunesmith.batch import BatchJob, Budget
from tunesmith.batch.core.states import ROW_TRANSITIONS, SHARD_TRANSITIONS

pytestmark = pytest.mark.anyio

PROMPTS = [f"p{i}" for i in range(40)]


@pytest.fixture
def output(tmp_path):
    return tmp_path / "answers.jsonl"


def job_on(service, output, prompts=PROMPTS, **options):
    options = {"model": "m", "concurrency": 8, "max_retries": 2, "handle_signals": False} | options
    return BatchJob(prompts, output, client=AsyncClient(backend=service), **options)


async def run(service, output, prompts=PROMPTS, **options):
    async with job_on(service, output, prompts, **options) as job:
        return await job.run()


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


# --- files ---


async def test_a_refused_run_changes_no_file(output):
    await run(Service(), output)
    before = {path.name: path.read_bytes() for path in output.parent.iterdir()}
    for options in ({"order": "input"}, {"model": "other"}, {"mode": "batch", "params": {"n": 2}}):
        with pytest.raises(errors.ConfigurationError, match="belongs to a job with"):
            await run(Service(), output, resume=True, **options)
    assert {path.name: path.read_bytes() for path in output.parent.iterdir()} == before


async def test_an_ordered_output_is_replaced_only_when_the_new_one_is_whole(output):
    service = Service()
    await run(service, output, order="input")
    inode = output.stat().st_ino
    whole = output.read_bytes()
    async with job_on(service, output, [*PROMPTS, "new"], order="input", resume=True) as job:
        assert output.read_bytes() == whole
        await job.run()
    assert output.read_bytes().startswith(whole)
    assert len(lines(output)) == 41
    assert output.stat().st_ino != inode
    assert set(service.paid.values()) == {1}


@pytest.mark.parametrize(
    "name", ["answers.journal", "answers.unordered.jsonl", "answers.errors.jsonl"]
)
async def test_a_file_of_the_users_is_never_touched(output, name):
    path = output.with_name(name)
    path.write_text("Monday: read Kant.\n")
    with pytest.raises(errors.ConfigurationError, match=r"choose another\s+output"):
        await run(Service(), output, order="input", resume=True)
    assert path.read_text() == "Monday: read Kant.\n"
    assert list(output.parent.iterdir()) == [path]


async def test_files_that_look_like_shards_of_a_job_survive_it(output):
    other = output.with_name("answers.shard-1.jsonl")
    other.write_text('{"custom_id":"a","prompt":"a"}\n')
    await run(Service(), output, other)
    assert other.exists()


@pytest.mark.parametrize("suffix", ["errors", "unordered"])
async def test_the_output_of_one_job_is_no_other_file_of_another_one(output, suffix):
    other = output.with_name(f"answers.{suffix}.jsonl")
    await run(Service(), other, ["a"])
    with pytest.raises(errors.ConfigurationError, match="is the output of another job"):
        await run(Service(), output, order="input", resume=True)
    assert len(lines(other)) == 1
    for path in (other, other.with_suffix(".journal")):
        path.unlink()
    await run(Service(), output, ["a"])
    with pytest.raises(errors.ConfigurationError, match="is a file of another job"):
        await run(Service(), other, ["b"])
    assert not other.exists()


async def test_a_name_that_is_too_long_for_the_file_system_is_refused(output):
    with pytest.raises(errors.ConfigurationError, match="cannot be an output"):
        await run(Service(), output.with_name("a" * 250 + ".jsonl"))


async def test_two_outputs_cannot_share_a_journal(output):
    await run(Service(), output, ["a"])
    with pytest.raises(errors.ConfigurationError, match="already exists"):
        await run(Service(), output.with_suffix(".json"), ["b"])
    with pytest.raises(errors.ConfigurationError, match="belongs to answers"):
        await run(Service(), output.with_suffix(".json"), ["b"], resume=True)


@pytest.mark.parametrize("link", [os.symlink, os.link])
async def test_one_output_is_one_file_whatever_its_name(output, link):
    output.touch()
    other = output.with_name("other.jsonl")
    link(output, other)
    async with job_on(Service(), output, resume=True):
        with pytest.raises(errors.ConfigurationError, match="another run is"):
            await run(Service(), other, resume=True)


async def test_a_linked_output_stays_a_link(output, tmp_path):
    (tmp_path / "disk").mkdir()
    output.symlink_to(tmp_path / "disk" / "big.jsonl")
    for _ in range(2):
        await run(Service(), output, order="input", resume=True)
    assert output.is_symlink()
    assert len(lines(output)) == 40


# --- answers ---


@pytest.mark.parametrize(
    "body",
    [
        {"error": {"code": 429, "message": "slow down"}},
        {"choices": None, "error": {"message": "Internal", "code": 502}},
        {"choices": [{"index": 0, "finish_reason": "error", "error": {"code": 502}}]},
        {"detail": "Not Found"},
        "overloaded",
        {},
    ],
)
async def test_an_error_beside_200_is_repeated_and_never_an_answer(output, body):
    bad = (200, {}, json.dumps(body).encode())
    service = Service(refuse=lambda number, now: bad if number == 1 else None)
    report = await run(service, output, ["a"])
    assert (report.done, report.requests) == (1, 2)
    assert lines(output)[0]["response"]["body"]["choices"][0]["text"] == "answer to a"


async def test_numbers_that_json_does_not_have_are_written_as_null(output):
    service = Service()
    service.answer = lambda body: b'{"choices":[{"text":"x","logprobs":NaN}],"n":-Infinity}'
    await run(service, output, ["a"])
    assert b"NaN" not in output.read_bytes()
    assert lines(output)[0]["response"]["body"]["n"] is None


@pytest.mark.parametrize("depth", [190, 195, 196, 197, 198, 199, 200, 5000])
async def test_an_answer_nested_too_deeply_harms_no_resume(output, depth):
    service = Service()
    deep = b'{"choices":[{"text":"x"}],"x":' + b"[" * depth + b"]" * depth + b"}"
    service.answer = lambda body: deep
    assert (await run(service, output, ["a"], max_retries=0)).complete
    report = await run(Service(), output, ["a", "b"], resume=True)
    assert (report.done, report.skipped) == (1, 1)


class Ratio(BaseModel):
    a: float
    b: float

    @field_validator("b")
    @classmethod
    def check(cls, b, info):
        if info.data["a"] / b > 10:
            raise ValueError("too large")
        return b


async def test_a_validator_that_raises_fails_its_row_and_keeps_the_paid_answer(output):
    service = Service()

    def answer(body):
        content = json.dumps({"a": 1, "b": int(body["messages"][0]["content"] != "bad")})
        return {"choices": [{"index": 0, "message": {"role": "assistant", "content": content}}]}

    service.answer = answer
    report = await run(service, output, ["good", "bad", "fine"], response_format=Ratio)
    assert (report.done, report.failed, report.requests) == (2, 1, 3)
    (failed,) = lines(output.with_name("answers.errors.jsonl"))
    assert failed["error"]["code"] == "validator_failed"
    assert "ZeroDivisionError" in failed["error"]["message"]
    assert failed["response"]["body"]["choices"]


# --- names ---


async def test_no_custom_id_can_be_lost_to_a_repeated_one(output):
    rows = [{"custom_id": name, "prompt": name} for name in ("a", "a", "a-2", "b")]
    report = await run(Service(), output, rows)
    assert (report.done, report.failed) == (3, 1)
    assert sorted(line["custom_id"] for line in lines(output)) == ["a", "a-2", "b"]
    (failed,) = lines(output.with_name("answers.errors.jsonl"))
    assert "is not unique" in failed["error"]["message"]
    reserved = [{"custom_id": "x", "prompt": "x"}, {"custom_id": "a~duplicate~2", "prompt": "x"}]
    report = await run(Service(), output.with_name("other.jsonl"), reserved)
    assert (report.done, report.failed) == (1, 1)


# --- waits ---


async def test_a_maintenance_of_minutes_fails_no_row(output):
    def down(number, now):
        left = 180 - now
        return (503, {"retry-after": str(int(left) + 1)}, b"{}") if left > 0 else None

    report = await run(Service(refuse=down), output, max_retries=0)
    assert (report.done, report.failed) == (40, 0)
    assert report.elapsed < 200


async def test_a_wait_of_one_row_parks_that_row_alone(output):
    service = Service(refuse=lambda number, now: too_many(100) if number == 20 else None)
    done = []
    await run(service, output, on_progress=lambda p: done.append(p.done), progress_interval=0)
    assert 39 in done
    assert 100 < service.clock.monotonic() < 101


async def test_a_job_whose_rows_all_fail_alike_stops_with_the_cause(output):
    bad = (404, {}, {"error": {"message": "no such model", "code": "model_not_found"}})
    service = Service(refuse=lambda number, now: bad)
    report = await run(service, output, [f"p{i}" for i in range(500)])
    assert report.stopped == "failures"
    assert report.failed < 40
    assert "no such model" in report.resume_hint
    assert "To change the model, template or parameters, choose another output." in (
        report.resume_hint
    )


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.002, 0.01, 0.04])
async def test_refusals_at_random_are_told_from_a_limit(output, share):
    chance = random.Random(1)
    service = Service(refuse=lambda n, now: too_many() if chance.random() < share else None)
    report = await run(service, output, [f"p{i}" for i in range(2000)], concurrency=20)
    assert report.failed == 0
    assert report.elapsed < 2000 * (1 + share) * 0.05 / 20 * 1.1


# --- money ---


async def test_answers_that_do_not_tell_their_usage_cost_the_most_they_can(output):
    service = Service()
    service.answer = lambda body: {"choices": [{"index": 0, "text": "x"}]}
    budget = Budget(tokens=400)
    report = await run(service, output, budget=budget, params={"max_tokens": 4}, concurrency=1)
    most = len(json.dumps({"prompt": "p0", "max_tokens": 4, "model": "m"}, separators=(",", ":")))
    assert report.stopped == "budget"
    assert report.done * (most + 4) <= 400
    again = await run(service, output, budget=budget, params={"max_tokens": 4}, resume=True)
    assert again.done == 0


async def test_a_budget_counts_what_an_abandoned_run_may_have_paid(output):
    service = Service(latency_s=1)
    budget = Budget(tokens=300)
    options = {"budget": budget, "params": {"max_tokens": 4}, "concurrency": 4}
    async with job_on(service, output, **options) as job, anyio.create_task_group() as tasks:
        tasks.start_soon(job.run)
        await service.clock.sleep(0.5)
        job.abort()
    assert len(job.report.outcome_unknown) == 4
    assert job.report.perhaps_paid.total > 0
    report = await run(service, output, resume=True, **options)
    spent = 7 * report.done + job.report.perhaps_paid.total
    assert spent <= 300
    assert report.stopped == "budget"


# --- using a job ---


async def test_iterating_can_be_left_early_and_the_job_run_to_its_end(output):
    async with job_on(Service(), output, [f"q{i}" for i in range(1500)]) as job:
        async for _ in job:
            break
        with anyio.fail_after(20):
            assert (await job.run()).done == 1500


async def test_a_job_is_entered_once(output):
    job = job_on(Service(), output)
    async with job:
        await job.run()
    with pytest.raises(ValueError, match="entered once"):
        async with job:
            pass


def test_a_job_can_be_created_outside_of_an_event_loop(output):
    job = job_on(Service(), output, ["a"])

    async def enter():
        async with job:
            return await job.run()

    assert anyio.run(enter).done == 1


async def test_one_row_starts_one_worker(output):
    service = Service()
    await run(service, output, ["a"], concurrency=100)
    assert service.most_under_way == 1


# --- the transitions ---


@pytest.mark.parametrize("table", [ROW_TRANSITIONS, SHARD_TRANSITIONS])
def test_every_state_is_reached_and_left_or_final(table):
    targets = Counter(state for following in table.values() for state in following.values())
    first = next(iter(table))
    assert {state for state in table if state is not first} <= set(targets) | set(table)
