"""`tunesmith playground` serves the page for another server; `tunesmith serve` has it at /."""

import os
import re
import subprocess
import sys
from contextlib import contextmanager

import httpx
import pytest
from click.testing import CliRunner

from tunesmith.cli.app import app

MAIN = "from tunesmith.cli import main; main()"


@contextmanager
def running(*arguments, **environment):
    """Run a command; give the first address that it prints."""
    process = subprocess.Popen(
        [sys.executable, "-c", MAIN, *arguments],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )
    try:
        addresses = (
            re.search(r"http://127\.0\.0\.1:\d+/(#\S+)?", line)
            for line in process.stdout
            if "playground of" not in line
        )
        yield next(filter(None, addresses)).group()
    finally:
        process.kill()
        process.communicate()


@pytest.mark.slow
def test_the_page_of_another_server_has_a_key_of_its_own_and_adds_that_of_the_server():
    with (
        running("serve", "--port", "0", "--api-key", "sk-real") as server,
        running(
            *("playground", "--port", "0", "--base-url", f"{server}v1"), OPENAI_API_KEY="sk-real"
        ) as page,
    ):
        address, key = page.split("#key=")
        assert "sk-real" not in page
        assert httpx.get(address).status_code == 200
        for path in ("v1/models", "playground/api/models"):
            answers = [
                httpx.get(address + path, headers={"authorization": f"Bearer {each}"})
                for each in (key, "sk-real", "any")
            ]
            assert [answer.status_code for answer in answers] == [200, 401, 401]
        config = httpx.get(f"{address}playground/api/config").json()
        assert config["base_url"] == f"{server}v1"


@pytest.mark.slow
def test_serve_has_the_page_unless_it_is_switched_off():
    key = {"authorization": "Bearer any"}
    with running("serve", "--port", "0") as address:
        assert "<title>tunesmith playground</title>" in httpx.get(address).text
    with running("serve", "--port", "0", "--no-playground") as address:
        assert httpx.get(address, headers=key).status_code == 404


def test_a_service_in_memory_has_its_page_elsewhere():
    result = CliRunner().invoke(app, ["--backend", "memory", "playground"])
    assert result.exit_code == 2
    assert "tunesmith serve" in result.output
