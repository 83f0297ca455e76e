"""Any client that is built on httpx reaches a backend without a socket."""

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
ASKED = {"model": "davinci-002", "prompt": "Kant", "max_tokens": 8}


def client(transport, **options):
    return httpx.AsyncClient(
        transport=transport, base_url="http://service/v1", headers=KEY, **options
    )


async def test_a_call_is_answered_as_the_service_answers(service):
    async with client(service.transport()) as http:
        answer = await http.post("/completions", json=ASKED)
    assert answer.status_code == 200
    assert answer.json()["object"] == "text_completion"
    assert answer.headers["x-request-id"].startswith("req_")


async def test_a_form_arrives(service):
    files = {"file": ("train.jsonl", json_lines(pairs(12)))}
    async with client(service.transport()) as http:
        answer = await http.post("/files", data={"purpose": "fine-tune"}, files=files)
    assert answer.json()["filename"] == "train.jsonl"


async def test_wrappers_see_the_operation_and_no_key(looking):
    async with client(HttpxTransport(looking)) as http:
        await http.get("/models", headers={"cookie": "a=b"})
        await http.get("/files", params={"limit": 3, "purpose": "a b"})
        await http.get("/nowhere")
    assert [each.operation for each in looking.requests] == ["models.list", "files.list", ""]
    assert looking.requests[1].query == (("limit", "3"), ("purpose", "a b"))
    for request in looking.requests:
        assert not {"authorization", "cookie", "host"} & set(request.headers)


async def test_a_stream_comes_chunk_by_chunk_and_ends_when_it_is_left(looking):
    async with client(HttpxTransport(looking)) as http:
        asked = {**ASKED, "stream": True}
        async with http.stream("POST", "/completions", json=asked) as answer:
            lines = answer.aiter_lines()
            first = await anext(lines)
            assert json.loads(first.removeprefix("data: "))["object"] == "text_completion"
            assert not looking.left
            await lines.aclose()
        assert looking.left == 1


async def test_a_cancelled_stream_ends_at_once(looking):
    async with client(HttpxTransport(looking)) as http:
        with anyio.CancelScope() as scope:
            async with http.stream("POST", "/completions", json={**ASKED, "stream": True}):
                scope.cancel()
                await anyio.sleep_forever()
        assert looking.left == 1


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
async def test_what_a_backend_raises_is_the_error_of_httpx_for_it(broken, phase, error):
    async with client(HttpxTransport(broken(phase))) as http:
        with pytest.raises(error, match="broken on purpose") as caught:
            await http.get("/models")
    assert caught.value.request.url.path == "/v1/models"


async def test_a_stream_that_breaks_off_gives_what_came_before(broken):
    transport = HttpxTransport(broken("read", chunks=[b"a", b"b"]))
    async with client(transport) as http, http.stream("GET", "/models") as answer:
        chunks = answer.aiter_raw()
        assert [await anext(chunks), await anext(chunks)] == [b"a", b"b"]
        with pytest.raises(httpx.ReadError):
            await anext(chunks)


class Slow:
    """A backend that takes its time, of its own clock, before the answer or inside of it."""

    def __init__(self, inner, *, before_s=0, inside_s=0):
        self.inner = inner
        self.before_s = before_s
        self.inside_s = inside_s

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
            await self.inner.clock.sleep(self.inside_s)


@pytest.mark.parametrize("slow", [{"before_s": 6}, {"inside_s": 6}])
async def test_the_read_timeout_of_the_client_holds_in_virtual_time(service, slow):
    async with client(HttpxTransport(Slow(MemoryBackend(service), **slow)), timeout=5) as http:
        with pytest.raises(httpx.ReadTimeout, match="5"):
            await http.post("/completions", json={**ASKED, "stream": True})
    assert service.clock.monotonic() == 5


async def test_who_is_quick_enough_is_not_timed_out(service):
    slow = Slow(MemoryBackend(service), before_s=4, inside_s=4)
    async with client(HttpxTransport(slow), timeout=5) as http:
        answer = await http.post("/completions", json={**ASKED, "stream": True})
    assert answer.text.endswith("data: [DONE]\n\n")


async def test_a_wrong_key_is_refused_and_not_repeated(service):
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


async def test_what_is_not_below_v1_is_unknown(service):
    async with client(service.transport()) as http:
        answer = await http.get("http://service/models")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "unknown_url")


def test_a_synchronous_client_is_answered(service):
    with httpx.Client(
        transport=service.transport(), base_url="http://service/v1", headers=KEY
    ) as http:
        whole = http.post("/completions", json=ASKED)
        with http.stream("POST", "/completions", json={**ASKED, "stream": True}) as answer:
            text = "".join(answer.iter_text())
    assert whole.json()["object"] == "text_completion"
    assert text.endswith("data: [DONE]\n\n")


def test_a_synchronous_client_leaves_a_stream_early(looking):
    with httpx.Client(
        transport=HttpxTransport(looking), base_url="http://service/v1", headers=KEY
    ) as http:
        with http.stream("POST", "/completions", json={**ASKED, "stream": True}) as answer:
            next(answer.iter_raw())
            assert not looking.left
        assert looking.left == 1


def test_a_synchronous_client_gets_the_errors_of_httpx(broken):
    transport = HttpxTransport(broken("connect"))
    with httpx.Client(transport=transport) as http, pytest.raises(httpx.ConnectError):
        http.get("http://service/v1/models", headers=KEY)


async def test_clients_of_httpx2_are_answered_in_their_own_terms(broken):
    httpx2 = pytest.importorskip("httpx2", reason="httpx2 is not installed")
    options = {"base_url": "http://service/v1", "headers": KEY}
    async with httpx2.AsyncClient(transport=Service().transport(), **options) as http:
        assert (await http.get("/models")).status_code == 200
    async with httpx2.AsyncClient(transport=HttpxTransport(broken("read")), **options) as http:
        with pytest.raises(httpx2.ReadError):
            await http.get("/models")


async def test_time_may_pass_at_a_rate(anyio_backend):
    service = Service(clock=VirtualClock(autojump=False, rate=1e6))
    # The timeouts of the client pass as quickly.
    async with client(service.transport(), timeout=None) as http:
        files = {"file": ("train.jsonl", json_lines(pairs(12)))}
        sent = await http.post("/files", data={"purpose": "fine-tune"}, files=files)
        asked = {"model": "babbage-002", "training_file": sent.json()["id"]}
        job = (await http.post("/fine_tuning/jobs", json=asked)).json()
        await service.clock.sleep(3600)
        job = (await http.get(f"/fine_tuning/jobs/{job['id']}")).json()
    assert job["status"] == "succeeded"


async def test_what_a_lost_answer_made_is_found_by_a_client_that_lives_in_another_time():
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
