"""A server answers any client over a socket, and shows no traceback, whatever comes."""

import socket
import threading
from contextlib import asynccontextmanager, suppress

import anyio
import httpx
import pytest

from tunesmith import MemoryBackend
from tunesmith.protocol.message import Response
from tunesmith.service.http.asgi import ASGIApp

KEY = {"authorization": "Bearer sk-test"}
ASKED = {"model": "davinci-002", "prompt": "Kant", "max_tokens": 8}


@pytest.fixture
def http(service, served):
    with served(service.asgi_app()) as url, httpx.Client(base_url=url, headers=KEY) as http:
        yield http


def error_of(answer):
    assert answer.headers["content-type"] == "application/json"
    return answer.json()["error"]


def test_bodies_streams_and_files_go_over_the_socket(http):
    sent = http.post("/files", data={"purpose": "user_data"}, files={"file": ("a.txt", b"abc")})
    content = http.get(f"/files/{sent.json()['id']}/content")
    assert content.content == b"abc"
    with http.stream("POST", "/completions", json={**ASKED, "stream": True}) as answer:
        *_, last, _ = answer.iter_lines()
    assert last == "data: [DONE]"


@pytest.mark.parametrize(("method", "path", "options", "status", "says"), [
    ("GET", "/nowhere", {}, 404, "Unknown request URL: GET /v1/nowhere"),
    ("PUT", "/models", {}, 405, "Not allowed to PUT on /v1/models"),
    ("POST", "/completions", {"content": b"{"}, 400, "could not parse the JSON body"),
    ("POST", "/completions", {"content": b"[]"}, 400, "must be an object"),
    ("POST", "/completions", {"content": b"a", "headers": {"content-type": "text/plain"}}, 400,
     "Unsupported content type"),
    ("POST", "/files", {"content": b"a", "headers": {"content-type": "multipart/form-data"}}, 400,
     "Could not parse multipart form"),
    ("POST", "/files", {"content": b"--b\r\nbroken",
                        "headers": {"content-type": "multipart/form-data; boundary=b"}}, 400,
     "Could not parse multipart form"),
    ("POST", "/completions", {"json": {**ASKED, "top_k": 4}}, 400, "top_k"),
])  # fmt: skip
def test_what_is_wrong_is_refused_in_the_services_words(http, method, path, options, status, says):
    answer = http.request(method, path, **options)
    assert answer.status_code == status
    assert says in error_of(answer)["message"]


def test_too_large_a_body_is_refused_before_it_has_come(service, served):
    backend = MemoryBackend(service)
    backend._wire._max_body_bytes = 1000
    with served(ASGIApp(backend)) as url:
        answer = httpx.post(f"{url}/completions", headers=KEY, content=b" " * 100_000)
    assert (answer.status_code, error_of(answer)["type"]) == (413, "server_error")


def test_a_backend_that_fails_otherwise_than_it_may_gives_a_500_without_a_traceback(served, caplog):
    class Wrong:
        def send(self, request):
            raise RuntimeError("secret of the inside")

    with served(ASGIApp(Wrong())) as url:
        answer = httpx.get(f"{url}/models", headers=KEY)
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert error_of(answer)["type"] == "server_error"
    assert "secret of the inside" in caplog.text


@pytest.mark.parametrize("phase", ["connect", "read", "timeout"])
def test_where_the_backend_has_no_answer_the_connection_breaks_off(broken, served, phase):
    with served(ASGIApp(broken(phase))) as url, pytest.raises(httpx.TransportError):
        httpx.get(f"{url}/models", headers=KEY)


def test_a_stream_that_breaks_off_is_not_ended_as_if_it_were_whole(broken, served):
    with (
        served(ASGIApp(broken("read", chunks=[b"a", b"b"]))) as url,
        httpx.stream("GET", f"{url}/models", headers=KEY) as answer,
        pytest.raises(httpx.TransportError),
    ):
        answer.read()


@pytest.mark.parametrize("first", [[], [b"first"]], ids=["before-it-begins", "inside-of-it"])
def test_a_client_that_goes_away_ends_its_answer(served, first):
    left = threading.Event()

    class Endless:
        @asynccontextmanager
        async def send(self, request):
            try:
                if not first:
                    await anyio.sleep_forever()
                yield Response(200, {"content-type": "text/plain"}, self.chunks())
            finally:
                left.set()

        async def chunks(self):
            for chunk in first:
                yield chunk
            await anyio.sleep_forever()

    with served(ASGIApp(Endless())) as url, suppress(httpx.ReadTimeout):
        timeout = httpx.Timeout(5, read=0.1)
        with httpx.stream("GET", f"{url}/models", headers=KEY, timeout=timeout) as answer:
            assert next(answer.iter_raw()) == b"first"
        assert left.wait(5)
    assert left.wait(5)


def test_the_document_of_the_api_needs_no_key(served, service):
    with served(service.asgi_app(api_key="sk-right")) as url:
        document = httpx.get(url.replace("/v1", "/openapi.json")).json()
        refused = httpx.get(f"{url}/models", headers=KEY)
    assert document["paths"]["/files/{file_id}"]["get"]["operationId"] == "files.retrieve"
    assert refused.status_code == 401


def test_bytes_that_are_no_http_do_no_harm(http):
    address = (http.base_url.host, http.base_url.port)
    with socket.create_connection(address) as raw:
        raw.sendall(b"\x16\x03\x01 nonsense\r\n\r\n")
        assert raw.recv(1000).startswith(b"HTTP/1.1 400")
    assert http.get("/models").status_code == 200


@pytest.mark.anyio
async def test_an_app_may_be_a_part_of_a_larger_one(service):
    transport = httpx.ASGITransport(service.asgi_app(), root_path="/tuning")
    async with httpx.AsyncClient(transport=transport, headers=KEY) as http:
        assert (await http.get("http://larger/tuning/v1/files")).json()["data"] == []
        assert (await http.get("http://larger/tuning/openapi.json")).json()["openapi"] == "3.1.0"
        assert (await http.get("http://larger/tuning/nope")).status_code == 404


@pytest.mark.anyio
async def test_what_other_servers_are_to_break_off_is_raised_as_it_is(broken):
    transport = httpx.ASGITransport(ASGIApp(broken("read")))
    async with httpx.AsyncClient(transport=transport, headers=KEY) as http:
        with pytest.raises(ConnectionAbortedError):
            await http.get("http://service/v1/models")
