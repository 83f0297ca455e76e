"""What is given wrongly is refused before anything is touched, and costs nothing that was paid."""

import asyncio
import json

import pytest
from pydantic import BaseModel
from tests.unit.batch.services import Service, asked

from tunesmith import AsyncClient, errors
from tunesmith.batch import BatchJob, Budget
from tunesmith.batch.response_validation import ResponseValidator

pytestmark = pytest.mark.anyio


@pytest.fixture
def output(tmp_path):
    return tmp_path / "answers.jsonl"


async def run(service, output, source, **options):
    options = {"model": "m", "concurrency": 4, "max_retries": 1} | options
    async with BatchJob(source, output, client=AsyncClient(backend=service), **options) as job:
        return await job.run()


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


# --- options ---


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"order": "inptu"}, "order must be one of completed, input, not 'inptu'"),
        ({"mode": "batches"}, "mode must be one of live, batch, auto, not 'batches'"),
        ({"concurrency": "3"}, "concurrency must be 'auto' or a number from 1, not '3'"),
        ({"concurrency": 0}, "concurrency must be 'auto' or a number from 1, not 0"),
        ({"max_failed": 0}, "max_failed must be a number from 1, not 0"),
        ({"max_retries": -1}, "max_retries must be a number from 0, not -1"),
        ({"timeout": 0}, "timeout must be a number of seconds above 0, not 0"),
        ({"deadline": -1}, "deadline must be a number of seconds above 0, not -1"),
        ({"budget": 5}, "budget must be a Budget, not 5"),
        ({"requests_per_minute": 0}, "a limit must be a number above 0, not 0"),
        ({"tokens_per_minute": -5}, "a limit must be a number above 0, not -5"),
    ],
)
async def test_an_option_that_makes_no_sense_is_refused_by_name(output, options, message):
    with pytest.raises(errors.ConfigurationError, match=message):
        await run(Service(), output, ["a"], **options)
    assert not output.exists()


@pytest.mark.parametrize("text", ["-5usd", "0usd", "nanusd", "0tokens", "-1tokens"])
def test_a_budget_is_above_zero(text):
    with pytest.raises(errors.ConfigurationError, match="a budget must be"):
        Budget.parse(text)


async def test_a_callback_that_would_have_to_be_awaited_is_refused(output):
    async def tell(progress): ...

    with pytest.raises(errors.ConfigurationError, match="pass a plain function"):
        await run(Service(), output, ["a"], on_progress=tell)


async def test_an_error_of_the_callback_comes_out_as_it_is(output):
    def tell(progress):
        raise LookupError("no such bar")

    with pytest.raises(LookupError, match="no such bar"):
        await run(Service(), output, ["a"], on_progress=tell)
    assert len(lines(output)) == 1


def test_a_source_that_is_cancelled_interrupts_the_job(tmp_path):
    async def rows():
        yield "a"
        raise asyncio.CancelledError  # of a task that it waits for

    report = asyncio.run(run(Service(), tmp_path / "answers.jsonl", rows()))
    assert (report.stopped, report.complete) == ("interrupted", False)


# --- files ---


@pytest.mark.parametrize("order", ["completed", "input"])
async def test_the_source_is_never_taken_for_the_output(tmp_path, order):
    source = tmp_path / "prompts.jsonl"
    source.write_text('{"custom_id":"a","prompt":"a"}')  # no line break at the end
    with pytest.raises(errors.ConfigurationError, match="is the source: choose another output"):
        await run(Service(), source, source, resume=True, order=order)
    assert source.read_text() == '{"custom_id":"a","prompt":"a"}'
    assert list(tmp_path.iterdir()) == [source]


@pytest.mark.parametrize("order", ["completed", "input"])
@pytest.mark.parametrize(
    "content", ['{"custom_id":"a","prompt":"a"}\n', '{"text":"torn?', "a,b\n1,2\n"]
)
async def test_a_file_that_no_job_has_written_is_left_as_it_is(output, content, order):
    output.write_text(content)
    with pytest.raises(errors.ConfigurationError, match="no journal records that this job"):
        await run(Service(), output, ["a"], resume=True, order=order)
    assert output.read_text() == content


@pytest.mark.parametrize("torn", [b"", b'{"cust', b'{"custom_id":"a","resp', b"\0" * 9])
async def test_what_is_torn_is_still_known_as_a_jobs(output, torn):
    output.write_bytes(torn)
    assert (await run(Service(), output, ["a"], resume=True)).done == 1
    assert len(lines(output)) == 1


async def test_an_output_with_the_name_of_a_journal_is_refused(tmp_path):
    with pytest.raises(errors.ConfigurationError, match=r"cannot be an output: choose a \.jsonl"):
        await run(Service(), tmp_path / "a.journal", ["a"])


# --- answers ---


class Word(BaseModel):
    word: str


@pytest.mark.parametrize(
    "choices",
    [
        None,
        [],
        {},
        ["x"],
        [{"message": "x"}],
        [{"message": {"content": ["x"]}}],
        [{"finish_reason": {}, "message": {"content": None}}],
    ],
)
def test_an_answer_of_any_shape_fits_or_does_not(choices):
    with pytest.raises(errors.InvalidResponseError):
        ResponseValidator(Word).parse({"choices": choices})


async def test_an_answer_of_a_strange_shape_fails_its_row_and_not_the_job(output):
    service = Service()
    usage = {"prompt_tokens": 3, "completion_tokens": 4}
    good = {"choices": [{"message": {"role": "assistant", "content": '{"word":"x"}'}}]}
    service.answer = lambda body: (
        {"choices": ["?"], "usage": usage} if "a" in asked(body) else good | {"usage": usage}
    )
    options = {"response_format": Word, "endpoint": "/v1/chat/completions"}
    report = await run(service, output, ["a", "b"], **options)
    assert (report.done, report.failed) == (1, 1)
    assert report.outcome_unknown == ()


# --- rows that failed ---


async def test_rows_that_failed_and_are_sent_again_are_not_in_doubt(output):
    bad = (400, {}, {"error": {"message": "no"}})
    service = Service(refuse=lambda number, now: bad)
    assert (await run(service, output, ["a", "b"])).failed == 2
    service.refuse = None
    report = await run(service, output, ["a", "b"], resume=True, retry_failed=True)
    assert report.done == 2
    assert report.outcome_unknown == ()


@pytest.mark.slow
async def test_what_failed_rows_have_cost_counts_in_the_budget_of_later_runs(output):
    service = Service()  # answers no JSON
    options = {
        "response_format": Word,
        "endpoint": "/v1/chat/completions",
        "params": {"max_tokens": 4},
        "max_retries": 0,
        "budget": Budget(tokens=700),
        "concurrency": 1,
    }
    paid = 0
    for runs in range(50):  # noqa: B007 - looked at below
        report = await run(service, output, ["a"], resume=True, retry_failed=True, **options)
        paid += report.usage.total
        if report.stopped == "budget":
            break
    assert runs > 5
    assert paid <= 700


# --- rows that are no requests ---

ROWS = [
    '{"custom_id":"a","text":"a"}',
    '{"custom_id":"b","te',
    '{"custom_id":"c","txt":"c"}',
    '{"custom_id":"a","text":"twice"}',
    "[1]",
    '{"custom_id":"f","text":"f"}',
]


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "prompts.jsonl"
    path.write_text("\n".join(ROWS))
    return path


@pytest.mark.parametrize("order", ["completed", "input"])
async def test_a_row_that_is_no_request_fails_alone_and_says_why(output, source, order):
    service = Service()
    options = {"template": "{text}", "order": order}
    report = await run(service, output, source, **options)
    assert (report.done, report.failed, report.remaining) == (2, 4, 0)
    assert service.requests == 2
    failed = lines(output.with_name("answers.errors.jsonl"))
    assert {line["error"]["code"] for line in failed} == {"invalid_row"}
    assert {line["error"]["attempts"] for line in failed} == {0}
    said = [line["error"]["message"] for line in failed]
    assert "prompts.jsonl:2: This line is not JSON" in said[0]
    assert "on_broken" not in said[0]
    assert "prompts.jsonl:3: The template does not match this row: 'text'" in said[1]
    assert "prompts.jsonl:4: The custom_id 'a' is not unique" in said[2]
    assert "prompts.jsonl:5: This line is a list, not an object" in said[3]
    assert failed[1]["custom_id"] == "c"
    again = await run(service, output, source, resume=True, **options)
    assert (again.skipped, again.failed, again.done) == (6, 0, 0)


async def test_rows_that_were_mended_are_sent_and_the_others_are_not_sent_again(output, source):
    service = Service()
    await run(service, output, source, template="{text}")
    mended = [*ROWS[:1], '{"custom_id":"b","text":"b"}', '{"custom_id":"c","text":"c"}', ROWS[5]]
    source.write_text("\n".join(mended))
    options = {"template": "{text}", "resume": True, "retry_failed": True}
    report = await run(service, output, source, **options)
    assert (report.done, report.skipped, report.failed) == (2, 2, 0)
    assert service.paid == {"a": 1, "b": 1, "c": 1, "f": 1}


@pytest.mark.parametrize("first", ['{"txt":"a"}', '{"te'])
async def test_if_the_first_row_is_no_request_the_job_ends_at_once(output, source, first):
    source.write_text("\n".join([first, *ROWS]))
    service = Service()
    with pytest.raises(errors.DatasetError, match=r"prompts\.jsonl:1: "):
        await run(service, output, source, template="{text}")
    assert service.requests == 0


async def test_rows_that_are_no_requests_count_among_those_that_stop_the_job(output):
    report = await run(Service(), output, ["a", *range(100)], max_failed=5)
    assert report.stopped == "failures"


@pytest.mark.slow
async def test_rows_that_are_no_requests_wait_for_whoever_takes_results(output):
    def rows():
        yield "a"
        for number in range(5000):
            taken.append(number)
            yield number

    taken = []
    client = AsyncClient(backend=Service())
    async with BatchJob(rows(), output, client=client, model="m") as job:
        results = aiter(job)
        for _ in range(100):
            await anext(results)
        assert len(taken) < 1500
        rest = [result async for result in results]
    assert len(rest) == 4901


async def test_a_dry_run_tells_of_rows_that_would_fail(output, source):
    client = AsyncClient(backend=Service())
    job = BatchJob(source, output, client=client, model="m", template="{text}")
    found = await job.estimate()
    assert (found.rows, found.invalid) == (2, 4)
    assert "4 invalid rows would fail, first: " in str(found)
    assert "prompts.jsonl:2: This line is not JSON" in str(found)
    assert json.loads(found.to_json())["rows"] == 2


async def test_a_template_that_raises_fails_its_row_and_ends_the_job_at_the_first_one(output):
    def template(fields):
        return {"prompt": fields["text"]}

    report = await run(Service(), output, [{"text": "a"}, {"txt": "a"}], template=template)
    assert (report.done, report.failed) == (1, 1)
    assert "The template raised KeyError" in report.causes[0].message
    with pytest.raises(KeyError):
        await run(Service(), output.with_name("b.jsonl"), [{"txt": "a"}], template=template)


# --- what is told ---


async def test_the_report_counts_what_is_not_done_though_it_was_never_read(output):
    service = Service(refuse=lambda number, now: (401, {}, b"") if number > 30 else None)
    prompts = [f"p{i}" for i in range(3000)]
    async with BatchJob(prompts, output, client=AsyncClient(backend=service), model="m") as job:
        with pytest.raises(errors.AuthenticationError):
            await job.run()
    report = job.report
    assert (report.rows, report.done + report.remaining) == (3000, 3000)
    assert not report.complete


async def test_causes_are_counted_and_do_not_grow_without_end(output):
    def refuse(number, now):
        code = "often" if number % 2 else f"code_{number}"
        return 400, {}, {"error": {"message": "no " + "x" * 1000, "code": code}}

    prompts = [f"p{i}" for i in range(100)]
    report = await run(Service(refuse=refuse), output, prompts)
    assert (report.causes[0].code, report.causes[0].rows) == ("often", 50)
    assert sum(cause.rows for cause in report.causes) == 100
    assert len(report.causes) == 21
    assert len(str(report)) < 2000
    assert json.loads(report.to_json())["causes"][0]["code"] == "often"


async def test_answers_are_kept_though_their_rows_are_not_in_the_source_any_more(output):
    service = Service()
    await run(service, output, ["a", "b", "c"], order="input")
    report = await run(service, output, ["c", "d"], order="input", resume=True)
    assert (report.skipped, report.done) == (1, 1)
    found = [line["response"]["body"]["choices"][0]["text"] for line in lines(output)]
    assert found == ["answer to c", "answer to d", "answer to a", "answer to b"]


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": "half a pair: \ud83d"},
        {"custom_id": "\ud83d", "prompt": "b"},
        {"prompt": object()},
        {"prompt": "b", "custom_id": 1.5},
    ],
)
async def test_what_no_file_can_hold_fails_alone(output, row):
    report = await run(Service(), output, ["a", row, "c"])
    assert (report.done, report.failed) == (2, 1)
    (line,) = lines(output.with_name("answers.errors.jsonl"))
    assert line["error"]["code"] == "invalid_row"
    again = await run(Service(), output, ["a", row, "c"], resume=True)
    assert again.skipped >= 2
