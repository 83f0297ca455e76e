"""What is given wrongly is refused before anything is touched, and costs nothing that was paid."""

import json

import pytest
from pydantic import BaseModel
from tests.unit.batch.services import Service, asked

from tunesmith import AsyncClient, errors
from tunesmith.batch import Budget, Job
from tunesmith.batch.fitting import Fitting

pytestmark = pytest.mark.anyio


@pytest.fixture
def output(tmp_path):
    return tmp_path / "answers.jsonl"


async def run(service, output, source, **options):
    options = {"model": "m", "concurrency": 4, "max_retries": 1} | options
    async with Job(source, output, client=AsyncClient(backend=service), **options) as job:
        return await job.run()


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


# --- options ---


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"order": "inptu"}, "order is one of completed, input, not 'inptu'"),
        ({"via": "batches"}, "via is one of live, batch, auto, not 'batches'"),
        ({"concurrency": "3"}, "concurrency is 'auto' or a number from 1, not '3'"),
        ({"concurrency": 0}, "concurrency is 'auto' or a number from 1, not 0"),
        ({"max_failed": 0}, "max_failed is a number from 1, not 0"),
        ({"max_retries": -1}, "max_retries is a number from 0, not -1"),
        ({"timeout": 0}, "timeout is a number of seconds above 0, not 0"),
        ({"deadline": -1}, "deadline is a number of seconds above 0, not -1"),
        ({"budget": 5}, "budget is a Budget, not 5"),
        ({"requests_per_minute": 0}, "a limit is a number above 0, not 0"),
        ({"tokens_per_minute": -5}, "a limit is a number above 0, not -5"),
    ],
)
async def test_an_option_that_makes_no_sense_is_refused_by_name(output, options, message):
    with pytest.raises(errors.ConfigurationError, match=message):
        await run(Service(), output, ["a"], **options)
    assert not output.exists()


@pytest.mark.parametrize("text", ["-5usd", "0usd", "nanusd", "0tokens", "-1tokens"])
def test_a_budget_is_above_zero(text):
    with pytest.raises(errors.ConfigurationError, match="a budget is"):
        Budget.parse(text)


async def test_a_callback_that_would_have_to_be_awaited_is_refused(output):
    async def tell(progress): ...

    with pytest.raises(errors.ConfigurationError, match="give a plain function"):
        await run(Service(), output, ["a"], on_progress=tell)


async def test_an_error_of_the_callback_comes_out_as_it_is(output):
    def tell(progress):
        raise LookupError("no such bar")

    with pytest.raises(LookupError, match="no such bar"):
        await run(Service(), output, ["a"], on_progress=tell)
    assert len(lines(output)) == 1


# --- files ---


@pytest.mark.parametrize("order", ["completed", "input"])
async def test_the_source_is_never_taken_for_the_output(tmp_path, order):
    source = tmp_path / "prompts.jsonl"
    source.write_text('{"custom_id":"a","prompt":"a"}')  # no line break at the end
    with pytest.raises(errors.ConfigurationError, match="is the source: name another output"):
        await run(Service(), source, source, resume=True, order=order)
    assert source.read_text() == '{"custom_id":"a","prompt":"a"}'
    assert list(tmp_path.iterdir()) == [source]


@pytest.mark.parametrize("order", ["completed", "input"])
@pytest.mark.parametrize(
    "content", ['{"custom_id":"a","prompt":"a"}\n', '{"text":"torn?', "a,b\n1,2\n"]
)
async def test_a_file_that_no_job_has_written_is_left_as_it_is(output, content, order):
    output.write_text(content)
    with pytest.raises(errors.ConfigurationError, match="was not written by a job"):
        await run(Service(), output, ["a"], resume=True, order=order)
    assert output.read_text() == content


@pytest.mark.parametrize("torn", [b"", b'{"cust', b'{"custom_id":"a","resp', b"\0" * 9])
async def test_what_is_torn_is_still_known_as_a_jobs(output, torn):
    output.write_bytes(torn)
    assert (await run(Service(), output, ["a"], resume=True)).done == 1
    assert len(lines(output)) == 1


async def test_an_output_with_the_name_of_a_journal_is_refused(tmp_path):
    with pytest.raises(errors.ConfigurationError, match=r"cannot be an output: name a \.jsonl"):
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
    with pytest.raises(errors.ResponseInvalid):
        Fitting(Word).parse({"choices": choices})


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
    for again in range(50):
        report = await run(service, output, ["a"], resume=True, retry_failed=True, **options)
        paid += report.usage.total
        if report.stopped == "budget":
            break
    assert again > 5
    assert paid <= 700
