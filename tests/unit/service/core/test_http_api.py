"""The wire turns requests into what the real service answers: statuses, headers, error bodies."""

import json
import logging

import pytest

from tunesmith.protocol.message import Request
from tunesmith.service.core.http_api import HttpApi
from tunesmith.service.service import Service

pytestmark = pytest.mark.anyio


async def test_an_answer_has_the_headers_of_the_real_service(api):
    status, headers, content = await api.send("GET", "/models")
    assert status == 200
    assert headers["content-type"] == "application/json"
    assert headers["content-length"] == str(len(content))
    assert headers["openai-version"] == "2020-10-01"
    assert headers["openai-organization"] == api.service.context.organization
    assert headers["openai-processing-ms"].isdigit()
    assert headers["x-request-id"].startswith("req_")


async def test_each_response_has_a_request_id_of_its_own(api):
    ids = [(await api.send("GET", "/models"))[1]["x-request-id"] for _ in range(3)]
    assert len(set(ids)) == 3


async def test_the_same_seed_gives_the_same_headers_and_bytes(api_of):
    body = {"model": "davinci-002", "prompt": "The sky"}
    first, second = [
        await api_of(Service(seed=7)).send("POST", "/completions", body) for _ in range(2)
    ]
    assert first == second


async def test_another_seed_gives_other_ids(api_of):
    body = {"model": "davinci-002", "prompt": "The sky"}
    first, second = [
        json.loads((await api_of(Service(seed=seed)).send("POST", "/completions", body))[2])["id"]
        for seed in (1, 2)
    ]
    assert first != second


async def test_an_unknown_route_is_404_in_the_words_of_the_service(api):
    status, _, content = await api.send("GET", "/nothing")
    assert status == 404
    assert json.loads(content)["error"] == {
        "message": "Unknown request URL: GET /v1/nothing. Please check the URL for typos, or see "
        "the docs at https://platform.openai.com/docs/api-reference/.",
        "type": "invalid_request_error",
        "param": None,
        "code": "unknown_url",
    }


async def test_a_wrong_method_is_405_and_names_the_right_ones(api):
    status, headers, content = await api.send("DELETE", "/models")
    assert status == 405
    assert headers["allow"] == "GET"
    assert "Not allowed to DELETE on /v1/models." in json.loads(content)["error"]["message"]


async def test_a_body_that_is_no_json_is_400(service):
    request = Request("test", "POST", "/completions", body=b"{oh")
    async with HttpApi(service).send(request) as response:
        error = json.loads(await response.read())["error"]
    assert response.status == 400
    assert "We could not parse the JSON body of your request" in error["message"]


async def test_an_unknown_parameter_is_400_and_named(api):
    status, error = await api.fail("/completions", model="davinci-002", prompt="x", colour="blue")
    assert status == 400
    assert error["message"] == "Unrecognized request argument supplied: colour"
    assert error["type"] == "invalid_request_error"


async def test_a_null_counts_as_absent(api):
    answer = await api.post(
        "/completions", model="davinci-002", prompt="x", n=None, max_tokens=None, stop=None
    )
    assert len(answer["choices"]) == 1


async def test_what_breaks_inside_is_a_500_without_a_traceback(api, caplog, monkeypatch):
    def explode(name):
        raise RuntimeError("the secret inside")

    monkeypatch.setattr(api.service.models, "info_of", explode)
    with caplog.at_level(logging.ERROR, "tunesmith.service"):
        status, error = await api.fail("/completions", model="davinci-002", prompt="x")
    assert status == 500
    assert error["type"] == "server_error"
    assert "secret" not in json.dumps(error)
    assert "the secret inside" in caplog.text


async def test_a_body_over_the_limit_is_413(service):
    read = 0

    async def endless():
        nonlocal read
        while True:
            read += 1000
            yield b" " * 1000

    wire = HttpApi(service, max_body_bytes=2500)
    async with wire.send(Request("test", "POST", "/completions", body=endless)) as response:
        error = json.loads(await response.read())["error"]
    assert response.status == 413
    assert error["message"] == "Maximum content size limit (2500) exceeded (3000 bytes read)"
    assert read == 3000


@pytest.mark.parametrize(
    ("path", "right"), [("/completions", "application/json"), ("/files", "multipart/form-data")]
)
async def test_a_body_of_another_kind_is_refused(api, path, right):
    status, _, content = await api.send("POST", path, {}, headers={"content-type": "text/plain"})
    error = json.loads(content)["error"]
    assert (status, error["code"]) == (400, "unsupported_content_type")
    assert f"only accepts '{right}' requests" in error["message"]


async def test_a_stream_is_server_sent_events_that_end_with_done(api):
    events = await api.stream("/completions", model="davinci-002", prompt="The", max_tokens=3)
    assert [event["object"] for event in events] == ["text_completion"] * len(events)


@pytest.mark.parametrize("stream", ["yes", 5, [], {"a": 1}])
async def test_stream_must_be_a_boolean(api, stream):
    status, error = await api.fail("/completions", model="davinci-002", prompt="x", stream=stream)
    assert (status, error["param"]) == (400, "stream")


async def test_what_is_wrong_with_a_request_for_a_stream_is_no_stream(api):
    status, error = await api.fail("/completions", model="nobody", prompt="x", stream=True)
    assert (status, error["code"]) == (404, "model_not_found")


async def test_what_breaks_inside_a_stream_is_an_event_with_the_error(api, monkeypatch):
    class Breaking:
        n_tokens = 0
        finish_reason = None

        def __init__(self):
            self.tokens = iter(good[:1])

        def __aiter__(self):
            return self

        async def __anext__(self):
            for token in self.tokens:
                return token
            raise RuntimeError("the secret inside")

        async def aclose(self):
            pass

    model = await api.service.models.open("davinci-002")
    good = await model.score(model.tokenizer.encode("a word"))
    monkeypatch.setattr(
        "tunesmith.service.inference.completions.start_generation", lambda *_, **__: Breaking()
    )
    status, _, content = await api.send(
        "POST", "/completions", {"model": "davinci-002", "prompt": "x", "stream": True}
    )
    assert status == 200
    *_, last, rest = content.split(b"\n\n")
    assert rest == b""
    assert json.loads(last.removeprefix(b"data: "))["error"]["type"] == "server_error"
    assert b"secret" not in content


async def test_events_come_one_by_one_and_leaving_early_stops_the_service(service, monkeypatch):
    drawn = 0
    model = type(await service.models.open("davinci-002"))
    generate = model.generate

    class Counting:
        def __init__(self, generation):
            self.generation = generation

        def __getattr__(self, name):
            return getattr(self.generation, name)

        def __aiter__(self):
            return self

        async def __anext__(self):
            nonlocal drawn
            drawn += 1
            return await anext(self.generation)

    monkeypatch.setattr(model, "generate", lambda *args: Counting(generate(*args)))
    body = json.dumps(
        {"model": "davinci-002", "prompt": "The", "max_tokens": 500, "stream": True}
    ).encode()
    async with HttpApi(service).send(Request("t", "POST", "/completions", body=body)) as response:
        async for _ in response.stream:
            break
    assert 1 <= drawn <= 3


# Files are binary, whole or in part.


@pytest.fixture
async def file_path(api):
    file_id = api.file(bytes(range(256)) * 1000, filename='re"sult.jsonl')
    return f"/files/{file_id}/content"


async def test_a_file_is_an_attachment(api, file_path):
    status, headers, content = await api.send("GET", file_path)
    assert status == 200
    assert content == bytes(range(256)) * 1000
    assert headers["content-type"] == "application/octet-stream"
    assert headers["content-disposition"] == 'attachment; filename="re_sult.jsonl"'
    assert headers["accept-ranges"] == "bytes"
    assert headers["content-length"] == "256000"


@pytest.mark.parametrize(
    ("asked", "start", "stop"),
    [
        ("bytes=0-99", 0, 100),
        ("bytes=1000-", 1000, 256_000),
        ("bytes=-10", 255_990, 256_000),
        ("bytes=255999-999999", 255_999, 256_000),
    ],
)
async def test_a_part_of_a_file_is_206(api, file_path, asked, start, stop):
    status, headers, content = await api.send("GET", file_path, headers={"range": asked})
    assert status == 206
    assert content == (bytes(range(256)) * 1000)[start:stop]
    assert headers["content-range"] == f"bytes {start}-{stop - 1}/256000"
    assert headers["content-length"] == str(stop - start)


@pytest.mark.parametrize(
    "asked",
    ["lines=1-2", "bytes=5-2", "bytes=0-1,4-5", "bytes=-", f"bytes={'9' * 5000}-"],
    ids=["lines", "backwards", "several", "empty", "endless"],
)
async def test_a_range_that_is_not_understood_is_ignored(api, file_path, asked):
    status, headers, content = await api.send("GET", file_path, headers={"range": asked})
    assert (status, len(content)) == (200, 256_000)
    assert "content-range" not in headers


async def test_a_range_of_another_version_is_ignored(api, file_path):
    headers = {"range": "bytes=0-1", "if-range": '"another"'}
    status, headers, content = await api.send("GET", file_path, headers=headers)
    assert (status, len(content)) == (200, 256_000)


async def test_a_range_behind_the_end_is_416(api, file_path):
    status, headers, content = await api.send("GET", file_path, headers={"range": "bytes=256000-"})
    assert status == 416
    assert headers["content-range"] == "bytes */256000"
    assert json.loads(content)["error"]["type"] == "invalid_request_error"


async def test_an_empty_file_is_an_empty_body(api):
    file_id = api.file(b"")
    status, headers, content = await api.send("GET", f"/files/{file_id}/content")
    assert (status, headers["content-length"], content) == (200, "0", b"")


async def test_a_parameter_in_several_forms_is_refused(api):
    query = [("metadata[a]", "b"), ("metadata[]", "c")]
    status, _, content = await api.send("GET", "/fine_tuning/jobs", query=query)
    assert status == 400
    assert json.loads(content)["error"]["param"] == "metadata"


@pytest.mark.parametrize(("path", "asked", "param"), [
    ("/completions", {"model": "davinci-002", "logit_bias": {"1": 101}}, "logit_bias"),
    ("/chat/completions", {"max_tokens": 0}, "max_tokens"),
    ("/chat/completions", {"max_completion_tokens": 0}, "max_completion_tokens"),
])  # fmt: skip
async def test_bounds_that_a_client_need_not_know_are_the_services_matter(api, path, asked, param):
    if path == "/chat/completions":
        asked = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "a"}], **asked}
    status, error = await api.fail(path, **asked)
    assert (status, error["param"]) == (400, param)
