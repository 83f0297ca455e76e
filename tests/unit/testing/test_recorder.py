"""Recorded calls, assertions about them, and violations."""

import gc
import json
import re

import anyio
import anyio.lowlevel
import httpx
import pytest

from tunesmith import (
    AsyncClient,
    BackendError,
    HttpxBackend,
    Request,
    TunesmithError,
)
from tunesmith.testing import CallRecorder, HttpxTransport

pytestmark = pytest.mark.anyio

CHAT = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Who was Kant?"}]}


@pytest.fixture
def recorder(faults):
    return CallRecorder(faults)


@pytest.fixture
async def client(recorder, anyio_backend):
    async with AsyncClient(backend=recorder) as client:
        yield client


@pytest.fixture
def ask(recorder):
    """Send requests without the precautions of the client."""

    async def ask(operation, method, path, body=None, **headers):
        content = None if body is None else json.dumps(body).encode()
        headers = {"content-type": "application/json", **headers}
        request = Request(operation, method, path, headers=headers, body=content)
        try:
            async with recorder.send(request) as response:
                return json.loads(await response.read())
        except BackendError:
            return None

    return ask


# Recorded calls


async def test_a_call_has_parameters_a_response_and_times(client, recorder, faults, memory):
    faults.on("chat.completions.create").delay(3)
    start = memory.clock.time()
    answer = await client.chat.completions.create(**CHAT, n=2)
    (call,) = recorder.calls()
    assert (call.number, call.operation) == (1, "chat.completions.create")
    assert (call.method, call.path, call.status) == ("POST", "/chat/completions", 200)
    assert call.parameters == {**CHAT, "n": 2}
    assert call.response_json["id"] == answer.id
    assert (call.started_at, call.responded_at, call.ended_at) == (start, start + 3, start + 3)


async def test_parameters_come_from_the_path_and_the_query_too(client, recorder):
    await client.files.list(limit=3, purpose="batch")
    await client.models.retrieve("davinci-002")
    assert [call.parameters for call in recorder.calls()] == [
        {"limit": 3, "purpose": "batch"},
        {"model": "davinci-002"},
    ]


async def test_parameters_of_queries_and_forms_have_the_types_of_the_api(client, recorder):
    expires_after = {"anchor": "created_at", "seconds": 3600}
    await client.files.create(file=("a.jsonl", b"{}"), purpose="batch", expires_after=expires_after)
    await client.files.list(limit=20)
    recorder.assert_called("files.create", expires_after=expires_after)
    recorder.assert_called("files.list", limit=20)


async def test_an_invalid_query_is_sent_and_recorded_as_text(recorder):
    query = (("limit", "many"), ("metadata", "1"), ("metadata[a]", "2"))
    async with recorder.send(Request("files.list", "GET", "/files", query=query)) as response:
        assert response.status == 400
    (call,) = recorder.calls()
    assert call.parameters == dict(query)


async def test_an_uploaded_file_is_recorded_by_name_and_length(client, recorder):
    await client.files.create(file=("a.jsonl", b'{"a": 1}'), purpose="batch")
    (call,) = recorder.assert_called("files.create", purpose="batch")
    file = call.parameters["file"]
    assert (file.filename, file.bytes) == ("a.jsonl", 8)
    assert repr(file) == "<a.jsonl, 8 bytes>"


async def test_the_length_of_a_large_upload_is_recorded(memory):
    recorder = CallRecorder(memory, max_body_bytes=1000)
    async with AsyncClient(backend=recorder) as client:
        await client.files.create(file=("a.jsonl", b'{"a": 1}\n' * 1000), purpose="batch")
    (call,) = recorder.assert_called("files.create", purpose="batch")
    assert call.parameters["file"].bytes == 9000


async def test_a_stream_is_recorded_event_by_event(client, recorder, memory):
    memory.service.stub_reply("Immanuel Kant.")
    async with client.chat.completions.stream(**CHAT) as stream:
        await stream.final_response()
    (call,) = recorder.assert_called("chat.completions.create", stream=True)
    *chunks, done = call.response_json
    assert done == b"[DONE]"
    texts = (chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks)
    assert "".join(texts) == "Immanuel Kant."


async def test_error_responses_and_lost_responses_are_recorded(client, recorder, faults):
    faults.on("models.list").refuse_connection()
    faults.on("models.list", nth=2).overloaded()
    await client.models.list()
    first, second, third = recorder.calls()
    assert (first.status, first.error.phase) == (None, "connect")
    assert (second.status, second.ok) == (503, False)
    assert third.ok


async def test_an_interrupted_stream_is_recorded_up_to_the_interruption(ask, recorder, faults):
    faults.on("completions.create").disconnect(after_events=2)
    body = {"model": "davinci-002", "prompt": "Kant", "stream": True}
    assert await ask("completions.create", "POST", "/completions", body) is None
    (call,) = recorder.calls()
    assert (call.status, len(call.response_json), call.error.phase) == (200, 2, "read")


async def test_response_bodies_are_not_changed(memory):
    request = Request("models.list", "GET", "/models")
    async with memory.send(request) as response:
        plain = await response.read()
    async with CallRecorder(memory).send(request) as response:
        assert await response.read() == plain


async def test_the_client_uses_the_clock_of_the_inner_backend(client, recorder, faults, memory):
    faults.on("models.list").rate_limited(retry_after=100)
    await client.models.list()
    assert memory.clock.monotonic() == pytest.approx(100)


async def test_keys_are_not_recorded(ask, recorder):
    key = "sk-abcdefghijklmnopqrstuvwx"
    headers = {"authorization": f"Bearer {key}", "x-api-key": key, "cookie": key}
    await ask("models.list", "GET", "/models", **headers)
    body = {"model": "davinci-002", "prompt": f"My key is {key}"}
    await ask("completions.create", "POST", "/completions", body)
    request = Request("models.list", "GET", "/models", query=(("api-key", key),))
    async with recorder.send(request):
        pass
    assert key not in repr(recorder.calls()) + str(recorder) + repr(
        [call.response_json for call in recorder.calls()]
    )


async def test_the_text_of_a_recorder_lists_its_calls(ask, recorder, faults):
    assert str(recorder) == "no calls"
    faults.on("files.list").refuse_connection()
    await ask("files.list", "GET", "/files")
    await ask("models.retrieve", "GET", "/models/ada")
    assert str(recorder).splitlines() == [
        "1 files.list no response (the connection was refused) in 0 s",
        "2 models.retrieve 200 in 0 s model='ada'",
    ]


async def test_clear_removes_the_calls(client, recorder):
    await client.models.list()
    recorder.clear()
    recorder.assert_not_called()


async def test_faults_behind_an_httpx_transport_are_recorded(recorder, faults):
    faults.on("completions.create").status(503)
    async with httpx.AsyncClient(
        transport=HttpxTransport(recorder),
        base_url="http://x/v1",
        headers={"authorization": "Bearer any"},
    ) as http:
        asked = {"model": "davinci-002", "prompt": "Kant"}
        assert (await http.post("/completions", json=asked)).status_code == 503
    recorder.assert_called("completions.create", times=1, **asked)


# Assertions


@pytest.mark.parametrize("name", ["file.delete", "Files.delete", "files.*.delete"])
def test_an_unknown_operation_is_refused(recorder, name):
    for check in (recorder.assert_called, recorder.assert_not_called, recorder.assert_order):
        with pytest.raises(ValueError, match=f"unknown operation '{re.escape(name)}'"):
            check(name)


async def test_calls_are_found_by_operation_and_parameters(client, recorder):
    await client.models.retrieve("davinci-002")
    await client.models.retrieve("babbage-002")
    await client.files.list()
    assert len(recorder.assert_called("models.retrieve", times=2)) == 2
    (call,) = recorder.assert_called("models.*", times=1, model=re.compile("^babbage"))
    assert call.number == 2
    recorder.assert_called("models.retrieve", model=lambda name: name.endswith("-002"))
    recorder.assert_not_called("models.retrieve", model="ada")
    recorder.assert_not_called("files.create")


async def test_a_failure_shows_a_diff_to_the_nearest_call(client, recorder):
    await client.models.list()
    await client.files.create(file=("a.jsonl", b"{}"), purpose="fine-tune")
    with pytest.raises(AssertionError) as caught:
        recorder.assert_called("files.create", purpose="batch", file=_is_small)
    assert str(caught.value).splitlines() == [
        "files.create with purpose='batch' file=<_is_small> was not called",
        "nearest is call 2 (- expected, + actual):",
        "  {",
        '-   "purpose": "batch",',
        '+   "purpose": "fine-tune",',
        '    "file": "<_is_small>"',
        "  }",
        "calls:",
        "  1 models.list 200 in 0 s",
        "  2 files.create 200 in 0 s file=<a.jsonl, 2 bytes> purpose='fine-tune'",
    ]


@pytest.mark.slow
async def test_a_long_diff_is_fast_and_shortened(client, recorder):
    texts = [f"text {number} of a long list" for number in range(1500)]
    await client.embeddings.create(model="text-embedding-3-small", input=texts)
    others = [f"other {number * 3} in a list" for number in range(1500)]
    with pytest.raises(AssertionError) as caught:
        recorder.assert_called("embeddings.create", input=others)
    assert '-     "other 0 in a list",' in str(caught.value)
    assert len(str(caught.value).splitlines()) < 80
    with pytest.raises(AssertionError) as caught:
        recorder.assert_called("embeddings.create", input=[*texts[:700], "?", *texts[701:]])
    assert '-     "?",\n+     "text 700 of a long list",' in str(caught.value)


def _is_small(file):
    return file.bytes < 10


async def test_a_wrong_number_of_calls_is_reported(client, recorder):
    await client.models.list()
    with pytest.raises(AssertionError, match=r"models\.list was called once, expected 2 calls"):
        recorder.assert_called("models.list", times=2)
    with pytest.raises(AssertionError, match=r"models\.list was called once, expected 0 calls"):
        recorder.assert_not_called("models.list")
    with pytest.raises(AssertionError, match=r"files\.list was not called\ncalls:"):
        recorder.assert_called("files.list")


async def test_the_order_of_calls_is_checked(client, recorder):
    await client.files.list()
    await client.models.list()
    await client.files.list()
    recorder.assert_order("files.list", "models.*", "files.list")
    with pytest.raises(
        AssertionError, match=r"models\.list was not called after files\.list, models\.list"
    ):
        recorder.assert_order("files.list", "models.list", "models.list")


async def test_requests_without_a_stub_are_reported(client, recorder, memory):
    memory.service.stub_reply("scripted", match="Kant")
    await client.chat.completions.create(**CHAT)
    recorder.assert_all_stubbed()
    await client.completions.create(model="davinci-002", prompt="Water is")
    await client.embeddings.create(model="text-embedding-3-small", input="Fire")
    with pytest.raises(AssertionError) as caught:
        recorder.assert_all_stubbed()
    assert str(caught.value).splitlines() == [
        "no stub matched 2 request(s):",
        "  completions.create model='davinci-002' prompt='Water is'",
        "  embeddings.create model='text-embedding-3-small' prompt='Fire'",
    ]


async def test_unused_stubs_are_reported(client, recorder, memory):
    memory.service.stub_reply("always")
    memory.service.stub_reply("twice", match="Kant", times=2)
    memory.service.stub_embedding([1.0, 0.0], times=1)
    await client.chat.completions.create(**CHAT)
    with pytest.raises(AssertionError) as caught:
        recorder.assert_all_stubs_used()
    assert str(caught.value).splitlines() == [
        "2 stub(s) were not used up:",
        "  'twice' match='Kant' (1 of its uses left)",
        "  [1.0, 0.0] match=None (1 of its uses left)",
    ]
    await client.chat.completions.create(**CHAT)
    await client.embeddings.create(model="text-embedding-3-small", input="Fire")
    recorder.assert_all_stubs_used()


async def test_stubs_are_checked_only_around_a_service_in_memory():
    recorder = CallRecorder(HttpxBackend("http://localhost/v1", api_key="sk-test"))
    with pytest.raises(ValueError, match="no service in memory"):
        recorder.assert_all_stubbed()


# Violations


def kinds(recorder):
    return [violation.kind for violation in recorder.violations]


async def test_the_client_has_no_violations_under_faults(client, recorder, faults):
    faults.on("files.create").drop_response()
    faults.on("files.create", nth=2).status(502, after_work=True)
    faults.on("models.list").rate_limited(retry_after=7)
    faults.on("models.list", nth=2).quota_exhausted()
    faults.on("completions.create").disconnect(after_events=1)
    await client.files.create(file=("a.jsonl", b"{}"), purpose="batch")
    await client.files.create(file=("b.jsonl", b'{"b": 1}'), purpose="batch")
    with pytest.raises(TunesmithError):
        await client.models.list()
    with pytest.raises(TunesmithError):
        async with client.completions.stream(model="davinci-002", prompt="Kant") as stream:
            await stream.final_response()
    with pytest.raises(TunesmithError):
        await client.models.retrieve("nobody")
    recorder.assert_no_violations()
    faults.assert_all_fired()


@pytest.mark.parametrize("fault", ["quota_exhausted", "status"])
async def test_retrying_a_permanent_error_is_a_violation(ask, recorder, faults, fault):
    calls = faults.on("models.list")
    calls.quota_exhausted() if fault == "quota_exhausted" else calls.status(401)
    await ask("models.list", "GET", "/models")
    await ask("models.list", "GET", "/models")
    (violation,) = recorder.violations
    assert (violation.kind, violation.calls) == ("useless-retry", (1, 2))
    with pytest.raises(AssertionError) as caught:
        recorder.assert_no_violations()
    reason = "429 insufficient_quota" if fault == "quota_exhausted" else "401"
    assert f"call 1, models.list, failed with {reason}, which a retry cannot fix" in str(
        caught.value
    )
    recorder.assert_no_violations(allow=["useless-retry"])


async def test_another_call_after_an_error_is_allowed(ask, recorder):
    await ask("models.retrieve", "GET", "/models/nobody")
    await ask("models.retrieve", "GET", "/models/ada")
    body = {"model": "nobody", "prompt": "a"}
    await ask("completions.create", "POST", "/completions", body)
    await ask("completions.create", "POST", "/completions", {**body, "model": "davinci-002"})
    assert recorder.violations == []


@pytest.mark.parametrize(
    ("waited_s", "violations"), [(0, ["ignored-retry-after"]), (19.5, []), (60, [])]
)
async def test_ignoring_retry_after_is_a_violation(
    ask, recorder, faults, memory, waited_s, violations
):
    faults.on("models.list").rate_limited(retry_after=19.5)
    await ask("models.list", "GET", "/models")
    memory.clock.jump(waited_s)
    await ask("models.list", "GET", "/models")
    assert kinds(recorder) == violations


async def test_an_open_response_is_a_violation(recorder):
    async with recorder.send(Request("models.list", "GET", "/models")):
        assert kinds(recorder) == ["unclosed-response"]
    assert kinds(recorder) == []


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # trio reports it as well
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_a_garbage_collected_response_is_a_violation(recorder):
    async def leak():
        opened = recorder.send(Request("models.list", "GET", "/models"))
        await opened.__aenter__()

    await leak()
    gc.collect()
    for _ in range(10):
        await anyio.lowlevel.checkpoint()
    assert kinds(recorder) == ["unclosed-response"]


async def test_a_stream_closed_by_its_generator_is_allowed(client, recorder):
    async def first_events():
        async with client.chat.completions.stream(**CHAT) as stream:
            async for event in stream:
                yield event

    words = first_events()
    await anext(words)
    await words.aclose()
    assert recorder.violations == []


async def test_creating_the_same_object_twice_is_a_violation(client, recorder):
    for _ in range(2):
        await client.batches.create(
            endpoint="/v1/completions",
            input_file_id=await _batch_file(client),
            completion_window="24h",
        )
    assert kinds(recorder) == ["duplicate-create"]  # the files are the same, the batches are not


async def _batch_file(client):
    line = {"custom_id": "1", "method": "POST", "url": "/v1/completions"}
    line["body"] = {"model": "davinci-002", "prompt": "a"}
    content = json.dumps(line).encode()
    return (await client.files.create(file=("batch.jsonl", content), purpose="batch")).id


async def test_creating_a_deleted_object_again_is_allowed(client, recorder):
    file_id = await _batch_file(client)
    await client.files.delete(file_id)
    await _batch_file(client)
    assert recorder.violations == []


@pytest.mark.parametrize("listed", [True, False])
async def test_repeating_a_lost_create_without_listing_is_a_violation(
    ask, recorder, faults, listed
):
    faults.on("uploads.create").drop_response()
    body = {"filename": "a", "purpose": "batch", "bytes": 1, "mime_type": "text/plain"}
    await ask("uploads.create", "POST", "/uploads", body)
    if listed:
        await ask("uploads.list", "GET", "/uploads")
    await ask("uploads.create", "POST", "/uploads", body)
    assert kinds(recorder) == ([] if listed else ["duplicate-create"])


async def test_repeating_a_create_that_was_never_sent_is_allowed(ask, recorder, faults):
    faults.on("uploads.create").refuse_connection()
    body = {"filename": "a", "purpose": "batch", "bytes": 1, "mime_type": "text/plain"}
    for _ in range(2):
        await ask("uploads.create", "POST", "/uploads", body)
    assert recorder.violations == []


async def test_overlapping_calls_are_not_retries(ask, recorder, faults):
    faults.on("models.retrieve", nth=None).delay(5)
    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(ask, "models.retrieve", "GET", "/models/nobody")
    assert [call.status for call in recorder.calls()] == [404] * 3
    assert recorder.violations == []
