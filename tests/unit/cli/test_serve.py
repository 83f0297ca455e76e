"""`tunesmith serve` serves until Ctrl-C, and then ends quietly."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from email.utils import parsedate_to_datetime

import httpx
import pytest
from click.testing import CliRunner

from tunesmith.cli.app import app

SERVE = "from tunesmith.cli import main; main()"


@contextmanager
def running(*options, **environment):
    process = subprocess.Popen(
        [sys.executable, "-c", SERVE, "serve", "--port", "0", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )
    try:
        output = "".join(process.stdout.readline() for _ in range(6))
        yield process, re.search(r"http://\S+/v1", output).group(), output
    finally:
        process.kill()
        process.communicate()


@pytest.mark.slow
def test_the_service_has_the_time_of_today_and_the_models_that_are_named():
    with running("--realtime", "--model", "llama-3") as (_, url, _):
        response = httpx.get(f"{url}/models", headers={"authorization": "Bearer any"})
        assert "llama-3" in {model["id"] for model in response.json()["data"]}
        date = parsedate_to_datetime(response.headers["date"]).timestamp()
        assert abs(date - time.time()) < 60


@pytest.mark.slow
def test_it_serves_and_ctrl_c_ends_it_quietly():
    with running("--speed", "1000000") as (process, url, output):
        assert url.startswith("http://127.0.0.1:")
        key = {"authorization": "Bearer any"}
        assert httpx.get(f"{url}/models", headers=key).status_code == 200
        request = {"model": "davinci-002", "prompt": "Kant", "stream": True}
        with httpx.stream("POST", f"{url}/completions", headers=key, json=request):
            process.send_signal(signal.SIGINT)
            rest, errors = process.communicate(timeout=20)
    assert process.returncode == 0
    assert f"export OPENAI_BASE_URL={url} OPENAI_API_KEY=any" in output
    assert (rest, errors) == ("Stopped.\n", "")


@pytest.mark.slow
def test_sigterm_closes_the_state_before_the_process_ends(tmp_path):
    """As `docker stop` and systemd send it; trainings write a checkpoint when they are closed."""
    with running("--state", str(tmp_path / "state")) as (process, url, _):
        httpx.get(f"{url}/models", headers={"authorization": "Bearer any"})
        assert (tmp_path / "state" / "holder.json").exists()
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)
    assert process.returncode == 128 + signal.SIGTERM
    assert {path.name for path in (tmp_path / "state").iterdir()} == {"blobs", "service.sqlite"}


@pytest.mark.slow
def test_the_key_may_come_from_the_environment_and_is_not_printed():
    with running(TUNESMITH_SERVE_API_KEY="sk-secret") as (process, url, output):
        refused = httpx.get(f"{url}/models", headers={"authorization": "Bearer any"})
        answered = httpx.get(f"{url}/models", headers={"authorization": "Bearer sk-secret"})
        process.send_signal(signal.SIGINT)
        rest, errors = process.communicate(timeout=20)
    assert (refused.status_code, answered.status_code) == (401, 200)
    assert "sk-secret" not in output + rest + errors


@pytest.mark.slow
def test_faults_of_a_file_reach_clients_and_those_not_injected_are_listed(tmp_path):
    path = tmp_path / "faults.json"
    path.write_text('[{"on": "models.list", "overloaded": 9}, {"on": "files.list", "delay": 1}]')
    key = {"authorization": "Bearer any"}
    with running("--faults", str(path)) as (process, url, _):
        first, second = (httpx.get(f"{url}/models", headers=key) for _ in range(2))
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=20)
    assert (first.status_code, first.headers["retry-after"]) == (503, "9")
    assert second.status_code == 200
    assert "Fault not injected: files.list, call 1:" in errors


def test_a_wrong_file_of_faults_is_an_error_before_anything_is_served(tmp_path):
    path = tmp_path / "faults.json"
    path.write_text('[{"on": "models.list", "dely": 1}]')
    result = invoke("--port", "0", "--faults", str(path))
    assert result.exit_code == 1
    assert "rule 1: unknown fault 'dely'" in result.output


@pytest.mark.slow
def test_web_pages_of_this_machine_and_of_named_origins_are_allowed():
    key = {"authorization": "Bearer any"}
    with running("--cors-origin", "https://example.com") as (_, url, _):
        origins = ["http://localhost:5173", "https://example.com", "https://evil.example"]
        responses = [httpx.get(f"{url}/models", headers={**key, "origin": o}) for o in origins]
    allowed = [each.headers.get("access-control-allow-origin") for each in responses]
    assert allowed == [*origins[:2], None]


def invoke(*arguments):
    return CliRunner().invoke(app, ["serve", *arguments])


def test_a_port_in_use_is_named():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = invoke("--port", str(port))
    assert result.exit_code == 1
    assert f"cannot listen on 127.0.0.1:{port}" in result.output


@pytest.mark.parametrize(("engine", "message"), [
    ("gpt", "must be ngram, transformers or package.module:Class"),
    ("no.such:Engine", "No module named 'no'"),
    ("tunesmith.clock:Engine", "has no attribute 'Engine'"),
    ("json:loads", "missing 1 required positional argument"),
    ("tunesmith:MemoryBackend", "must implement tunesmith.service.engines.base.Engine"),
])  # fmt: skip
def test_an_unknown_engine_is_refused(engine, message):
    result = invoke("--port", "0", "--engine", engine)
    assert result.exit_code == 2
    assert message in " ".join(result.output.replace("│", " ").split())


@pytest.mark.parametrize("options", [
    ["--speed", "0"],
    ["--port", "x"],
    ["--port", "65536"],
    ["--quota-tokens", "-1"],
    ["--api-key", ""],
])  # fmt: skip
def test_options_are_checked(options):
    assert invoke(*options).exit_code == 2


@pytest.mark.slow
def test_a_state_is_served_again_after_a_kill(tmp_path):
    state = str(tmp_path / "served.state")
    key = {"authorization": "Bearer any"}
    rows = b"".join(b'{"prompt": "%d ->", "completion": " a"}\n' % n for n in range(12))
    with running("--state", state, "--speed", "1000000") as (process, url, _):
        file = {"file": ("a.jsonl", rows)}
        sent = httpx.post(f"{url}/files", headers=key, data={"purpose": "fine-tune"}, files=file)
        request = {"model": "davinci-002", "training_file": sent.json()["id"]}
        created = httpx.post(f"{url}/fine_tuning/jobs", headers=key, json=request).json()
        job_url = f"/fine_tuning/jobs/{created['id']}"
        job = poll(url + job_url, headers=key)
        process.kill()
    with running("--state", state, "--realtime") as (process, url, _):
        assert httpx.get(url + job_url, headers=key).json() == job
        request = {
            "model": job["fine_tuned_model"],
            "prompt": "3 ->",
            "temperature": 0,
            "max_tokens": 1,
        }
        answer = httpx.post(f"{url}/completions", headers=key, json=request)
        assert answer.json()["choices"][0]["text"] == " a"


def poll(job_url, headers):
    for _ in range(1000):
        job = httpx.get(job_url, headers=headers).json()
        if job["finished_at"]:
            return job
    pytest.fail(f"job did not end: {job}")


def test_a_state_named_before_the_command_is_served(tmp_path):
    state = tmp_path / "no.state"
    state.write_text("prompt,completion\n")
    for arguments in (["--state", state, "serve"], ["serve", "--state", state]):
        result = CliRunner().invoke(app, [*map(str, arguments), "--port", "0"])
        assert result.exit_code == 1
        assert "no.state is not a folder" in "".join(result.output.split("\n"))


WEIGHTS = ("--engine", "transformers", "--model", "x=./x")


@pytest.mark.parametrize(("arguments", "message"), [
    (("--engine", "transformers"), "transformers needs a model: --model NAME=FOLDER or"),
    (("--engine", "transformers", "--model", "x"), "Write it as --model NAME=FOLDER or"),
    (("--model", "x=/nowhere"), "need --engine transformers"),
    (("--as", "gpt-4o-mini=x"), "need --engine transformers"),
    (("--train-command", "torchrun"), "need --engine transformers"),
    ((*WEIGHTS, "--train-command", "'srun"), "--train-command: No closing quotation"),
    (("--engine", "a:B", "--model", "x"), "--model cannot be combined with a:B"),
])  # fmt: skip
def test_models_that_an_engine_cannot_have_are_refused(arguments, message):
    result = invoke("--port", "0", *arguments)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())


@pytest.mark.parametrize(("arguments", "message"), [
    (["--model", "x=./modles/y"], "model 'x': folder /.*/modles/y does not exist; give the folder"),
    (["--model", "x=ORG"], "folder /.* does not exist; give .* or the id of one on the hub"),
    (["--model", "x=org/y", "--as", "a=b"], "cannot name 'b' 'a': models are x"),
])  # fmt: skip
def test_models_that_are_not_there_are_wrong_usage(arguments, message):
    pytest.importorskip("jinja2")
    result = invoke("--port", "0", "--engine", "transformers", *arguments)
    assert result.exit_code == 2
    assert re.search(message, " ".join(result.stderr.split()))
