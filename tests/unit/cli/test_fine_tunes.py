"""`tunesmith fine-tunes`: from a file to results."""

import json

import httpx
import pytest
import respx

from tunesmith import BackendError, MemoryBackend
from tunesmith.service.core import sqlite_store


def lines(result):
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_a_path_is_uploaded_and_the_next_command_suggested(run, few, remembered, as_json):
    result = run("fine-tunes create -t few.jsonl -m babbage-002")
    assert result.exit_code == 0, result.output
    job = as_json("fine-tunes list")[0]
    assert f"id             {job['id']}" in result.stdout
    assert f"Next: tunesmith fine-tunes follow {job['id']}\n" in result.stderr
    assert as_json(f"files get {job['training_file']}")["filename"] == "few.jsonl"


def test_an_id_is_used_as_it_is(as_json, few, remembered):
    file = as_json("files upload few.jsonl")
    job = as_json(f"fine-tunes create -t {file['id']} -v {file['id']} -m babbage-002")
    assert (job["training_file"], job["validation_file"]) == (file["id"], file["id"])
    assert len(as_json("files list")) == 1


@respx.mock
def test_a_url_is_downloaded_and_uploaded(as_json, few, remembered):
    respx.get("https://data.example/sets/few%20rows.jsonl").respond(content=few.read_bytes())
    job = as_json(
        "fine-tunes create -t 'https://data.example/sets/few%20rows.jsonl' -m babbage-002"
    )
    file = as_json(f"files get {job['training_file']}")
    assert (file["filename"], file["bytes"]) == ("few rows.jsonl", few.stat().st_size)


@respx.mock
@pytest.mark.parametrize(
    ("response", "reason"),
    [
        (httpx.Response(404), "HTTP 404 Not Found"),
        (httpx.ConnectError("no route"), "no route"),
    ],
)
def test_a_failed_download_is_explained(run, remembered, response, reason):
    respx.get("https://data.example/a.jsonl").mock(side_effect=[response])
    result = run("fine-tunes create -t https://data.example/a.jsonl -m babbage-002")
    assert result.exit_code == 1
    expected = f"Error: Cannot download https://data.example/a.jsonl: {reason}\n"
    assert result.stderr == expected


@pytest.mark.slow
@respx.mock
def test_secrets_in_a_url_are_not_shown(run, few, remembered):
    secret = "//me:password@data.example/a.jsonl?signature=secret"
    respx.get(f"https:{secret}").mock(
        side_effect=[httpx.Response(200, content=few.read_bytes()), httpx.Response(403)]
    )
    for _ in range(2):
        result = run(f"fine-tunes create -t 'https:{secret}' -m babbage-002")
        assert "https://…@data.example/a.jsonl?…" in result.stderr
        assert "password" not in result.output
        assert "secret" not in result.output


@respx.mock
def test_a_url_may_lack_a_suffix(as_json, few, remembered):
    respx.get("https://data.example/sets/7").respond(content=few.read_bytes())
    job = as_json("fine-tunes create -t https://data.example/sets/7 -m babbage-002")
    assert as_json(f"files get {job['training_file']}")["filename"] == "7.jsonl"


@respx.mock
def test_a_url_of_a_table_is_not_downloaded(run, remembered):
    result = run("fine-tunes create -t https://data.example/my%20data.csv -m babbage-002")
    assert result.exit_code == 1
    assert result.stderr == (
        "Error: https://data.example/my%20data.csv is not a .jsonl file. "
        "Download and convert it first: tunesmith prepare 'my data.csv'\n"
    )


def test_a_reference_that_is_neither_file_nor_id_is_named(run, remembered):
    result = run("fine-tunes create -t nothing.jsonl -m babbage-002")
    assert result.exit_code == 1
    assert "nothing.jsonl is neither a local file nor the id of an uploaded one" in result.stderr


def test_a_table_must_be_converted_first(run, remembered):
    result = run("fine-tunes create -t ./kant.csv -m babbage-002")
    assert result.exit_code == 1
    assert "Convert it first: tunesmith prepare ./kant.csv" in result.stderr


def test_options_reach_the_job(as_json, few, remembered):
    job = as_json(
        "fine-tunes create -t few.jsonl -m babbage-002 --suffix ours --n-epochs 2 --batch-size 4 "
        "--learning-rate-multiplier 0.5 --seed 7 --metadata team=a=b --metadata x=y"
    )
    assert job["seed"] == 7
    assert job["user_provided_suffix"] == "ours"
    assert job["metadata"] == {"team": "a=b", "x": "y"}
    assert job["method"]["supervised"]["hyperparameters"] == {
        "n_epochs": 2,
        "batch_size": 4,
        "learning_rate_multiplier": 0.5,
    }


def test_other_methods_are_supported(as_json, few, folder, remembered):
    grader = {
        "type": "string_check",
        "name": "same",
        "operation": "eq",
        "input": "a",
        "reference": "a",
    }
    (folder / "grader.json").write_text(json.dumps(grader))
    create = "fine-tunes create -t few.jsonl"
    job = as_json(f"{create} -m gpt-4.1 --method dpo --beta 0.2")
    assert job["method"]["dpo"]["hyperparameters"]["beta"] == 0.2
    job = as_json(f"{create} -m o4-mini-2025-04-16 --method reinforcement --grader grader.json")
    assert job["method"]["reinforcement"]["grader"] == grader


@pytest.mark.parametrize(
    "options",
    ["--method reinforcement", "--grader kant.csv", "--beta 0.1", "--n-epochs 51", "--metadata x"],
)
def test_incompatible_options_are_usage_errors(run, few, remembered, options):
    result = run(f"fine-tunes create -t few.jsonl -m babbage-002 {options}")
    assert result.exit_code == 2


@pytest.mark.slow
def test_follow_in_a_pipe_prints_an_event_per_line(run, few, remembered):
    result = run("fine-tunes create -t few.jsonl -m babbage-002 --n-epochs 4 --follow")
    assert result.exit_code == 0, result.output
    messages = [line.split("  ", 1)[1] for line in result.stdout.splitlines()[:-1]]
    assert messages[0].startswith("Created fine-tuning job: ftjob-")
    assert messages[3] == "Fine-tuning job started"
    assert messages[4].startswith("Step 1/48: training loss=")
    steps = [line for line in messages if line.startswith("Step")]
    assert steps[-1].startswith("Step 48/48")
    assert 20 <= len(steps) <= 26
    assert messages[-1] == "The job has successfully completed"
    model = result.stdout.splitlines()[-1].removeprefix("Fine-tuned model: ")
    assert result.stderr.endswith(
        f"Next: tunesmith complete -m {model} 'YOUR PROMPT'\n"
        "Prompts should end like the prompts in the training data.\n"
    )


@pytest.mark.slow
def test_the_suggested_command_fits_the_base_of_a_continued_model(run, tuned):
    model = tuned["fine_tuned_model"]
    result = run(f"fine-tunes create -t few.jsonl -m {model} --suffix more --follow")
    assert "Next: tunesmith complete -m ft:babbage-002:personal:more:" in result.stderr


@pytest.mark.slow
def test_follow_as_json_prints_an_event_per_line_and_the_job_last(run, tuned):
    *events, job = lines(run(f"fine-tunes follow {tuned['id']} --json"))
    assert {event["object"] for event in events} == {"fine_tuning.job.event"}
    assert (job["object"], job["status"]) == ("fine_tuning.job", "succeeded")
    assert events[-1]["message"] == "The job has successfully completed"


@pytest.mark.slow
def test_follow_on_a_terminal_draws_a_curve(run, few, remembered, monkeypatch):
    from tunesmith.cli.output import Output

    monkeypatch.setattr(Output, "is_terminal", True)
    monkeypatch.setenv("COLUMNS", "100")
    result = run("fine-tunes create -t few.jsonl -v few.jsonl -m babbage-002 --follow")
    assert result.exit_code == 0, result.output
    assert result.stdout.count("│") >= 8
    assert "step 96 of 96   training loss" in result.stdout
    assert "validation loss" in result.stdout
    assert sum(0x2800 < ord(sign) < 0x2900 for sign in result.stdout) > 20


@pytest.mark.slow
def test_events_are_listed_oldest_first(run, tuned, as_json):
    events = as_json(f"fine-tunes events {tuned['id']}")
    assert events[0]["message"].startswith("Created fine-tuning job")
    assert as_json(f"fine-tunes events {tuned['id']} --limit 2") == events[-2:]
    assert run(f"fine-tunes events {tuned['id']}").stdout.count("\tinfo\t") == len(events)


@pytest.mark.slow
def test_results_are_csv_or_rows(run, tuned, as_json, folder):
    text = run(f"fine-tunes results {tuned['id']}").stdout
    head, first, *_ = text.splitlines()
    assert head == "step,train_loss,train_accuracy"
    assert first.startswith("1,")
    rows = as_json(f"fine-tunes results {tuned['id']}")
    assert [row["step"] for row in rows] == [str(n) for n in range(1, len(rows) + 1)]
    assert run(f"fine-tunes results {tuned['id']} -o steps.csv").exit_code == 0
    assert (folder / "steps.csv").read_text() == text


@pytest.mark.slow
def test_checkpoints_are_models(as_json, tuned):
    listed = as_json(f"fine-tunes checkpoints {tuned['id']}")
    assert listed[0]["fine_tuned_model_checkpoint"] == tuned["fine_tuned_model"]
    assert as_json(f"models get {listed[-1]['fine_tuned_model_checkpoint']}")


@pytest.mark.slow
def test_a_job_is_paused_resumed_and_cancelled(run, few, remembered, monkeypatch):
    now = 1_800_000_000.0
    monkeypatch.setattr(sqlite_store, "_wall_time", lambda: now)
    run("fine-tunes create -t few.jsonl -m babbage-002")
    job_id = run("fine-tunes list").stdout.split("\t")[0]
    now += 95  # the job runs by then

    paused = run(f"fine-tunes pause {job_id}")
    assert "status         paused" in paused.stdout
    assert f"Next: tunesmith fine-tunes resume {job_id}" in paused.stderr
    assert "status         queued" in run(f"fine-tunes resume {job_id}").stdout
    assert "status         cancelled" in run(f"fine-tunes cancel {job_id}").stdout


def test_a_cancelled_job_has_its_own_exit_code(run, few, remembered):
    run("fine-tunes create -t few.jsonl -m babbage-002")
    job_id = run("fine-tunes list").stdout.split("\t")[0]
    run(f"fine-tunes cancel {job_id}")
    result = run(f"fine-tunes follow {job_id}")
    assert result.exit_code == 3
    assert result.stderr == f"Error: The job {job_id} was cancelled.\n"


@pytest.mark.parametrize("option", ["", "--json"])
def test_a_failed_job_shows_the_reason(run, folder, remembered, option):
    (folder / "two.jsonl").write_text('{"prompt": "a", "completion": "b"}\n' * 2)
    result = run(f"fine-tunes create -t two.jsonl -m babbage-002 --follow {option}")
    assert result.exit_code == 3
    assert "must have at least 10 examples (invalid_n_examples)" in result.stderr


@pytest.mark.slow
def test_following_survives_dropped_connections(run, few, client_of):
    backend = client_of(Flaky())
    result = run("fine-tunes create -t few.jsonl -m babbage-002 --follow")
    assert result.exit_code == 0, result.output
    assert backend.failures > 10
    assert result.stdout.count("Fine-tuning job started") == 1


class Flaky:
    """A backend that loses every second response about events."""

    def __init__(self):
        self.inner = MemoryBackend()
        self.requests = self.failures = 0

    def send(self, request):
        if request.operation.endswith("list_events"):
            self.requests += 1
            if self.requests % 2:
                self.failures += 1
                raise BackendError("the connection broke", phase="read")
        return self.inner.send(request)

    async def aclose(self):
        await self.inner.aclose()
