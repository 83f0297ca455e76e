"""The record: what was called, and the verdict on whoever called."""

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
    MemoryBackend,
    Request,
    TunesmithError,
)
from tunesmith.testing import CallRecorder, Faults, HttpxTransport

pytestmark = pytest.mark.anyio

CHAT = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Who was Kant?"}]}


@pytest.fixture
def memory():
    return MemoryBackend(seed=1)


@pytest.fixture
def faults(memory):
    return Faults(memory)


@pytest.fixture
def record(faults):
    return CallRecorder(faults)


@pytest.fixture
async def client(record, anyio_backend):
    async with AsyncClient(backend=record) as client:
        yield client


@pytest.fixture
def ask(record):
    """Calls without any of the care that the client takes."""

    async def ask(operation, method, path, body=None, **headers):
        content = None if body is None else json.dumps(body).encode()
        given = {"content-type": "application/json", **headers}
        request = Request(operation, method, path, headers=given, body=content)
        try:
            async with record.send(request) as response:
                return json.loads(await response.read())
        except BackendError:
            return None

    return ask


# What is recorded.


async def test_a_call_has_its_parameters_its_answer_and_its_times(client, record, faults, memory):
    faults.on("chat.completions.create").delay(3)
    began = memory.clock.time()
    answer = await client.chat.completions.create(**CHAT, n=2)
    (call,) = record.all
    assert (call.number, call.operation) == (1, "chat.completions.create")
    assert (call.method, call.path, call.status) == ("POST", "/chat/completions", 200)
    assert call.parameters == {**CHAT, "n": 2}
    assert call.response_json["id"] == answer.id
    assert (call.began_at, call.answered_at, call.ended_at) == (began, began + 3, began + 3)


async def test_parameters_come_from_the_path_and_the_query_too(client, record):
    await client.files.list(limit=3, purpose="batch")
    await client.models.retrieve("davinci-002")
    assert [call.parameters for call in record.all] == [
        {"limit": 3, "purpose": "batch"},
        {"model": "davinci-002"},
    ]


async def test_numbers_in_queries_and_forms_are_numbers(client, record):
    expires_after = {"anchor": "created_at", "seconds": 3600}
    await client.files.create(file=("a.jsonl", b"{}"), purpose="batch", expires_after=expires_after)
    await client.files.list(limit=20)
    record.assert_called("files.create", expires_after=expires_after)
    record.assert_called("files.list", limit=20)


async def test_a_query_that_makes_no_sense_is_passed_on_and_kept_as_text(record):
    query = (("limit", "many"), ("metadata", "1"), ("metadata[a]", "2"))
    async with record.send(Request("files.list", "GET", "/files", query=query)) as response:
        assert response.status == 400
    (call,) = record.all
    assert call.parameters == dict(query)


async def test_of_an_upload_the_file_is_described(client, record):
    await client.files.create(file=("a.jsonl", b'{"a": 1}'), purpose="batch")
    (call,) = record.assert_called("files.create", purpose="batch")
    file = call.parameters["file"]
    assert (file.filename, file.bytes) == ("a.jsonl", 8)
    assert repr(file) == "<a.jsonl, 8 bytes>"


async def test_of_a_large_upload_the_beginning_is_kept(memory):
    record = CallRecorder(memory, max_body_bytes=1000)
    async with AsyncClient(backend=record) as client:
        await client.files.create(file=("a.jsonl", b'{"a": 1}\n' * 1000), purpose="batch")
    (call,) = record.assert_called("files.create", purpose="batch")
    assert call.parameters["file"].bytes == 9000


async def test_a_stream_is_recorded_event_by_event(client, record, memory):
    memory.service.stub_reply("Immanuel Kant.")
    async with client.chat.completions.stream(**CHAT) as stream:
        await stream.final_response()
    (call,) = record.assert_called("chat.completions.create", stream=True)
    *chunks, done = call.response_json
    assert done == b"[DONE]"
    said = (chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks)
    assert "".join(said) == "Immanuel Kant."


async def test_errors_and_lost_answers_are_recorded(client, record, faults):
    faults.on("models.list").refuse_connection()
    faults.on("models.list", nth=2).overloaded()
    await client.models.list()
    first, second, third = record.all
    assert (first.status, first.error.phase) == (None, "connect")
    assert (second.status, second.ok) == (503, False)
    assert third.ok


async def test_a_stream_that_breaks_off_is_recorded_as_far_as_it_came(ask, record, faults):
    faults.on("completions.create").disconnect(after_events=2)
    body = {"model": "davinci-002", "prompt": "Kant", "stream": True}
    assert await ask("completions.create", "POST", "/completions", body) is None
    (call,) = record.all
    assert (call.status, len(call.response_json), call.error.phase) == (200, 2, "read")


async def test_bodies_are_passed_on_as_they_are(memory):
    request = Request("models.list", "GET", "/models")
    async with memory.send(request) as response:
        plain = await response.read()
    async with CallRecorder(memory).send(request) as response:
        assert await response.read() == plain


async def test_the_client_sleeps_by_the_clock_behind_the_record(client, record, faults, memory):
    faults.on("models.list").rate_limited(retry_after_s=100)
    await client.models.list()
    assert memory.clock.monotonic() == pytest.approx(100)


async def test_no_key_is_ever_recorded(ask, record):
    key = "sk-abcdefghijklmnopqrstuvwx"
    headers = {"authorization": f"Bearer {key}", "x-api-key": key, "cookie": key}
    await ask("models.list", "GET", "/models", **headers)
    body = {"model": "davinci-002", "prompt": f"My key is {key}"}
    await ask("completions.create", "POST", "/completions", body)
    request = Request("models.list", "GET", "/models", query=(("api-key", key),))
    async with record.send(request):
        pass
    assert key not in repr(record.all) + str(record) + repr(
        [call.response_json for call in record.all]
    )


async def test_a_record_prints_its_calls(ask, record, faults):
    assert str(record) == "no calls"
    faults.on("files.list").refuse_connection()
    await ask("files.list", "GET", "/files")
    await ask("models.retrieve", "GET", "/models/ada")
    assert str(record).splitlines() == [
        "1 files.list no answer (the connection was refused) in 0 s",
        "2 models.retrieve 200 in 0 s model='ada'",
    ]


async def test_a_record_can_forget(client, record):
    await client.models.list()
    record.clear()
    record.assert_not_called()


async def test_what_a_fault_answers_to_a_client_behind_a_door_is_recorded_too(record, faults):
    faults.on("completions.create").status(503)
    async with httpx.AsyncClient(
        transport=HttpxTransport(record),
        base_url="http://x/v1",
        headers={"authorization": "Bearer any"},
    ) as http:
        asked = {"model": "davinci-002", "prompt": "Kant"}
        assert (await http.post("/completions", json=asked)).status_code == 503
    record.assert_called("completions.create", times=1, **asked)


# Assertions.


@pytest.mark.parametrize("name", ["file.delete", "Files.delete", "files.*.delete"])
def test_an_operation_that_there_is_not_was_neither_called_nor_not(record, name):
    for check in (record.assert_called, record.assert_not_called, record.assert_order):
        with pytest.raises(ValueError, match=f"unknown operation '{re.escape(name)}'"):
            check(name)


async def test_calls_are_found_by_operation_and_parameters(client, record):
    await client.models.retrieve("davinci-002")
    await client.models.retrieve("babbage-002")
    await client.files.list()
    assert len(record.assert_called("models.retrieve", times=2)) == 2
    (call,) = record.assert_called("models.*", times=1, model=re.compile("^babbage"))
    assert call.number == 2
    record.assert_called("models.retrieve", model=lambda name: name.endswith("-002"))
    record.assert_not_called("models.retrieve", model="ada")
    record.assert_not_called("files.create")


async def test_what_was_not_called_so_is_shown_as_a_diff_to_the_nearest(client, record):
    await client.models.list()
    await client.files.create(file=("a.jsonl", b"{}"), purpose="fine-tune")
    with pytest.raises(AssertionError) as caught:
        record.assert_called("files.create", purpose="batch", file=_is_small)
    assert str(caught.value).splitlines() == [
        "files.create with purpose='batch' file=<_is_small> was never called",
        "the nearest is call 2 (- wanted, + asked):",
        "  {",
        '-   "purpose": "batch",',
        '+   "purpose": "fine-tune",',
        '    "file": "<_is_small>"',
        "  }",
        "the record:",
        "  1 models.list 200 in 0 s",
        "  2 files.create 200 in 0 s file=<a.jsonl, 2 bytes> purpose='fine-tune'",
    ]


@pytest.mark.slow
async def test_a_diff_of_much_is_quick_and_shows_no_more_than_can_be_read(client, record):
    texts = [f"text {number} of a long list" for number in range(1500)]
    await client.embeddings.create(model="text-embedding-3-small", input=texts)
    others = [f"other {number * 3} in a list" for number in range(1500)]
    with pytest.raises(AssertionError) as caught:
        record.assert_called("embeddings.create", input=others)
    assert '-     "other 0 in a list",' in str(caught.value)
    assert len(str(caught.value).splitlines()) < 80
    with pytest.raises(AssertionError) as caught:
        record.assert_called("embeddings.create", input=[*texts[:700], "?", *texts[701:]])
    assert '-     "?",\n+     "text 700 of a long list",' in str(caught.value)


def _is_small(file):
    return file.bytes < 10


async def test_a_wrong_number_of_calls_is_told(client, record):
    await client.models.list()
    with pytest.raises(AssertionError, match=r"models\.list was once called, not 2 times"):
        record.assert_called("models.list", times=2)
    with pytest.raises(AssertionError, match=r"models\.list was once called, not 0 times"):
        record.assert_not_called("models.list")
    with pytest.raises(AssertionError, match=r"files\.list was never called\nthe record:"):
        record.assert_called("files.list")


async def test_the_order_of_calls_can_be_held(client, record):
    await client.files.list()
    await client.models.list()
    await client.files.list()
    record.assert_order("files.list", "models.*", "files.list")
    with pytest.raises(
        AssertionError, match=r"models\.list was never called after files\.list, models\.list"
    ):
        record.assert_order("files.list", "models.list", "models.list")


async def test_what_no_script_answered_is_told(client, record, memory):
    memory.service.stub_reply("scripted", match="Kant")
    await client.chat.completions.create(**CHAT)
    record.assert_all_stubbed()
    await client.completions.create(model="davinci-002", prompt="Water is")
    await client.embeddings.create(model="text-embedding-3-small", input="Fire")
    with pytest.raises(AssertionError) as caught:
        record.assert_all_stubbed()
    assert str(caught.value).splitlines() == [
        "no script answered 2 request(s):",
        "  completions.create model='davinci-002' prompt='Water is'",
        "  embeddings.create model='text-embedding-3-small' prompt='Fire'",
    ]


async def test_without_a_service_there_are_no_scripts():
    record = CallRecorder(HttpxBackend("http://localhost/v1", api_key="sk-test"))
    with pytest.raises(ValueError, match="no service in memory"):
        record.assert_all_stubbed()


# The verdict.


def kinds(record):
    return [lapse.kind for lapse in record.violations]


async def test_the_client_itself_is_well_behaved_whatever_goes_wrong(client, record, faults):
    faults.on("files.create").drop_response()
    faults.on("files.create", nth=2).status(502, after_work=True)
    faults.on("models.list").rate_limited(retry_after_s=7)
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
    record.assert_no_violations()
    faults.assert_all_fired()


@pytest.mark.parametrize("fault", ["quota_exhausted", "status"])
async def test_retrying_what_no_retry_changes_is_a_lapse(ask, record, faults, fault):
    calls = faults.on("models.list")
    calls.quota_exhausted() if fault == "quota_exhausted" else calls.status(401)
    await ask("models.list", "GET", "/models")
    await ask("models.list", "GET", "/models")
    (lapse,) = record.violations
    assert (lapse.kind, lapse.calls) == ("useless-retry", (1, 2))
    with pytest.raises(AssertionError) as caught:
        record.assert_no_violations()
    why = "429 insufficient_quota" if fault == "quota_exhausted" else "401"
    assert f"call 1, models.list, was answered {why}, which no retry changes" in str(caught.value)
    record.assert_no_violations(allow=["useless-retry"])


async def test_asking_for_something_else_after_an_error_is_no_lapse(ask, record):
    await ask("models.retrieve", "GET", "/models/nobody")
    await ask("models.retrieve", "GET", "/models/ada")
    body = {"model": "nobody", "prompt": "a"}
    await ask("completions.create", "POST", "/completions", body)
    await ask("completions.create", "POST", "/completions", {**body, "model": "davinci-002"})
    assert record.violations == []


@pytest.mark.parametrize(
    ("waited_s", "lapses"), [(0, ["ignored-retry-after"]), (19.5, []), (60, [])]
)
async def test_not_waiting_as_asked_is_a_lapse(ask, record, faults, memory, waited_s, lapses):
    faults.on("models.list").rate_limited(retry_after_s=19.5)
    await ask("models.list", "GET", "/models")
    memory.clock.jump(waited_s)
    await ask("models.list", "GET", "/models")
    assert kinds(record) == lapses


async def test_an_answer_that_is_still_open_is_a_lapse(record):
    async with record.send(Request("models.list", "GET", "/models")):
        assert kinds(record) == ["unclosed-response"]
    assert kinds(record) == []


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # trio tells of it as well
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_an_answer_closed_by_the_garbage_collector_is_a_lapse(record):
    async def leak():
        opened = record.send(Request("models.list", "GET", "/models"))
        await opened.__aenter__()

    await leak()
    gc.collect()
    for _ in range(10):
        await anyio.lowlevel.checkpoint()
    assert kinds(record) == ["unclosed-response"]


async def test_a_stream_closed_on_the_way_out_of_a_generator_is_no_lapse(client, record):
    async def first_words():
        async with client.chat.completions.stream(**CHAT) as stream:
            async for event in stream:
                yield event

    words = first_words()
    await anext(words)
    await words.aclose()
    assert record.violations == []


async def test_creating_the_same_twice_is_a_lapse(client, record):
    for _ in range(2):
        await client.batches.create(
            endpoint="/v1/completions",
            input_file_id=await _batch_file(client),
            completion_window="24h",
        )
    assert kinds(record) == ["duplicate-create"]  # the files are the same, the batches are not


async def _batch_file(client):
    line = {"custom_id": "1", "method": "POST", "url": "/v1/completions"}
    line["body"] = {"model": "davinci-002", "prompt": "a"}
    content = json.dumps(line).encode()
    return (await client.files.create(file=("batch.jsonl", content), purpose="batch")).id


async def test_creating_again_what_was_deleted_is_no_lapse(client, record):
    file_id = await _batch_file(client)
    await client.files.delete(file_id)
    await _batch_file(client)
    assert record.violations == []


@pytest.mark.parametrize("looked", [True, False])
async def test_sending_a_lost_create_again_without_a_look_is_a_lapse(ask, record, faults, looked):
    faults.on("uploads.create").drop_response()
    body = {"filename": "a", "purpose": "batch", "bytes": 1, "mime_type": "text/plain"}
    await ask("uploads.create", "POST", "/uploads", body)
    if looked:
        await ask("uploads.list", "GET", "/uploads")
    await ask("uploads.create", "POST", "/uploads", body)
    assert kinds(record) == ([] if looked else ["duplicate-create"])


async def test_sending_a_create_again_that_never_arrived_is_no_lapse(ask, record, faults):
    faults.on("uploads.create").refuse_connection()
    body = {"filename": "a", "purpose": "batch", "bytes": 1, "mime_type": "text/plain"}
    for _ in range(2):
        await ask("uploads.create", "POST", "/uploads", body)
    assert record.violations == []


async def test_calls_that_overlap_are_no_retries(ask, record, faults):
    faults.on("models.retrieve", nth=None).delay(5)
    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(ask, "models.retrieve", "GET", "/models/nobody")
    assert [call.status for call in record.all] == [404] * 3
    assert record.violations == []
