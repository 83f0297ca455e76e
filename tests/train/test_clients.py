"""Clients and libraries that know nothing of tunesmith train real weights."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

pytest.importorskip("torch", reason="needs tunesmith[train]")
pytest.importorskip("peft", reason="needs tunesmith[train]")

HERE = Path(__file__).parent
INSTALLED = HERE.parent / "clients" / ".installed"
LIMIT_S = 300
LEARNT = "y"
"""The first letter of each answer in the data; a random model learns the others with some seeds."""

pytestmark = pytest.mark.slow


def installed(name, *parts):
    path = INSTALLED.joinpath(name, *parts)
    if not path.exists():
        pytest.skip(f"{name} is not installed: tests/clients/install does it")
    return path


@pytest.fixture(scope="module")
def url(tiny, warm_command, tmp_path_factory):
    """Base URL of a server of the tiny model, under names of official models."""
    command = [sys.executable, "-m", "tunesmith", "serve", "--port", "0"]
    command += ["--state", str(tmp_path_factory.mktemp("clients") / "state")]
    command += ["--engine", "transformers", "--model", f"tiny={tiny}"]
    command += ["--as", "gpt-4o-mini=tiny", "--as", "babbage-002=tiny"]
    *launcher, _ = warm_command("tunesmith.train")
    command += ["--train-command", shlex.join(launcher)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        yield re.search(r"http\S+", server.stdout.readline())[0]
        server.terminate()


@pytest.fixture
def run(url, tmp_path):
    """Function that runs a program against the server; returns its output."""

    def run(*command):
        environment = {"OPENAI_BASE_URL": url, "OPENAI_API_BASE": url, "OPENAI_API_KEY": "any"}
        done = subprocess.run(
            [str(part) for part in command],
            env={**os.environ, **environment, "HOME": str(tmp_path)},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            timeout=LIMIT_S,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


def losses(url, path):
    """Return the training losses of a job, in order."""
    response = httpx.get(f"{url}/{path}", headers={"authorization": "Bearer any"})
    events = response.raise_for_status().json()["data"]
    found = [re.search(r"training loss=([0-9.]+)", event["message"]) for event in events]
    return [float(match[1]) for match in reversed(found) if match]


@pytest.mark.parametrize("version", ["1", "2", "3"])
def test_the_official_python_client(version, run):
    python = installed(f"openai-{version}", "bin", "python")
    job = run(python, HERE / "lifecycle.py", "create").strip()
    assert run(python, HERE / "lifecycle.py", "finish", job).startswith("ft:gpt-4o-mini:")


def test_the_official_node_client(run, url):
    if shutil.which("node") is None:
        pytest.skip("node is not installed")
    installed("node", "node_modules", "openai")
    job, *answers = json.loads(run("node", HERE / "lifecycle.mjs", INSTALLED / "node"))
    whole, streamed = answers
    assert whole == streamed
    assert whole.startswith(LEARNT)
    first, *_, last = losses(url, f"fine_tuning/jobs/{job}/events?limit=100")
    assert last < first


def test_the_command_line_of_2023(run, url, tmp_path):
    client = installed("openai-0", "bin", "openai")
    rows = [{"prompt": f"{n} ->", "completion": " yes"} for n in range(20)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    options = ["--n_epochs", "12", "--learning_rate_multiplier", "20"]
    create = ["fine_tunes.create", "-t", "rows.jsonl", "-m", "babbage-002", *options]
    output = run(client, "api", *create)
    assert "Job complete! Status: succeeded" in output
    fine_tune = re.search(r"Created fine-tune: (ft-\w+)", output)[1]
    model = re.search(r"Uploaded model: (\S+)", output)[1]
    prompt = ["-m", model, "-p", "7 ->", "-M", "4", "-t", "0"]
    assert run(client, "api", "completions.create", *prompt).startswith(f"7 -> {LEARNT}")
    header, *steps = run(client, "api", "fine_tunes.results", "-i", fine_tune).split()
    assert header.startswith("step,elapsed_tokens,elapsed_examples,training_loss")
    first, *_, last = (float(step.split(",")[3]) for step in steps)
    assert last < first


def test_finetune_of_dspy(run, url):
    output = run(installed("tuners", "bin", "python"), HERE / "tuners.py", "dspy")
    job, answer = json.loads(output.splitlines()[-1])
    assert answer.startswith(LEARNT)
    first, *_, last = losses(url, f"fine_tuning/jobs/{job}/events?limit=100")
    assert last < first


def test_the_finetune_engine_of_llama_index(run, url):
    output = run(installed("tuners", "bin", "python"), HERE / "tuners.py", "llama-index")
    job, model = json.loads(output.splitlines()[-1])
    assert model.startswith("ft:gpt-4o-mini:")
    first, *_, last = losses(url, f"fine_tuning/jobs/{job}/events?limit=100")
    assert last < first
