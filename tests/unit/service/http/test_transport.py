"""Clients built on httpx reach a backend without a socket."""

import json
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace

import anyio
import httpx
import pytest
from tests.contract.data import json_lines, pairs

from tunesmith import AsyncClient, MemoryBackend
from tunesmith.clock import VirtualClock
from tunesmith.service.http.httpx_transport import HttpxTransport
from tunesmith.service.service import Service
from tunesmith.testing.faults.faults import Faults

pytestmark = pytest.mark.anyio

KEY = {"authorization": "Bearer sk-test"}
REQUEST = {"model": "davinci-002", "prompt": "Kant", "max_tokens": 8}


def client(transport, **options):
    return httpx.AsyncClient(
        transport=transport, base_url="http://service/v1", headers=KEY, **options
    )


async def test_a_request_is_executed_by_the_service(service):
    async with client(service.transport()) as http:
        answer = await http.post("/completions", json=REQUEST)
    assert answer.status_code == 200
    assert answer.json()["object"] == "text_completion"
    assert answer.headers["x-request-id"].startswith("req_")


async def test_a_form_is_received(service):
    files = {"file": ("train.jsonl", json_lines(pairs(12)))}
    async with client(service.transport()) as http:
        answer = await http.post("/files", data={"purpose": "fine-tune"}, files=files)
    assert answer.json()["filename"] == "train.jsonl"


async def test_backends_receive_the_operation_and_no_credentials(recording):
    async with client(HttpxTransport(recording)) as http:
        await http.get("/models", headers={"cookie": "a=b"})
        await http.get("/files", params={"limit": 3, "purpose": "a b"})
        await http.get("/nowhere")
    assert [each.operation for each in recording.requests] == ["models.list", "files.list", ""]
    assert recording.requests[1].query == (("limit", "3"), ("purpose", "a b"))
    for request in recording.requests:
        assert not {"authorization", "cookie", "host"} & set(request.headers)


async def test_a_stream_is_incremental_and_ends_when_it_is_closed(recording):
    async with client(HttpxTransport(recording)) as http:
        request = {**REQUEST, "stream": True}
        async with http.stream("POST", "/completions", json=request) as answer:
            lines = answer.aiter_lines()
            first = await anext(lines)
            assert json.loads(first.removeprefix("data: "))["object"] == "text_completion"
            assert not recording.n_ended
            await lines.aclose()
        assert recording.n_ended == 1


async def test_a_cancelled_stream_ends_at_once(recording):
    async with client(HttpxTransport(recording)) as http:
        with anyio.CancelScope() as scope:
            async with http.stream("POST", "/completions", json={**REQUEST, "stream": True}):
                scope.cancel()
                await anyio.sleep_forever()
        assert recording.n_ended == 1


@pytest.mark.parametrize(
    ("phase", "error"),
    [
        ("connect", httpx.ConnectError),
        ("connect_timeout", httpx.ConnectTimeout),
        ("write", httpx.WriteError),
        ("read", httpx.ReadError),
        ("timeout", httpx.ReadTimeout),
        ("closed", httpx.ConnectError),
    ],
)
async def test_backend_errors_become_httpx_errors(failing, phase, error):
    async with client(HttpxTransport(failing(phase))) as http:
        with pytest.raises(error, match="stubbed failure") as caught:
            await http.get("/models")
    assert caught.value.request.url.path == "/v1/models"


async def test_an_interrupted_stream_yields_the_bytes_before(failing):
    transport = HttpxTransport(failing("read", chunks=[b"a", b"b"]))
    async with client(transport) as http, http.stream("GET", "/models") as answer:
        chunks = answer.aiter_raw()
        assert [await anext(chunks), await anext(chunks)] == [b"a", b"b"]
        with pytest.raises(httpx.ReadError):
            await anext(chunks)


class SlowBackend:
    """Backend with delays, by its own clock, before and within responses."""

    def __init__(self, inner, *, before_s=0, within_s=0):
        self.inner = inner
        self.before_s = before_s
        self.within_s = within_s

    @asynccontextmanager
    async def send(self, request):
        await self.inner.clock.sleep(self.before_s)
        async with (
            self.inner.send(request) as response,
            aclosing(self._chunks(response)) as chunks,
        ):
            yield replace(response, stream=chunks)

    async def _chunks(self, response):
        async for chunk in response.stream:
            yield chunk
            await self.inner.clock.sleep(self.within_s)


@pytest.mark.parametrize("slow", [{"before_s": 6}, {"within_s": 6}])
async def test_the_read_timeout_of_the_client_applies_in_virtual_time(service, slow):
    async with client(
        HttpxTransport(SlowBackend(MemoryBackend(service), **slow)), timeout=5
    ) as http:
        with pytest.raises(httpx.ReadTimeout, match="5"):
            await http.post("/completions", json={**REQUEST, "stream": True})
    assert service.clock.monotonic() == 5


async def test_a_timely_response_is_not_timed_out(service):
    slow = SlowBackend(MemoryBackend(service), before_s=4, within_s=4)
    async with client(HttpxTransport(slow), timeout=5) as http:
        answer = await http.post("/completions", json={**REQUEST, "stream": True})
    assert answer.text.endswith("data: [DONE]\n\n")


async def test_a_wrong_key_is_refused_and_redacted(service):
    async with client(service.transport(api_key="sk-right")) as http:
        wrong = await http.get("/models", headers={"authorization": "Bearer sk-wrong-and-secret"})
        right = await http.get("/models", headers={"authorization": "Bearer sk-right"})
    error = wrong.json()["error"]
    assert (wrong.status_code, error["code"]) == (401, "invalid_api_key")
    assert "sk-wrong-and-secret" not in error["message"]
    assert "sk-right" not in repr(vars(service.transport(api_key="sk-right")._gateway))
    assert right.status_code == 200


@pytest.mark.parametrize("headers", [{}, {"authorization": "Basic eA=="}, {"authorization": "x"}])
async def test_a_missing_key_is_refused(service, headers):
    async with httpx.AsyncClient(transport=service.transport()) as http:
        answer = await http.get("http://service/v1/models", headers=headers)
    assert answer.status_code == 401
    assert answer.json()["error"]["message"].startswith("You didn't provide an API key.")


async def test_paths_outside_of_v1_are_unknown(service):
    async with client(service.transport()) as http:
        answer = await http.get("http://service/models")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "unknown_url")


def test_a_synchronous_client_is_supported(service):
    with httpx.Client(
        transport=service.transport(), base_url="http://service/v1", headers=KEY
    ) as http:
        whole = http.post("/completions", json=REQUEST)
        with http.stream("POST", "/completions", json={**REQUEST, "stream": True}) as answer:
            text = "".join(answer.iter_text())
    assert whole.json()["object"] == "text_completion"
    assert text.endswith("data: [DONE]\n\n")


def test_a_synchronous_client_can_close_a_stream_early(recording):
    with httpx.Client(
        transport=HttpxTransport(recording), base_url="http://service/v1", headers=KEY
    ) as http:
        with http.stream("POST", "/completions", json={**REQUEST, "stream": True}) as answer:
            next(answer.iter_raw())
            assert not recording.n_ended
        assert recording.n_ended == 1


def test_a_synchronous_client_receives_httpx_errors(failing):
    transport = HttpxTransport(failing("connect"))
    with httpx.Client(transport=transport) as http, pytest.raises(httpx.ConnectError):
        http.get("http://service/v1/models", headers=KEY)


async def test_clients_of_httpx2_receive_their_own_types(failing):
    httpx2 = pytest.importorskip("httpx2", reason="httpx2 is not installed")
    options = {"base_url": "http://service/v1", "headers": KEY}
    async with httpx2.AsyncClient(transport=Service().transport(), **options) as http:
        assert (await http.get("/models")).status_code == 200
    async with httpx2.AsyncClient(transport=HttpxTransport(failing("read")), **options) as http:
        with pytest.raises(httpx2.ReadError):
            await http.get("/models")


async def test_time_can_pass_at_a_rate(anyio_backend):
    service = Service(clock=VirtualClock(autojump=False, rate=1e6))
    # The timeouts of the client pass as quickly.
    async with client(service.transport(), timeout=None) as http:
        files = {"file": ("train.jsonl", json_lines(pairs(12)))}
        sent = await http.post("/files", data={"purpose": "fine-tune"}, files=files)
        request = {"model": "babbage-002", "training_file": sent.json()["id"]}
        job = (await http.post("/fine_tuning/jobs", json=request)).json()
        await service.clock.sleep(3600)
        job = (await http.get(f"/fine_tuning/jobs/{job['id']}")).json()
    assert job["status"] == "succeeded"


async def test_a_lost_create_is_found_by_a_client_with_another_clock():
    memory = MemoryBackend()  # in 2023, while the client goes by the machine's clock
    faults = Faults(memory)
    faults.on("fine_tuning.jobs.create").drop_response()
    async with (
        httpx.AsyncClient(transport=HttpxTransport(faults)) as http,
        AsyncClient("sk-1", "http://service/v1", http_client=http) as client,
    ):
        rows = b'{"prompt":"Kant was","completion":" German"}\n' * 10
        file = await client.files.create(file=("a.jsonl", rows), purpose="fine-tune")
        job = await client.fine_tuning.jobs.create(model="babbage-002", training_file=file.id)
        assert [listed.id async for listed in client.fine_tuning.jobs.list()] == [job.id]
