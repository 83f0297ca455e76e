"""The quickstart runs as described in the README."""

import json
import os
import re
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_the_quickstart_teaches_a_model_about_kant():
    done = subprocess.run(
        [sys.executable, ROOT / "examples" / "quickstart.py"],
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=True,
    )
    shown = done.stdout
    for step in ("1. Prepare", "2. Upload", "3. Fine-tune", "4. Complete"):
        assert step in shown
    assert "The job has successfully completed" in shown
    before, after = map(float, re.search(r"Training loss: +(\S+) → (\S+)", shown).groups())
    assert after < before / 5
    validation = [
        float(loss) for loss in re.findall(r"\d+\.\d+", shown.split("Validation loss")[1])
    ]
    assert validation[2] < validation[1] < validation[0]
    untuned, tuned = shown.strip().splitlines()[-2:]
    assert "space, time, substance, causality" in tuned
    assert "space, time" not in untuned


OFFERED = {
    "nothing": set(),
    "chat only": {("POST", "/v1/chat/completions")},
    "files": {("POST", "/v1/files"), ("GET", "/v1/files")},
    "jobs without results": {
        ("POST", "/v1/files"),
        ("GET", "/v1/files"),
        ("POST", "/v1/fine_tuning/jobs"),
        ("GET", "/v1/fine_tuning/jobs/ftjob-1"),
        ("GET", "/v1/fine_tuning/jobs/ftjob-1/events"),
    },
}
EMPTY = {"object": "list", "data": []}
FILE = {"id": "file-1", "object": "file", "filename": "kant.jsonl", "bytes": 1}
JOB = {
    "id": "ftjob-1",
    "object": "fine_tuning.job",
    "status": "succeeded",
    "fine_tuned_model": "ft",
}
EVENT = {"id": "e1", "object": "event", "message": "The job has successfully completed"}
RESPONSES = {
    ("POST", "/v1/files"): FILE,
    ("POST", "/v1/fine_tuning/jobs"): JOB,
    ("GET", "/v1/fine_tuning/jobs/ftjob-1"): JOB,
    ("GET", "/v1/fine_tuning/jobs/ftjob-1/events"): {"object": "list", "data": [EVENT]},
}


class Partial(BaseHTTPRequestHandler):
    """A server that offers a part of the API."""

    offered = frozenset()

    def respond(self):
        self.rfile.read(int(self.headers.get("content-length") or 0))
        path = self.path.partition("?")[0]
        is_offered = (self.command, path) in self.offered
        body = RESPONSES.get((self.command, path), EMPTY) if is_offered else {"detail": "Not Found"}
        content = json.dumps(body).encode()
        self.send_response(200 if is_offered else 404)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = respond  # noqa: N815 - names of the base class

    def log_message(self, *_):
        pass


@pytest.mark.parametrize("name", OFFERED)
def test_the_quickstart_ends_in_a_sentence_where_a_server_lacks_a_part(name):
    handler = type("Handler", (Partial,), {"offered": OFFERED[name]})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        done = subprocess.run(
            [sys.executable, ROOT / "examples" / "quickstart.py"],
            env={
                **os.environ,
                "OPENAI_API_KEY": "sk-1",
                "OPENAI_BASE_URL": f"http://127.0.0.1:{server.server_port}/v1",
            },
            capture_output=True,
            text=True,
            encoding="utf-8",
            check=False,
        )
        server.shutdown()
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "stopped: " in done.stdout.splitlines()[-1]


def test_the_quickstart_ends_in_a_sentence_without_a_server():
    done = subprocess.run(
        [sys.executable, ROOT / "examples" / "quickstart.py"],
        env={**os.environ, "OPENAI_API_KEY": "sk-1", "OPENAI_BASE_URL": "ftp://nowhere"},
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("The quickstart stopped: ")
    assert done.stderr.count("\n") == 1
