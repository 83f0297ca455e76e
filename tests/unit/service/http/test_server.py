"""A server responds to any client over a socket, and never with a traceback."""

import json
import socket
import threading
from contextlib import asynccontextmanager, suppress

import anyio
import httpx
import pytest

from tunesmith import MemoryBackend
from tunesmith.protocol.message import Response
from tunesmith.service.http.asgi import ASGIApp
from tunesmith.service.http.cors import LOOPBACK
from tunesmith.service.http.uvicorn_server import create_server

KEY = {"authorization": "Bearer sk-test"}
REQUEST = {"model": "davinci-002", "prompt": "Kant", "max_tokens": 8}


@pytest.fixture
def http(service, served):
    with served(service.asgi_app()) as url, httpx.Client(base_url=url, headers=KEY) as http:
        yield http


def error_of(response):
    assert response.headers["content-type"] == "application/json"
    return response.json()["error"]


def test_bodies_streams_and_files_are_served(http):
    sent = http.post("/files", data={"purpose": "user_data"}, files={"file": ("a.txt", b"abc")})
    content = http.get(f"/files/{sent.json()['id']}/content")
    assert content.content == b"abc"
    with http.stream("POST", "/completions", json={**REQUEST, "stream": True}) as answer:
        *_, last, _ = answer.iter_lines()
    assert last == "data: [DONE]"


@pytest.mark.parametrize(("method", "path", "options", "status", "message"), [
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
    ("POST", "/completions", {"json": {**REQUEST, "top_k": 4}}, 400, "top_k"),
])  # fmt: skip
def test_invalid_requests_are_refused_in_the_words_of_the_api(
    http, method, path, options, status, message
):
    answer = http.request(method, path, **options)
    assert answer.status_code == status
    assert message in error_of(answer)["message"]


def test_a_too_large_body_is_refused_before_it_is_read(service, served):
    backend = MemoryBackend(service)
    backend._api._max_body_bytes = 1000
    with served(ASGIApp(backend)) as url:
        answer = httpx.post(f"{url}/completions", headers=KEY, content=b" " * 100_000)
    assert (answer.status_code, error_of(answer)["type"]) == (413, "server_error")


def test_an_unexpected_error_of_the_backend_is_a_500_without_a_traceback(served, caplog):
    class Wrong:
        def send(self, request):
            raise RuntimeError("internal secret")

    with served(ASGIApp(Wrong())) as url:
        answer = httpx.get(f"{url}/models", headers=KEY)
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert error_of(answer)["type"] == "server_error"
    assert "internal secret" in caplog.text


@pytest.mark.parametrize("phase", ["connect", "read", "timeout"])
def test_a_backend_error_closes_the_connection(failing, served, phase):
    with served(ASGIApp(failing(phase))) as url, pytest.raises(httpx.TransportError):
        httpx.get(f"{url}/models", headers=KEY)


def test_an_interrupted_stream_is_not_terminated_as_complete(failing, served):
    with (
        served(ASGIApp(failing("read", chunks=[b"a", b"b"]))) as url,
        httpx.stream("GET", f"{url}/models", headers=KEY) as answer,
        pytest.raises(httpx.TransportError),
    ):
        answer.read()


@pytest.mark.parametrize("first", [[], [b"first"]], ids=["before-the-stream", "within-the-stream"])
def test_a_client_that_disconnects_ends_its_response(served, first):
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


def test_the_openapi_document_needs_no_key(served, service):
    with served(service.asgi_app(api_key="sk-right")) as url:
        document = httpx.get(url.replace("/v1", "/openapi.json")).json()
        refused = httpx.get(f"{url}/models", headers=KEY)
    assert document["paths"]["/files/{file_id}"]["get"]["operationId"] == "files.retrieve"
    assert refused.status_code == 401


def test_bytes_that_are_not_http_are_refused(http):
    address = (http.base_url.host, http.base_url.port)
    with socket.create_connection(address) as raw:
        raw.sendall(b"\x16\x03\x01 nonsense\r\n\r\n")
        assert raw.recv(1000).startswith(b"HTTP/1.1 400")
    assert http.get("/models").status_code == 200


@pytest.mark.anyio
async def test_the_app_can_be_mounted_in_another_one(service):
    transport = httpx.ASGITransport(service.asgi_app(), root_path="/tuning")
    async with httpx.AsyncClient(transport=transport, headers=KEY) as http:
        assert (await http.get("http://larger/tuning/v1/files")).json()["data"] == []
        assert (await http.get("http://larger/tuning/openapi.json")).json()["openapi"] == "3.1.0"
        assert (await http.get("http://larger/tuning/nope")).status_code == 404


@pytest.mark.anyio
async def test_a_backend_error_is_raised_to_servers_without_abort(failing):
    transport = httpx.ASGITransport(ASGIApp(failing("read")))
    async with httpx.AsyncClient(transport=transport, headers=KEY) as http:
        with pytest.raises(ConnectionAbortedError):
            await http.get("http://service/v1/models")


# Web pages of other origins.

ORIGIN = "https://example.com"
PREFLIGHT = {
    "origin": ORIGIN,
    "access-control-request-method": "POST",
    "access-control-request-headers": "authorization,content-type",
}


@pytest.mark.parametrize(("allowed", "origin"), [
    ([ORIGIN], ORIGIN),
    (["*"], ORIGIN),
    ([LOOPBACK], "http://localhost:5173"),
    ([LOOPBACK], "http://127.0.0.1:3000"),
    ([LOOPBACK], "http://[::1]:3000"),
])  # fmt: skip
def test_pages_of_an_allowed_origin_may_send_a_key_and_read_the_response(
    service, served, allowed, origin
):
    with served(ASGIApp(MemoryBackend(service), cors_origins=allowed)) as url:
        preflight = httpx.options(f"{url}/completions", headers={**PREFLIGHT, "origin": origin})
        refused = httpx.get(f"{url}/models", headers={"origin": origin})
        with httpx.stream(
            "POST",
            f"{url}/completions",
            headers={**KEY, "origin": origin},
            json={**REQUEST, "stream": True},
        ) as stream:
            stream.read()
    assert preflight.status_code == 204
    assert preflight.headers["access-control-allow-headers"] == "authorization,content-type"
    assert "POST" in preflight.headers["access-control-allow-methods"]
    assert (refused.status_code, stream.status_code) == (401, 200)
    for response in (preflight, refused, stream):
        assert response.headers["access-control-allow-origin"] == origin
        assert response.headers["vary"] == "origin"
    assert stream.headers["access-control-expose-headers"] == "*"


@pytest.mark.parametrize(("allowed", "origin"), [
    ([], ORIGIN),
    ([LOOPBACK], ORIGIN),
    ([LOOPBACK], "http://localhost.example.com"),
    ([LOOPBACK], "http://[::1"),
    ([LOOPBACK], "null"),
    ([ORIGIN], "http://example.com"),
    ([ORIGIN], "https://example.com.evil.example"),
])  # fmt: skip
def test_pages_of_other_origins_are_not_allowed(service, served, allowed, origin):
    with served(ASGIApp(MemoryBackend(service), cors_origins=allowed)) as url:
        preflight = httpx.options(f"{url}/completions", headers={**PREFLIGHT, "origin": origin})
        response = httpx.get(f"{url}/models", headers={**KEY, "origin": origin})
    assert preflight.status_code == 401
    assert not [name for name in preflight.headers if name.startswith("access-control")]
    assert not [name for name in response.headers if name.startswith("access-control")]


# Requests that HTTP libraries do not send.


def send_raw(http, request):
    """Send bytes; return the status and the error."""
    with socket.create_connection((http.base_url.host, http.base_url.port)) as connection:
        # The request asks the server to close; closing this side first would cut its response.
        connection.sendall(request)
        data = b"".join(iter(lambda: connection.recv(65536), b""))
    head, _, body = data.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)["error"]


HEAD = (
    b"POST /v1/completions HTTP/1.1\r\nhost: a\r\nauthorization: Bearer k\r\nconnection: close\r\n"
)


def test_content_length_with_transfer_encoding_is_refused(http):
    body = b"content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
    status, error = send_raw(http, HEAD + body)
    assert status == 400
    assert "Content-Length and Transfer-Encoding" in error["message"]


def test_a_body_without_a_content_type_is_read_as_json(http):
    body = json.dumps(REQUEST).encode()
    response = http.send(http.build_request("POST", "/completions", content=body))
    assert response.status_code == 200


@pytest.mark.parametrize("path", ["/completions", "/chat/completions", "/embeddings"])
@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
def test_deeply_nested_json_is_refused(http, path, opening):
    body = b'{"model": "gpt-4o-mini", "messages": ' + opening * 100_000
    response = http.post(path, content=body, headers={"content-type": "application/json"})
    assert response.status_code == 400
    assert "JSON" in error_of(response)["message"]


def test_idle_connections_are_kept_longer_than_clients_keep_them(service):
    assert create_server(ASGIApp(MemoryBackend(service))).config.timeout_keep_alive >= 75
