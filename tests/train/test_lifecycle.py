"""Real weights go through the whole API, and the server may be killed on the way."""

import os
import re
import select
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="needs tunesmith[train]")
pytest.importorskip("peft", reason="needs tunesmith[train]")

CLIENTS = Path(__file__).parents[1] / "clients" / ".installed"
SCRIPT = Path(__file__).with_name("lifecycle.py")

pytestmark = pytest.mark.slow


@contextmanager
def serve(tiny, state):
    """Serve the tiny model; yield the process and the address."""
    command = [sys.executable, "-m", "tunesmith", "serve", "--port", "0", "--state", str(state)]
    command += ["--engine", "transformers", "--model", f"tiny={tiny}", "--as", "gpt-4o-mini=tiny"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        yield server, re.search(r"http\S+", server.stdout.readline())[0]
        server.kill()


def run_client(url, *arguments):
    python = next(CLIENTS.glob("openai-*/bin/python"))
    environment = {**os.environ, "OPENAI_BASE_URL": url, "OPENAI_API_KEY": "any"}
    done = subprocess.run(
        [python, SCRIPT, *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.skipif(not CLIENTS.exists(), reason="needs tests/clients/install")
def test_a_job_survives_the_death_of_the_server_and_its_model_answers(tiny, tmp_path):
    state = tmp_path / "state"
    with serve(tiny, state) as (server, url):
        job = run_client(url, "create")
        while not list(state.glob("**/checkpoint-*/progress.json")):
            assert server.poll() is None
            select.select([], [], [], 0.1)
        server.kill()
    with serve(tiny, state) as (_, url):
        run_client(url, "finish", job)
