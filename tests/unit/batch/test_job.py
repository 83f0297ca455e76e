"""A job does every row once, waits out limits, and says how it went."""

import json
from collections import Counter
from itertools import count

import anyio
import pytest
from pydantic import BaseModel
from tests.unit.batch.services import FillingBucket, Service, Window, asked, too_many

from tunesmith import AsyncClient, MemoryBackend, errors
from tunesmith.batch import BatchJob, Budget
from tunesmith.datasets.cost import Prices

pytestmark = pytest.mark.anyio

PROMPTS = [f"p{i}" for i in range(40)]


@pytest.fixture
def output(tmp_path):
    return tmp_path / "answers.jsonl"


def job_on(service, output, prompts=PROMPTS, **options):
    options = {"model": "m", "concurrency": 8, "max_retries": 2} | options
    return BatchJob(prompts, output, client=AsyncClient(backend=service), **options)


async def run(service, output, prompts=PROMPTS, **options):
    async with job_on(service, output, prompts, **options) as job:
        return await job.run()


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def texts(path):
    return [line["response"]["body"]["choices"][0]["text"] for line in lines(path)]


def error_path(output):
    return output.with_name("answers.errors.jsonl")


# --- answers ---


async def test_every_row_is_answered_once_as_the_batch_api_would_write_it(output):
    service = Service()
    report = await run(service, output)
    assert report.complete
    assert (report.done, report.failed, report.requests) == (40, 0, 40)
    assert sorted(texts(output)) == sorted(f"answer to {p}" for p in PROMPTS)
    assert service.most_under_way == 8
    first = lines(output)[0]
    assert list(first) == ["custom_id", "response", "error"]
    assert first["response"]["status_code"] == 200
    assert first["response"]["request_id"].startswith("req_")
    assert not error_path(output).exists()


async def test_the_service_in_memory_answers_every_endpoint(output, tmp_path):
    client = AsyncClient(backend=MemoryBackend())
    source = [
        {"custom_id": "c", "url": "/v1/completions", "body": {"model": "davinci-002"}},
        {
            "custom_id": "chat",
            "url": "/v1/chat/completions",
            "body": {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hi"}]},
        },
        {
            "custom_id": "e",
            "url": "/v1/embeddings",
            "body": {"model": "text-embedding-3-small", "input": "Space"},
        },
    ]
    async with BatchJob(source, output, client=client) as job:
        kinds = {result.key: type(result.answer).__name__ async for result in job}
    assert kinds == {"c": "Completion", "chat": "ChatCompletion", "e": "CreateEmbeddingResponse"}


async def test_results_come_as_they_are_written_each_with_its_place(output):
    async with job_on(Service(), output, ["a", "b"]) as job:
        results = {result.line: result async for result in job}
    assert {line: result.text for line, result in results.items()} == {
        1: "answer to a",
        2: "answer to b",
    }
    assert results[1].ok
    assert results[1].usage.total == 7
    assert results[1].answer.choices[0].finish_reason == "stop"


async def test_equal_rows_are_all_answered(output):
    service = Service()
    report = await run(service, output, ["a", "b", "a", "a"])
    assert service.paid == Counter(a=3, b=1)
    assert report.done == 4
    assert len({line["custom_id"] for line in lines(output)}) == 4


async def test_answers_of_several_lines_become_one(output):
    service = Service()
    pretty = json.dumps(service.answer({"prompt": "x"}), indent=2).encode()
    service.answer = lambda body: pretty
    await run(service, output, ["x"])
    assert texts(output) == ["answer to x"]


async def test_an_error_of_the_users_own_source_comes_out_as_it_is(output):
    async def rows():
        yield "a"
        raise LookupError("the database is gone")

    async with job_on(Service(), output, rows()) as job:
        with pytest.raises(LookupError, match="gone"):
            await job.run()
    assert job.report.stopped == "error"


async def test_the_progress_is_told_and_the_report_is_json(output):
    told = []
    report = await run(Service(), output, on_progress=told.append, progress_interval=0)
    assert (told[-1].done, told[-1].remaining, told[-1].eta) == (40, 0, 0)
    assert all(progress.in_flight <= 8 for progress in told)
    plain = json.loads(report.to_json())
    assert (plain["done"], plain["complete"]) == (40, True)
    assert plain["latency_p50"] == pytest.approx(0.05, rel=0.05)
    assert json.loads(output.with_name("answers.journal").read_text().splitlines()[-1]) == {
        "report": plain
    }


# --- order ---


async def test_answers_stand_in_the_order_of_the_input_if_that_is_asked(output):
    service = Service(refuse=lambda number, now: too_many() if number in {1, 2, 9} else None)
    async with job_on(service, output, order="input") as job:
        came = [result.text async for result in job]
    assert came == texts(output) == [f"answer to {p}" for p in PROMPTS]
    assert not output.with_name("answers.unordered.jsonl").exists()


async def test_the_order_is_kept_over_a_stop_and_over_failed_rows(output):
    bad = (400, {}, {"error": {"message": "no", "code": "bad"}})
    service = Service(refuse=lambda number, now: bad if number == 3 else None)
    async with job_on(service, output, order="input") as job:
        async for result in job:
            if result.line == 10:
                break
    assert 0 < len(lines(output)) < 40
    await run(service, output, order="input", resume=True)
    assert texts(output) == [f"answer to {p}" for p in PROMPTS if p != "p2"]
    await run(service, output, order="input", resume=True, retry_failed=True)
    assert texts(output) == [f"answer to {p}" for p in PROMPTS]
    assert set(service.paid.values()) == {1}


async def test_nothing_runs_ahead_of_a_slow_row_without_end(output, monkeypatch):
    monkeypatch.setattr("tunesmith.batch.row_queue._MAX_BUFFERED", 10)

    class SlowFirst(Service):
        def answer(self, body):
            self.last = asked(body)
            return super().answer(body)

    service = SlowFirst(refuse=lambda number, now: None if number > 1 else slow)
    slow = (503, {"retry-after": "60"}, {"error": {"message": "later"}})
    rows = (f"p{i}" for i in range(2000))
    async with job_on(service, output, rows, order="input", concurrency=2) as job:
        async for result in job:
            if result.line == 1:
                held = job._require_entered().output.buffered
                break
    assert held < 400  # what was read ahead, and no more


# --- limits ---


@pytest.mark.slow
@pytest.mark.parametrize(("bucket", "ratio"), [(FillingBucket, 1.25), (Window, 1.5)])
@pytest.mark.parametrize("concurrency", [100, "auto"])
async def test_a_storm_of_429_costs_no_row_and_little_time(output, bucket, ratio, concurrency):
    """600 requests against 1,500 a minute: 24 s are ideal."""
    service = Service(refuse=bucket(retry_after=1))
    prompts = [f"p{i}" for i in range(600)]
    report = await run(service, output, prompts, concurrency=concurrency)
    assert (report.done, report.failed) == (600, 0)
    assert report.elapsed <= 24 * ratio
    assert set(service.paid.values()) == {1}


@pytest.mark.slow
@pytest.mark.parametrize("bucket", [FillingBucket, Window])
async def test_a_storm_without_any_header_is_weathered_by_concurrency(output, bucket):
    service = Service(refuse=bucket())
    report = await run(service, output, [f"p{i}" for i in range(600)], concurrency=100)
    assert (report.done, report.failed) == (600, 0)
    assert report.elapsed <= 24 * 2
    assert report.refused < 400


@pytest.mark.slow
async def test_limits_that_are_given_are_never_run_into(output):
    service = Service(refuse=FillingBucket())
    prompts = [f"p{i}" for i in range(200)]
    report = await run(service, output, prompts, requests_per_minute=1500, concurrency=50)
    assert report.refused == 0
    assert report.elapsed == pytest.approx(200 / 25, abs=0.2)


@pytest.mark.slow
async def test_limits_are_learned_from_headers_before_anything_is_refused(output):
    """600 a minute, of which 30 are left: after those, ten a second."""

    class Telling(Service):
        left, at = 30.0, 0.0

        def headers(self):
            now = self.clock.monotonic()
            self.left, self.at = min(self.left + (now - self.at) * 10, 600) - 1, now
            assert self.left >= -8  # those that were under way before the first answer
            used = 600 - self.left
            return {
                "x-ratelimit-limit-requests": "600",
                "x-ratelimit-remaining-requests": str(int(self.left)),
                "x-ratelimit-reset-requests": f"{used / 10:.3f}s",
            }

    told = []
    report = await run(Telling(), output, [f"p{i}" for i in range(130)], on_progress=told.append)
    assert report.elapsed == pytest.approx(10, abs=1)
    assert told[-1].requests_per_minute == pytest.approx(600, rel=0.05)


@pytest.mark.slow
async def test_a_minute_in_the_headers_and_a_second_in_the_bucket_are_both_learned(output):
    """The headers promise 1,500 at once; the service takes 25 a second."""

    class Promising(Service):
        def headers(self):
            return {
                "x-ratelimit-limit-requests": "1500",
                "x-ratelimit-remaining-requests": "1475",
                "x-ratelimit-reset-requests": "1s",
            }

    service = Promising(refuse=FillingBucket(retry_after=1))
    report = await run(service, output, [f"p{i}" for i in range(600)], concurrency=100)
    assert (report.done, report.failed) == (600, 0)
    assert report.elapsed <= 24 * 1.25
    assert report.refused < 130  # those of the first moment


@pytest.mark.parametrize("concurrency", [1, 8])
async def test_tokens_are_reserved_by_estimate_and_settled_by_usage(output, concurrency):
    """Answers may have 93 tokens, and have 4: what was set aside comes back."""
    options = {"params": {"max_tokens": 93}, "tokens_per_minute": 6000}
    report = await run(Service(), output, concurrency=concurrency, **options)
    # 40 rows of 7 tokens are 2.8 s at 100 a second; each waits until its 100 could be sent.
    assert report.elapsed < 10
    assert report.usage.total == 280


async def test_one_429_slows_the_whole_job_down_once(output):
    service = Service(refuse=lambda number, now: too_many(10) if number == 3 else None)
    report = await run(service, output)
    assert 10 < report.elapsed < 11
    assert (report.refused, report.requests) == (1, 41)


async def test_rows_are_never_given_up_for_429_while_the_deadline_holds(output):
    service = Service(refuse=lambda number, now: too_many() if now < 600 else None)
    report = await run(service, output, max_retries=0)
    assert report.complete
    assert report.failed == 0


async def test_the_deadline_ends_the_job_and_the_rest_is_left_for_another_run(output):
    service = Service(refuse=lambda number, now: too_many(1) if number > 5 else None)
    report = await run(service, output, deadline=30)
    assert report.stopped == "deadline"
    assert report.elapsed <= 30
    assert report.outcome_unknown == ()
    assert "resume=True" in str(report)
    service.refuse = None
    report = await run(service, output, resume=True)
    assert (report.skipped, report.done) == (5, 35)
    assert set(service.paid.values()) == {1}


async def test_an_exhausted_quota_ends_the_job_and_fails_no_row(output):
    quota = (429, {}, {"error": {"message": "pay", "code": "insufficient_quota"}})
    service = Service(refuse=lambda number, now: quota if number > 10 else None)
    report = await run(service, output)
    assert (report.stopped, report.done, report.failed) == ("quota", 10, 0)


async def test_a_job_that_was_stopped_reads_no_further(output):
    """A budget, a quota, a deadline: nobody goes through the rest of an endless source."""
    quota = (429, {}, {"error": {"message": "pay", "code": "insufficient_quota"}})
    service = Service(refuse=lambda number, now: quota)
    endless = (f"p{i}" for i in count())
    report = await run(service, output, endless)
    assert report.stopped == "quota"
    assert report.rows < 1000

    async def silent():
        yield "p"
        await anyio.sleep_forever()

    report = await run(service, output.with_name("silent.jsonl"), silent())
    assert report.stopped == "quota"


async def test_a_wrong_key_is_an_error_at_once_and_fails_no_row(output):
    service = Service(refuse=lambda number, now: (401, {}, {"error": {"message": "no"}}))
    async with job_on(service, output) as job:
        with pytest.raises(errors.AuthenticationError):
            await job.run()
    assert service.requests <= 8
    assert job.report.failed == 0


# --- rows that fail ---


@pytest.mark.slow
async def test_failures_that_pass_are_tried_again(output):
    def flaky(number, now):
        if number % 3 == 0:
            return 500, {}, {"error": {"message": "oops"}}
        if number % 3 == 1:
            return errors.BackendError("reset", phase="read")
        return None

    report = await run(Service(refuse=flaky), output, max_retries=20)
    assert report.complete
    assert report.retried > 40
    assert report.failed == 0


async def test_a_row_that_fails_is_written_with_its_cause_and_the_rest_goes_on(output):
    bad = (400, {"x-request-id": "req_1"}, {"error": {"message": "too long", "code": "context"}})
    service = Service(refuse=lambda number, now: bad if number == 5 else None)
    async with job_on(service, output) as job:
        failed = [result async for result in job if not result.ok]
    assert job.report.failed == 1
    assert job.report.complete
    (line,) = lines(error_path(output))
    assert line["error"] == {"code": "context", "message": "too long", "attempts": 1}
    assert line["response"]["status_code"] == 400
    assert line["response"]["request_id"] == "req_1"
    assert failed[0].error.code == "context"
    with pytest.raises(ValueError, match="too long"):
        failed[0].answer  # noqa: B018
    service.refuse = None
    report = await run(service, output, resume=True)
    assert (report.skipped, report.done) == (40, 0)
    report = await run(service, output, resume=True, retry_failed=True)
    assert (report.skipped, report.done) == (39, 1)
    assert not error_path(output).exists()


@pytest.mark.parametrize(
    ("refusal", "code"),
    [
        ((500, {}, b""), "status_500"),
        (errors.BackendError("reset", phase="read"), "connection"),
        (errors.BackendError("slow", phase="timeout"), "timeout"),
        ((200, {}, b'{"cut off'), "invalid_answer"),
        ((200, {}, b"[]"), "invalid_answer"),
    ],
)
async def test_every_failure_has_a_code(output, refusal, code):
    service = Service(refuse=lambda number, now: refusal)
    report = await run(service, output, ["a"])
    assert (report.failed, report.requests) == (1, 3)
    (line,) = lines(error_path(output))
    assert (line["error"]["code"], line["error"]["attempts"]) == (code, 3)


async def test_a_row_that_takes_too_long_is_cut_off_and_tried_again(output):
    service = Service(latency_s=5)
    report = await run(service, output, ["a"], timeout=1, max_retries=1)
    assert report.failed == 1
    assert lines(error_path(output))[0]["error"]["code"] == "timeout"
    assert service.under_way == 0


async def test_too_many_failures_stop_the_job(output):
    bad = (400, {}, {"error": {"message": "no"}})
    service = Service(refuse=lambda number, now: bad)
    report = await run(service, output, max_failed=5)
    assert report.stopped == "failures"
    assert 5 <= report.failed <= 5 + 8


# --- answers that shall fit a class ---


class Term(BaseModel):
    word: str


async def test_answers_that_do_not_fit_are_asked_for_again_with_the_error(output):
    service = Service()

    def answer(body):
        good = len(body["messages"]) > 1
        content = '{"word": "a priori"}' if good else '{"wurd": 1}'
        message = {"role": "assistant", "content": content}
        usage = {"prompt_tokens": 3, "completion_tokens": 4}
        return {"choices": [{"index": 0, "message": message}], "usage": usage}

    service.answer = answer
    options = {"response_format": Term, "endpoint": "/v1/chat/completions"}
    async with job_on(service, output, ["Define it"], **options) as job:
        (result,) = [result async for result in job]
    assert result.parsed == Term(word="a priori")
    assert result.usage.total == 14  # both answers were paid
    again = service.bodies[1]["messages"]
    assert again[1] == {"role": "assistant", "content": '{"wurd": 1}'}
    assert "word: Field required" in again[2]["content"]


async def test_an_answer_that_never_fits_fails_its_row(output):
    service = Service()  # answers no JSON
    options = {"response_format": Term, "endpoint": "/v1/chat/completions", "max_retries": 1}
    report = await run(service, output, ["Define it"], **options)
    (line,) = lines(error_path(output))
    assert line["error"]["code"] == "does_not_fit"
    assert (report.failed, report.requests, report.usage.total) == (1, 2, 14)


async def test_an_answer_that_the_limit_of_tokens_cuts_is_paid_once(output):
    service = Service()
    cut = {"message": {"role": "assistant", "content": '{"wo'}, "finish_reason": "length"}
    service.answer = lambda body: {"choices": [cut]}
    options = {"response_format": Term, "endpoint": "/v1/chat/completions", "max_retries": 5}
    report = await run(service, output, ["Define it"], **options)
    assert (report.failed, report.requests) == (1, 1)
    assert "ended with 'length'" in lines(error_path(output))[0]["error"]["message"]


# --- budgets ---


async def test_a_budget_is_never_broken_whatever_is_under_way(output):
    service = Service()
    budget = Budget(tokens=120)
    report = await run(service, output, budget=budget, params={"max_tokens": 4})
    assert report.stopped == "budget"
    assert 7 * report.done <= 120
    assert report.done >= 10  # what was set aside for long answers came back
    again = await run(service, output, budget=budget, params={"max_tokens": 4}, resume=True)
    assert report.usage.total + again.usage.total <= 120


async def test_a_budget_in_dollars_goes_by_the_prices_given(output):
    prices = Prices(
        as_of="2026-11-01",
        usd_per_million_input_tokens={"m": 1_000_000},
        usd_per_million_output_tokens={"m": 2_000_000},
    )
    report = await run(
        Service(), output, budget=Budget(usd=100), prices=prices, params={"max_tokens": 4}
    )
    assert report.stopped == "budget"
    assert report.usd == 11 * report.done  # 3 tokens asked, 4 answered
    assert report.usd <= 100


async def test_a_budget_that_nothing_can_hold_is_refused(output):
    with pytest.raises(errors.ConfigurationError, match="needs the prices of m"):
        await run(Service(), output, budget=Budget(usd=1))
    service = Service()
    with pytest.raises(errors.DatasetError, match=r"Nothing bounds the tokens.*max_completion"):
        await run(
            service,
            output.with_name("chat.jsonl"),
            budget=Budget(tokens=10),
            endpoint="/v1/chat/completions",
        )
    assert service.requests == 0


async def test_a_dry_run_counts_and_prices_and_sends_nothing(output):
    service = Service()
    prices = Prices(
        as_of="2026-11-01",
        usd_per_million_input_tokens={"m": 1},
        usd_per_million_output_tokens={"m": 2},
    )
    job = job_on(service, output, ["four", "four", "eight888"], prices=prices)
    found = await job.estimate()
    assert (found.rows, found.duplicates, found.prompt_tokens, found.answer_tokens) == (3, 1, 4, 48)
    assert found.usd == pytest.approx((4 + 2 * 48) / 1e6)
    assert service.requests == 0
    assert not output.exists()


# --- stopping ---


async def test_stop_finishes_what_is_under_way_and_pays_nothing_twice(output):
    service = Service(latency_s=1)
    async with job_on(service, output) as job, anyio.create_task_group() as tasks:
        tasks.start_soon(job.run)
        await service.clock.sleep(2.5)
        job.stop()
    assert (job.report.stopped, job.report.done) == ("interrupted", 24)
    assert job.report.outcome_unknown == ()
    report = await run(service, output, resume=True)
    assert (report.done, report.skipped) == (16, 24)
    assert set(service.paid.values()) == {1}


async def test_cancelling_the_caller_finishes_what_is_under_way(output):
    service = Service(latency_s=1)
    with anyio.CancelScope() as scope:
        async with job_on(service, output) as job, anyio.create_task_group() as tasks:
            tasks.start_soon(job.run)
            await service.clock.sleep(2.5)
            scope.cancel()
    assert scope.cancelled_caught
    assert len(lines(output)) == 24
    await run(service, output, resume=True)
    assert set(service.paid.values()) == {1}


async def test_leaving_at_once_names_what_is_in_doubt(output):
    service = Service(latency_s=1)
    async with job_on(service, output) as job, anyio.create_task_group() as tasks:
        tasks.start_soon(job.run)
        await service.clock.sleep(2.5)
        job.abort()
    assert job.report.done == 16
    assert len(job.report.outcome_unknown) == 8
    report = await run(service, output, resume=True)
    assert set(report.outcome_unknown) == set(job.report.outcome_unknown)
    assert len(lines(output)) == 40


async def test_an_error_of_whoever_takes_results_comes_out_and_loses_nothing(output):
    service = Service(latency_s=1)

    async def take():
        async with job_on(service, output) as job:
            async for _ in job:
                1 / 0  # noqa: B018

    with pytest.raises(ZeroDivisionError):
        await take()
    paid = sum(service.paid.values())
    assert len(lines(output)) == paid >= 8


async def test_rows_that_were_refused_are_not_in_doubt_after_a_stop(output):
    service = Service(refuse=lambda number, now: too_many(100))
    async with job_on(service, output) as job, anyio.create_task_group() as tasks:
        tasks.start_soon(job.run)
        await service.clock.sleep(5)
        job.stop()
    service.refuse = None
    assert (await run(service, output, resume=True)).outcome_unknown == ()
    assert set(service.paid.values()) == {1}


# --- what belongs to an output ---


async def test_an_output_that_is_there_is_never_written_over(output):
    await run(Service(), output, ["a"])
    before = output.read_bytes()
    with pytest.raises(errors.ConfigurationError, match="resume=True, or choose another"):
        await run(Service(), output, ["a"])
    assert output.read_bytes() == before


async def test_two_runs_on_one_journal_are_refused(output):
    async with job_on(Service(), output):
        with pytest.raises(errors.ConfigurationError, match="another run is using"):
            await run(Service(), output, resume=True)


async def test_a_job_is_resumed_only_as_what_it_was(output):
    await run(Service(), output, ["a"])
    with pytest.raises(errors.ConfigurationError, match=r"model='m', not 'other'"):
        await run(Service(), output, ["a"], model="other", resume=True)
    assert (await run(Service(), output, ["a"], resume=True)).skipped == 1


async def test_a_template_is_known_again(output):
    options = {"template": {"prompt": "{text}", "stop": ("x",)}, "resume": True}
    await run(Service(), output, ["a"], **options)
    assert (await run(Service(), output, ["a"], **options)).skipped == 1


async def test_more_workers_start_when_the_concurrency_grows(output):
    service = Service()
    await run(service, output, [f"p{n}" for n in range(250)], concurrency="auto")
    assert service.most_under_way > 16
