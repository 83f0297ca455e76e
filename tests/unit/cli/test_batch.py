"""`tunesmith batch`: batch jobs from the command line."""

import json
import signal

import pytest
from tests.unit.batch.services import Service, too_many

from tunesmith import AsyncClient
from tunesmith.cli.connection import ServiceOptions


@pytest.fixture
def service(monkeypatch):
    """The service that the command calls."""
    service = Service()
    monkeypatch.setattr(ServiceOptions, "client", lambda _: AsyncClient(backend=service))
    return service


@pytest.fixture
def prompts(folder):
    (folder / "prompts.jsonl").write_text('{"prompt":"a"}\n{"prompt":"b"}\n')
    return "prompts.jsonl"


def batch(run, *args):
    return run(" ".join(["batch run", *args, "-o answers.jsonl -m m"]))


def test_a_job_is_run_and_reported(run, prompts, service, folder):
    done = batch(run, prompts, "--param", "max_tokens=5", "--param", "stop=x")
    assert done.exit_code == 0, done.output
    assert "2 answered, 0 failed" in done.stdout
    assert len((folder / "answers.jsonl").read_text().splitlines()) == 2
    assert {"prompt": "a", "model": "m", "max_tokens": 5, "stop": "x"} in service.bodies
    status = run("batch status answers.jsonl")
    assert status.stdout == "answers.jsonl: 2 of 2 answered, 0 failed; complete\n"


def test_resume_sends_no_answered_row_again(run, prompts, service, folder):
    batch(run, prompts)
    again = batch(run, prompts)
    assert again.exit_code == 1
    assert "answers.jsonl already exists: resume with --resume" in again.output
    done = batch(run, prompts, "--resume")
    assert "0 answered, 0 failed, 2 finished before" in done.stdout
    assert service.requests == 2


def test_failed_rows_are_exit_code_1_and_can_be_retried(run, prompts, service, folder):
    bad = (400, {}, {"error": {"message": "no such model."}})
    service.refuse = lambda number, now: bad if number == 1 else None
    done = batch(run, prompts)
    assert done.exit_code == 1
    assert "Failed: 1 by status_400: no such model" in done.stdout
    assert "Causes are in answers.errors.jsonl; retry these rows with --retry-failed" in done.stdout
    assert batch(run, prompts, "--retry-failed").exit_code == 0


def test_a_stopped_job_is_exit_code_3_with_a_hint(run, prompts, service, folder):
    service.refuse = lambda number, now: too_many(5) if number > 1 else None
    done = batch(run, prompts, "--deadline", "20", "--concurrency", "1")
    assert done.exit_code == 3
    assert "The deadline was reached" in done.stderr
    assert done.output.count("resume with --resume and the same output") == 1


@pytest.mark.parametrize("press", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_waits_for_requests_in_flight_and_is_exit_code_3(run, service, folder, press):
    (folder / "prompts.txt").write_text("".join(f"p{i}\n" for i in range(100)))

    def pressed(number, now):
        if number == 10:
            signal.raise_signal(press)

    service.refuse = pressed
    service.latency_s = 1
    done = batch(run, "prompts.txt", "--concurrency", "4")
    assert done.exit_code == 3, done.output
    assert "Interrupted. Finished rows are kept" in done.stderr
    paid = sum(service.paid.values())
    assert 10 <= paid < 100
    assert len((folder / "answers.jsonl").read_text().splitlines()) == paid
    assert batch(run, "prompts.txt", "--resume").exit_code == 0
    assert set(service.paid.values()) == {1}


@pytest.mark.slow
def test_json_is_the_only_standard_output(run, prompts, service, folder):
    done = batch(run, prompts, "--json")
    assert json.loads(done.stdout)["done"] == 2


def test_a_dry_run_counts_tokens_and_cost(run, prompts, service, folder):
    (folder / "prices.json").write_text(
        '{"as_of": "2026-11-01", "usd_per_million_input_tokens": {"m": 1e6},'
        ' "usd_per_million_output_tokens": {"m": 1e6}}'
    )
    done = batch(run, prompts, "--dry-run", "--prices", "prices.json")
    assert done.exit_code == 0, done.output
    assert "2 rows, about 2 input tokens, at most 32 output tokens" in done.stdout
    assert "at most about $34.00" in done.stdout
    counted = json.loads(batch(run, prompts, "--dry-run", "--json").stdout)
    assert (counted["rows"], counted["answer_tokens"]) == (2, 32)
    assert service.requests == 0


def test_a_budget_stops_the_job(run, prompts, service, folder):
    done = batch(run, prompts, "--budget", "45tokens", "--concurrency", "1")
    assert done.exit_code == 3
    assert "could exceed the budget" in done.stderr


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--budget", "5eur"], "5usd or 200000tokens"),
        (["--concurrency", "0"], "must be a number from 1, or auto"),
        (["--param", "max_tokens"], "must be NAME=VALUE"),
        (["--rpm", "0"], "--rpm"),
        (["--timeout", "-1"], "--timeout"),
        (["--deadline", "0"], "--deadline"),
        (["--poll-interval", "0"], "--poll-interval"),
        (["--max-retries", "-1"], "--max-retries"),
    ],
)
def test_an_invalid_option_is_exit_code_2(run, prompts, service, folder, args, message):
    done = batch(run, prompts, *args)
    assert done.exit_code == 2
    assert message in done.output
    assert service.requests == 0


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--budget", "5usd"], "--prices FILE"),
        (["--budget", "5usd", "--prices", "training.json"], "_input_tokens and …_output_tokens of"),
        (["--prices", "0.5"], 'Pass a JSON file: {"as_of": '),
        (["--prices", "prompts.jsonl"], '"usd_per_million_output_tokens": {"MODEL": 1.5}}'),
        (["--endpoint", "/v1/images"], "/v1/chat/completions"),
        (["--endpoint", "/v1/chat/completions", "--budget", "5tokens"], "[prompt]"),
    ],
)
def test_errors_name_options_instead_of_arguments(run, prompts, service, folder, args, message):
    prices = {"as_of": "2026-11-01", "usd_per_million_training_tokens": {"m": 1}}
    (folder / "training.json").write_text(json.dumps(prices))
    done = batch(run, prompts, *args)
    assert done.exit_code == 1
    assert message in done.output
    assert service.requests == 0


def test_cancel_without_batches_changes_nothing(run, prompts, service, folder):
    batch(run, prompts)
    assert run("batch cancel answers.jsonl").stdout.startswith("No batch is in progress.")
    assert run("batch cancel answers.jsonl --json").stdout == "[]\n"
    nothing = run("batch cancel nothing.jsonl")
    assert nothing.exit_code == 1
    assert "This job does not exist." in nothing.stderr


def test_the_status_of_a_missing_job_is_an_error(run, folder):
    done = run("batch status none.jsonl")
    assert done.exit_code == 1
    assert "This job does not exist" in done.output


def test_a_report_is_written(run, prompts, service, folder):
    done = batch(run, prompts, "--report job.html")
    assert done.exit_code == 0, done.output
    page = (folder / "job.html").read_text()
    assert "2 answered, 0 failed" in page
    assert "Throughput" in page
    assert "refresh" not in page  # the job has ended
    options = page.split("Options")[1]
    assert '<th scope="row">Source</th><td>prompts.jsonl</td>' in options
    assert '<th scope="row">Max retries</th><td>5</td>' in options


def test_a_report_shows_the_options_of_earlier_runs(run, prompts, service, folder):
    service.refuse = lambda number, now: (401, {}, {"error": {"message": "no such key"}})
    batch(run, prompts, "--budget 90000tokens --max-retries 2 --param max_tokens=5")
    service.refuse = lambda number, now: None
    batch(run, prompts, "--resume --param max_tokens=5 --report job.html")
    runs = (folder / "job.html").read_text().split("<h2>Runs</h2>")[1]
    assert "Max retries: 2; Budget: 90,000 tokens" in runs
    assert '<th scope="row">Params</th><td>{&quot;max_tokens&quot;:5}</td>' in runs


def test_an_error_that_ends_a_job_is_told_with_its_report(run, prompts, service, folder):
    service.refuse = lambda number, now: (401, {}, {"error": {"message": "no such key"}})
    done = batch(run, prompts, "--json --report job.html")
    assert done.exit_code == 1
    assert "no such key" in done.stderr
    assert json.loads(done.stdout)["stopped"] == "error"
    assert "refresh" not in (folder / "job.html").read_text()
    assert "no such key" in run("batch status answers.jsonl").stdout


def test_a_report_that_cannot_be_written_keeps_the_output(run, prompts, service, folder):
    done = batch(run, prompts, "--report nowhere/job.html")
    assert done.exit_code == 0
    assert "Cannot write the report" in done.stderr
    assert len((folder / "answers.jsonl").read_text().splitlines()) == 2


def test_retries_are_reported_with_their_cause(run, prompts, service):
    lost = (500, {}, {"error": {"message": "The server had an error"}})
    service.refuse = lambda number, now: lost if number == 1 else None
    assert "1 retried (last: The server had an error)" in batch(run, prompts).stdout


@pytest.mark.parametrize("args", ["- -o answers.jsonl", "prompts.jsonl -o -"])
def test_a_pipe_is_rejected(run, prompts, service, folder, args):
    refused = run(f"batch run {args} -m m")
    assert refused.exit_code == 2
    assert "must be a file, so that --resume can reread it" in refused.output
    assert not [path for path in folder.iterdir() if path.name not in {"kant.csv", prompts}]


def test_a_dry_run_prints_json(run, prompts, service):
    done = batch(run, prompts, "--dry-run", "--json")
    assert json.loads(done.stdout)["rows"] == 2


def test_the_summary_shows_causes_of_failures(run, prompts, service):
    service.refuse = lambda number, now: (404, {}, {"error": {"message": "No m", "code": "none"}})
    done = batch(run, prompts)
    assert "Failed: 2 by none: No m. Causes" in done.stdout


def test_an_error_before_the_first_request_leaves_no_files(run, service, folder):
    (folder / "prompts.jsonl").write_text('{"txt":"a"}\n')
    failed = batch(run, "prompts.jsonl", "--template", "{text}")
    assert failed.exit_code == 1
    assert "An error ended the job before anything was sent" in failed.stderr
    assert not list(folder.glob("answers*"))
    assert batch(run, "prompts.jsonl", "--template", "{txt}").exit_code == 0


def test_an_output_in_a_missing_folder_is_an_error(run, prompts, service):
    failed = run(f"batch run {prompts} -o nowhere/answers.jsonl -m m")
    assert failed.exit_code == 1
    assert "nowhere is not a folder: create it first" in failed.output
