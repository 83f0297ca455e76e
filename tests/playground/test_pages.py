"""Requests of the page: its files, the key, models, training data, metrics."""

import gzip
import io
import json
import re
import tarfile

import httpx
import pytest
from tests.playground.conftest import new_app, new_backend

from tunesmith.backends.httpx import HttpxBackend
from tunesmith.playground.pages import Playground
from tunesmith.playground.proxy import ProxyBackend
from tunesmith.service.http.asgi import ASGIApp

pytestmark = pytest.mark.anyio

KEY = {"authorization": "Bearer any"}
ROWS = [{"prompt": f"Question {i}? ->", "completion": f" Answer {i}.\n"} for i in range(12)]


def jsonl(rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


@pytest.fixture
def backend():
    return new_backend()


@pytest.fixture
async def http(backend):
    transport = httpx.ASGITransport(new_app(backend))
    async with httpx.AsyncClient(transport=transport, base_url="http://service") as http:
        yield http


async def test_the_page_is_served_with_a_strict_policy(http):
    response = await http.get("/")
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    policy = response.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
    assert "unsafe" not in policy
    assert "require-trusted-types-for 'script'" in policy
    again = await http.get("/", headers={"if-none-match": response.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


async def test_the_first_page_is_below_100_kb_compressed(http):
    """The page, and all modules that it loads before it is drawn."""
    seen, size = set(), 0
    waiting = ["playground/app.js", "playground/style.css", "playground/icon.svg", ""]
    while waiting:
        path = waiting.pop()
        if path in seen:
            continue
        seen.add(path)
        async with http.stream("GET", f"/{path}", headers={"accept-encoding": "gzip"}) as response:
            assert response.headers["content-encoding"] == "gzip"
            body = b"".join([chunk async for chunk in response.aiter_raw()])
        size += len(body)
        text = gzip.decompress(body).decode()
        waiting += [f"playground/{each}" for each in re.findall(r'from "\./([\w/.]+)"', text)]
        waiting += re.findall(r'href="(playground/[^"]+)"', text)
    assert {"playground/vendor/preact.js", "playground/try.js"} <= seen
    assert size < 100_000


async def test_only_files_of_the_page_are_served(http):
    for path in ("/playground/../pages.py", "/playground/%2e%2e/pages.py", "/playground/none.js"):
        response = await http.get(path, headers=KEY)
        assert response.status_code == 404


async def test_the_page_is_left_out_of_other_apps(backend):
    transport = httpx.ASGITransport(ASGIApp(backend))
    async with httpx.AsyncClient(transport=transport, base_url="http://service") as http:
        assert (await http.get("/", headers=KEY)).status_code == 404


async def test_endpoints_of_the_page_need_the_key(backend):
    transport = httpx.ASGITransport(new_app(backend, api_key="sk-right"))
    async with httpx.AsyncClient(transport=transport, base_url="http://service") as http:
        config = (await http.get("/playground/api/config")).json()
        wrong = await http.get("/playground/api/models", headers=KEY)
        right = await http.get(
            "/playground/api/models", headers={"authorization": "Bearer sk-right"}
        )
    assert config["needs_key"] is True
    assert (wrong.status_code, right.status_code) == (401, 200)
    assert wrong.json()["error"]["code"] == "invalid_api_key"


async def test_models_are_in_groups_with_their_abilities(http):
    models = {
        each["id"]: each
        for each in (await http.get("/playground/api/models", headers=KEY)).json()["data"]
    }
    assert models["davinci-002"]["group"] == "base"
    assert "completions" in models["davinci-002"]["abilities"]
    assert "chat" not in models["davinci-002"]["abilities"]


async def post_dataset(http, content, **query):
    response = await http.post(
        "/playground/api/datasets",
        headers=KEY,
        params={"name": "kant.jsonl", **query},
        content=content,
    )
    return response.json()


async def test_findings_and_learnt_texts_are_shown(http):
    checked = await post_dataset(http, jsonl([*ROWS, ROWS[0]]), model="davinci-002")
    (finding,) = [each for each in checked["findings"] if each["code"] == "duplicates"]
    assert (finding["status"], finding["lines"]) == ("accepted", [13])
    assert (checked["rows"], checked["rows_after"]) == (13, 12)
    assert checked["preview"][0]["segments"] == [
        {"role": "prompt", "text": "Question 0? ->", "is_learned": False},
        {"role": "completion", "text": " Answer 0.\n", "is_learned": True},
    ]


async def test_models_that_split_rows_show_the_learnt_tokens(backend):
    class Model:
        def learned_tokens(self, row, format):
            return [[(row["prompt"], False), (format, True)]]

    async def open_model(name):
        return Model()

    app = ASGIApp(backend, pages=Playground(backend, open_model=open_model))
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://service") as http:
        checked = await post_dataset(http, jsonl(ROWS), model="babbage-002")
    assert checked["preview"][0]["tokens"] == [[["Question 0? ->", False], ["completions", True]]]


async def test_a_declined_repair_is_not_applied(http):
    checked = await post_dataset(http, jsonl([*ROWS, ROWS[0]]), declined="duplicates")
    assert checked["rows_after"] == 13


async def test_rows_are_converted_for_a_chat_model(http):
    checked = await post_dataset(http, jsonl(ROWS), model="gpt-4o-mini-2024-07-18")
    assert checked["format"] == "chat"
    assert [each["role"] for each in checked["preview"][0]["segments"]] == ["user", "assistant"]


async def test_a_repaired_file_is_uploaded_with_its_validation_file(http):
    uploaded = await post_dataset(http, jsonl([*ROWS, ROWS[0]]), split="0.2", upload="1")
    assert uploaded["rows"] == [10, 2]
    content = await http.get(f"/v1/files/{uploaded['training_file']}/content", headers=KEY)
    assert len(content.text.splitlines()) == 10
    assert uploaded["validation_file"]


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"split": "2"}, "split must be a number between 0 and 1"),
        ({"format": "xml"}, "format must be one of"),
    ],
)
async def test_wrong_choices_are_errors(http, query, message):
    assert message in (await post_dataset(http, jsonl(ROWS), **query))["error"]["message"]


async def test_a_file_that_cannot_be_read_is_an_error_in_words(http):
    answer = await post_dataset(http, b"\x00\x01", name="../../etc/<img>.jsonl")
    assert answer["error"]["message"]
    assert "/etc/" not in answer["error"]["message"]


async def test_metrics_are_those_of_the_result_file_once_the_job_has_succeeded(http, backend):
    uploaded = await post_dataset(http, jsonl(ROWS), upload="1")
    body = {"model": "babbage-002", "training_file": uploaded["training_file"]}
    job = (await http.post("/v1/fine_tuning/jobs", headers=KEY, json=body)).json()
    backend.clock.jump(3600)
    job = (await http.get(f"/v1/fine_tuning/jobs/{job['id']}", headers=KEY)).json()
    assert job["status"] == "succeeded"
    path = f"/playground/api/jobs/{job['id']}/metrics"
    metrics = (await http.get(path, headers=KEY)).json()
    steps = [point["step"] for point in metrics["points"]]
    assert steps == list(range(1, metrics["last_step"] + 1))
    assert metrics["points"][0]["train_loss"] > metrics["points"][-1]["train_loss"]
    rest = await http.get(path, headers=KEY, params={"after_step": steps[-2]})
    assert [point["step"] for point in rest.json()["points"]] == steps[-1:]


async def test_weights_are_a_tar_archive(backend, tmp_path):
    content = {"adapter.bin": b"\x00" * 2_000_000, "config.json": b"{}"}
    for name, data in content.items():
        (tmp_path / name).write_bytes(data)
    folders = {"ft:tiny:x": tmp_path}
    app = ASGIApp(backend, pages=Playground(backend, find_weights=folders.get))
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://service") as http:
        assert (await http.get("/playground/api/config")).json()["has_weights"] is True
        found = await http.get("/playground/api/weights/ft%3Atiny%3Ax", headers=KEY)
        missing = await http.get("/playground/api/weights/other", headers=KEY)
    with tarfile.open(fileobj=io.BytesIO(found.content)) as archive:
        read = {member.name: archive.extractfile(member).read() for member in archive}
    assert read == {f"ft_tiny_x/{name}": data for name, data in content.items()}
    assert missing.status_code == 404


async def test_another_server_that_does_not_respond_is_an_error_in_words():
    down = HttpxBackend("http://127.0.0.1:1/v1", api_key="any")
    proxy = ProxyBackend(down, "http://127.0.0.1:1/v1")
    transport = httpx.ASGITransport(ASGIApp(proxy, pages=Playground(proxy)))
    async with httpx.AsyncClient(transport=transport, base_url="http://service") as http:
        for path in ("/v1/models", "/playground/api/models"):
            response = await http.get(path, headers=KEY)
            assert response.status_code == 502
            message = response.json()["error"]["message"]
            assert "http://127.0.0.1:1/v1 does not respond" in message
    await proxy.aclose()


async def test_metrics_of_an_unknown_job_are_the_404_of_the_service(http):
    response = await http.get("/playground/api/jobs/ftjob-none/metrics", headers=KEY)
    assert response.status_code == 404
    assert "Could not find" in response.json()["error"]["message"]
