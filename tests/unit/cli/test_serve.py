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
        said = "".join(process.stdout.readline() for _ in range(4))
        yield process, re.search(r"http://\S+/v1", said).group(), said
    finally:
        process.kill()
        process.communicate()


@pytest.mark.slow
def test_it_lives_today():
    with running("--realtime") as (_, url, _):
        response = httpx.get(f"{url}/models", headers={"authorization": "Bearer any"})
        told = parsedate_to_datetime(response.headers["date"]).timestamp()
        assert abs(told - time.time()) < 60


@pytest.mark.slow
def test_it_serves_and_ctrl_c_ends_it_quietly():
    with running("--speed", "1000000") as (process, url, said):
        assert url.startswith("http://127.0.0.1:")
        key = {"authorization": "Bearer any"}
        assert httpx.get(f"{url}/models", headers=key).status_code == 200
        asked = {"model": "davinci-002", "prompt": "Kant", "stream": True}
        with httpx.stream("POST", f"{url}/completions", headers=key, json=asked):
            process.send_signal(signal.SIGINT)
            rest, errors = process.communicate(timeout=20)
    assert process.returncode == 0
    assert f"export OPENAI_BASE_URL={url} OPENAI_API_KEY=any" in said
    assert (rest, errors) == ("Served.\n", "")


@pytest.mark.slow
def test_the_key_may_come_from_the_environment_and_is_not_printed():
    with running(TUNESMITH_SERVE_API_KEY="sk-secret") as (process, url, said):
        refused = httpx.get(f"{url}/models", headers={"authorization": "Bearer any"})
        answered = httpx.get(f"{url}/models", headers={"authorization": "Bearer sk-secret"})
        process.send_signal(signal.SIGINT)
        rest, errors = process.communicate(timeout=20)
    assert (refused.status_code, answered.status_code) == (401, 200)
    assert "sk-secret" not in said + rest + errors


def invoke(*arguments):
    return CliRunner().invoke(app, ["serve", *arguments])


def test_a_port_that_is_taken_is_named():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = invoke("--port", str(port))
    assert result.exit_code == 1
    assert f"cannot listen on 127.0.0.1:{port}" in result.output


@pytest.mark.parametrize(("engine", "says"), [
    ("gpt", "neither 'ngram' nor package.module:Class"),
    ("no.such:Engine", "No module named 'no'"),
    ("tunesmith.clock:Engine", "has no attribute 'Engine'"),
    ("json:loads", "missing 1 required positional argument"),
    ("tunesmith:MemoryBackend", "makes no engine"),
])  # fmt: skip
def test_an_engine_that_is_not_there_is_named(engine, says):
    result = invoke("--engine", engine)
    assert result.exit_code == 2
    assert says in " ".join(result.output.replace("│", " ").split())


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
def test_a_state_goes_on_at_the_next_server_even_after_a_kill(tmp_path):
    state = str(tmp_path / "served.state")
    key = {"authorization": "Bearer any"}
    rows = b"".join(b'{"prompt": "%d ->", "completion": " a"}\n' % n for n in range(12))
    with running("--state", state, "--speed", "1000000") as (process, url, _):
        file = {"file": ("a.jsonl", rows)}
        sent = httpx.post(f"{url}/files", headers=key, data={"purpose": "fine-tune"}, files=file)
        asked = {"model": "davinci-002", "training_file": sent.json()["id"]}
        made = httpx.post(f"{url}/fine_tuning/jobs", headers=key, json=asked).json()
        job_url = f"/fine_tuning/jobs/{made['id']}"
        job = poll(url + job_url, headers=key)
        process.kill()
    with running("--state", state, "--realtime") as (process, url, _):
        assert httpx.get(url + job_url, headers=key).json() == job
        asked = {
            "model": job["fine_tuned_model"],
            "prompt": "3 ->",
            "temperature": 0,
            "max_tokens": 1,
        }
        answer = httpx.post(f"{url}/completions", headers=key, json=asked)
        assert answer.json()["choices"][0]["text"] == " a"


def poll(job_url, headers):
    for _ in range(1000):
        job = httpx.get(job_url, headers=headers).json()
        if job["finished_at"]:
            return job
    pytest.fail(f"it never ended: {job}")


def test_a_state_named_before_the_command_is_served(tmp_path):
    state = tmp_path / "no.state"
    state.write_text("prompt,completion\n")
    for arguments in (["--state", state, "serve"], ["serve", "--state", state]):
        result = CliRunner().invoke(app, [*map(str, arguments), "--port", "0"])
        assert result.exit_code == 1
        assert "no.state is no state of a tunesmith service" in "".join(result.output.split("\n"))
