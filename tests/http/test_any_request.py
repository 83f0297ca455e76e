"""The server never fails on requests that the OpenAPI document allows or forbids.

The test sends few requests; to send more: `python -m tests.http.test_any_request 20000`. With
`1/1 FOLDER` after the number, the models are those of a folder with real weights.
"""

import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings, strategies as st
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
MAX_DURATION_S = 2


@contextmanager
def serving(engine=None):
    """Serve one object of each kind; yield the URL, and ids by parameter."""
    service = Service(seed=1, engine=engine, clock=VirtualClock(autojump=False, rate=1000))
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
    with httpx.Client(base_url=url, headers=KEY, timeout=120) as http:

        def create(path, **options):
            response = http.post(path, **options)
            assert response.status_code == 200, response.text
            return response.json()["id"]

        content = {"file": ("a.jsonl", json_lines(pairs(12)))}
        file = create("/files", data={"purpose": "fine-tune"}, files=content)
        training = {"training_file": file}
        message = {"role": "user", "content": "Kant?"}
        return {
            "file_id": file,
            "fine_tuning_job_id": create(
                "/fine_tuning/jobs", json={"model": "babbage-002", **training}
            ),
            "fine_tune_id": create("/fine-tunes", json={"model": "ada", **training}),
            "completion_id": create(
                "/chat/completions",
                json={"model": "gpt-4o-mini", "messages": [message], "store": True},
            ),
            "response_id": create(
                "/responses", json={"model": "gpt-4o-mini", "input": "Who was Kant?"}
            ),
            "upload_id": create(
                "/uploads",
                json={
                    "filename": "a", "bytes": 3, "purpose": "vision", "mime_type": "text/plain",
                },
            ),
            "model": "davinci-002",
        }  # fmt: skip


def send_generated(operation, mode, examples, url, objects):
    """Generate requests and send them; return their durations in seconds."""
    durations = []

    @settings(
        max_examples=examples,
        database=None,
        deadline=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(mode), use_existing=st.booleans())
    def send(case, use_existing):
        if use_existing and mode is GenerationMode.POSITIVE:
            existing = {k: v for k, v in objects.items() if k in (case.path_parameters or {})}
            case.path_parameters = {**(case.path_parameters or {}), **existing}
        response = case.call(base_url=url, session=session, headers=KEY, timeout=30)
        durations.append(response.elapsed)
        case.validate_response(response, checks=CHECKS)

    with requests.Session() as session:
        send()
    return durations


@pytest.fixture(scope="module")
def served():
    with serving() as (url, objects):
        yield url, objects


@pytest.mark.parametrize("label", OPERATIONS)
def test_every_response_is_as_the_document_describes(label, served):
    for mode in MODES:
        send_generated(OPERATIONS[label], mode, EXAMPLES, *served)


def real_weights(folder):
    """Return an engine of a folder's model under the names of the requests."""
    from tunesmith.service.engines.transformers.engine import TransformersEngine

    aliases = dict.fromkeys(("ada", "babbage-002", "davinci-002", "gpt-4o-mini"), "base")
    return TransformersEngine({"base": Path(folder)}, aliases=aliases)


def main(n_requests, part="1/1", folder=None):
    """Send a number of requests; part `2/3` takes every third operation, from the second."""
    first, step = (int(n) for n in part.split("/"))
    examples = int(n_requests) // (len(OPERATIONS) * len(MODES)) + 1
    durations = []
    failures = 0
    with serving(real_weights(folder) if folder else None) as (url, objects):
        for label in list(OPERATIONS)[first - 1 :: step]:
            for mode in MODES:
                try:
                    durations += send_generated(OPERATIONS[label], mode, examples, url, objects)
                except BaseExceptionGroup as error:
                    failures += 1
                    sys.stderr.write(f"{label} {mode.name}: {error.exceptions}\n")
            n_slow = sum(duration > MAX_DURATION_S for duration in durations)
            sys.stdout.write(
                f"{len(durations)} requests, {failures} failures, slowest "
                f"{max(durations, default=0):.2f} s, {n_slow} over {MAX_DURATION_S} s, "
                f"after {label}\n"
            )
            sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
