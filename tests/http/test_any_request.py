"""Whatever the API's own document allows, and what it forbids: the server never fails over it.

The test run asks little; to ask as often as you like: `python -m tests.http.test_any_request 20000`
"""

import sys
import threading
import time
from contextlib import contextmanager

import httpx
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from tests.contract.data import json_lines, pairs

from tunesmith.clock import VirtualClock
from tunesmith.service.http.openapi import openapi_document
from tunesmith.service.http.uvicorn_server import base_url_of, bind_socket, create_server
from tunesmith.service.service import Service

KEY = {"authorization": "Bearer sk-test"}
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
SCHEMA = schemathesis.openapi.from_dict(dict(openapi_document()))
OPERATIONS = {result.ok().label: result.ok() for result in SCHEMA.get_all_operations()}
MODES = [GenerationMode.POSITIVE, GenerationMode.NEGATIVE]
EXAMPLES = 2


@contextmanager
def serving():
    """A service on a socket that has one of each; gives its URL, and ids by parameter."""
    service = Service(seed=1, clock=VirtualClock(autojump=False, rate=1000))
    server = create_server(service.asgi_app())
    with bind_socket() as listener:
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        while not server.started:
            time.sleep(0.002)
        url = base_url_of(listener)
        try:
            yield url, objects_of(url)
        finally:
            server.should_exit = True
            thread.join(20)


def objects_of(url):
    with httpx.Client(base_url=url, headers=KEY) as http:

        def made(path, **options):
            answer = http.post(path, **options)
            assert answer.status_code == 200, answer.text
            return answer.json()["id"]

        content = {"file": ("a.jsonl", json_lines(pairs(12)))}
        file = made("/files", data={"purpose": "fine-tune"}, files=content)
        asked = {"training_file": file}
        message = {"role": "user", "content": "Kant?"}
        return {
            "file_id": file,
            "fine_tuning_job_id": made("/fine_tuning/jobs", json={"model": "babbage-002", **asked}),
            "fine_tune_id": made("/fine-tunes", json={"model": "ada", **asked}),
            "completion_id": made(
                "/chat/completions",
                json={"model": "gpt-4o-mini", "messages": [message], "store": True},
            ),
            "upload_id": made(
                "/uploads",
                json={
                    "filename": "a", "bytes": 3, "purpose": "vision", "mime_type": "text/plain",
                },
            ),
            "model": "davinci-002",
        }  # fmt: skip


def ask_often(operation, mode, examples, url, objects):
    """Make up requests, and send them; gives how many."""
    sent = 0

    @settings(
        max_examples=examples,
        database=None,
        deadline=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(mode), known=st.booleans())
    def ask(case, known):
        nonlocal sent
        if known and mode is GenerationMode.POSITIVE:
            found = {k: v for k, v in objects.items() if k in (case.path_parameters or {})}
            case.path_parameters = {**(case.path_parameters or {}), **found}
        response = case.call(base_url=url, session=session, headers=KEY, timeout=30)
        sent += 1
        case.validate_response(response, checks=CHECKS)

    with requests.Session() as session:
        ask()
    return sent


@pytest.fixture(scope="module")
def served():
    with serving() as (url, objects):
        yield url, objects


@pytest.mark.slow
@pytest.mark.parametrize("label", OPERATIONS)
def test_whatever_is_asked_the_answer_is_as_the_document_says(label, served):
    for mode in MODES:
        ask_often(OPERATIONS[label], mode, EXAMPLES, *served)


def main(requests_wanted, part="1/1"):
    """Ask so often in all; a part such as `2/3` takes every third operation, from the second."""
    first, step = (int(n) for n in part.split("/"))
    each = int(requests_wanted) // (len(OPERATIONS) * len(MODES)) + 1
    total = failures = 0
    with serving() as (url, objects):
        for label in list(OPERATIONS)[first - 1 :: step]:
            for mode in MODES:
                try:
                    total += ask_often(OPERATIONS[label], mode, each, url, objects)
                except BaseExceptionGroup as error:
                    failures += 1
                    sys.stderr.write(f"{label} {mode.name}: {error.exceptions}\n")
            sys.stdout.write(f"{total} requests, {failures} failures, after {label}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
