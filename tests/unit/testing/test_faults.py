"""Faults injected into chosen calls."""

import json
import re
from contextlib import aclosing, asynccontextmanager

import anyio
import hypothesis
import pytest
from hypothesis import strategies as st

from tunesmith import (
    APIConnectionError,
    APITimeoutError,
    AsyncClient,
    BackendError,
    DeadlineExceededError,
    InsufficientQuotaError,
    InternalServerError,
    InvalidResponseError,
    RateLimitError,
    Request,
    Response,
    StreamError,
    StreamInterruptedError,
)
from tunesmith.backends.base import SYSTEM_CLOCK
from tunesmith.testing import Faults, Reply, Token
from tunesmith.testing.faults.base import FaultInvocation
from tunesmith.testing.faults.positions import BodyPosition, inject_at

pytestmark = pytest.mark.anyio

KANT = {"model": "davinci-002", "prompt": "Kant was"}


@pytest.fixture
async def client(faults, anyio_backend):
    async with AsyncClient(backend=faults) as client:
        yield client


@pytest.fixture
async def client_without_retries(faults, anyio_backend):
    """A client that never retries."""
    async with AsyncClient(backend=faults, max_retries=0) as client:
        yield client


async def read_stream(client, texts):
    """Stream a completion and append each text."""
    async with client.completions.stream(**KANT) as stream:
        async for event in stream:
            texts.append(event.choices[0].text)


async def read_body(response, chunks):
    """Read a body and append each chunk."""
    async for chunk in response.stream:
        chunks.append(chunk)


async def send(backend, request):
    async with backend.send(request):
        pass


async def read_whole_stream(client):
    async with client.completions.stream(**KANT) as stream:
        await stream.final_response()


class CountingBackend:
    """Backend that records the operations that reach the service."""

    def __init__(self, inner):
        self.inner = inner
        self.operations = []

    @asynccontextmanager
    async def send(self, request):
        self.operations.append(request.operation)
        async with self.inner.send(request) as response:
            yield response

    async def aclose(self):
        await self.inner.aclose()


# Choosing calls


async def test_a_fault_affects_only_the_chosen_call(client_without_retries, faults):
    faults.on("models.list", nth=2).status(500)
    await client_without_retries.models.list()
    await client_without_retries.models.retrieve("davinci-002")
    with pytest.raises(InternalServerError):
        await client_without_retries.models.list()
    await client_without_retries.models.list()
    faults.assert_all_fired()


async def test_a_fault_may_affect_several_calls(client, faults, memory):
    faults.on("models.list", nth=range(1, 3)).overloaded()
    page = await client.models.list()
    assert page.response.attempts == 3
    faults.assert_all_fired()


async def test_a_pattern_counts_the_calls_of_all_matching_operations(
    client_without_retries, faults
):
    faults.on("models.*", nth=2).status(500)
    await client_without_retries.models.list()
    with pytest.raises(InternalServerError):
        await client_without_retries.models.retrieve("davinci-002")


async def test_a_fault_may_affect_every_call(client_without_retries, faults):
    faults.on("models.list", nth=None).status(500)
    for _ in range(3):
        with pytest.raises(InternalServerError):
            await client_without_retries.models.list()
    faults.assert_all_fired()


async def test_calls_are_counted_from_the_declaration(client_without_retries, faults):
    await client_without_retries.models.list()
    faults.on("models.list").status(500)
    with pytest.raises(InternalServerError):
        await client_without_retries.models.list()


@pytest.mark.parametrize(("name", "message"), [
    ("completion.create", r"did you mean 'completions\.create'"),
    ("chat.create", r"did you mean 'chat\.completions\.create'"),
    ("file*", None),
    ("lunch.*", r"use one of batches\.cancel, .*uploads\.parts\.create"),
])  # fmt: skip
def test_an_unknown_operation_is_refused_with_a_suggestion(faults, name, message):
    if message is None:
        faults.on(name)
    else:
        with pytest.raises(ValueError, match=message):
            faults.on(name)


@pytest.mark.parametrize("call", [0, -1, (), (1, 0)])
def test_calls_below_the_first_are_refused(faults, call):
    with pytest.raises(ValueError, match="nth must count calls from 1"):
        faults.on("models.list", nth=call)


async def test_clear_removes_all_faults(client_without_retries, faults):
    faults.on("models.list").status(500)
    faults.clear()
    await client_without_retries.models.list()
    faults.assert_all_fired()


# Other responses


async def test_an_error_status_has_the_error_body_of_the_api(client_without_retries, faults):
    faults.on("files.retrieve").status(
        500, "Sorry.", type="sorry", code="so_sorry", param="id", headers={"x-request-id": "req-1"}
    )
    with pytest.raises(InternalServerError) as caught:
        await client_without_retries.files.retrieve("file-1")
    error = caught.value
    assert (error.status, error.type, error.code, error.param) == (500, "sorry", "so_sorry", "id")
    assert error.request_id == "req-1"
    assert "Sorry." in str(error)


async def test_an_error_status_may_have_a_body_other_than_json(client_without_retries, faults):
    faults.on("models.list").status(502, body=b"<title>Bad gateway</title>")
    with pytest.raises(InternalServerError, match="Bad gateway"):
        await client_without_retries.models.list()


async def test_a_rate_limit_sends_retry_after(client, faults, memory):
    faults.on("models.list").rate_limited(retry_after=12.5)
    start = memory.clock.monotonic()
    await client.models.list()
    assert memory.clock.monotonic() - start == pytest.approx(12.5)


async def test_a_rate_limit_has_the_code_of_the_api(client_without_retries, faults):
    faults.on("models.list").rate_limited()
    with pytest.raises(RateLimitError) as caught:
        await client_without_retries.models.list()
    assert caught.value.code == "rate_limit_exceeded"


async def test_an_exhausted_quota_is_not_retried(client, faults):
    faults.on("models.list", nth=None).quota_exhausted()
    with pytest.raises(InsufficientQuotaError) as caught:
        await client.models.list()
    assert caught.value.attempts == 1


async def test_an_error_status_replaces_the_work_or_follows_it(
    client_without_retries, faults, memory
):
    faults.on("files.create").status(502)
    faults.on("files.create", nth=2).status(502, after_work=True)
    for _ in range(2):
        with pytest.raises(InternalServerError):
            await client_without_retries.files.create(file=b"{}", purpose="batch")
    assert len((await client_without_retries.files.list()).data) == 1
    faults.assert_all_fired()


async def test_a_refused_connection_never_reaches_the_service(client_without_retries, faults):
    faults.on("files.create").refuse_connection()
    with pytest.raises(APIConnectionError, match="the connection was refused"):
        await client_without_retries.files.create(file=b"{}", purpose="batch")
    assert (await client_without_retries.files.list()).data == []


async def test_a_dropped_response_leaves_the_work_done(client, faults):
    faults.on("files.create").drop_response()
    file = await client.files.create(file=("a.jsonl", b"{}"), purpose="batch")
    assert [each.id for each in (await client.files.list()).data] == [file.id]
    faults.assert_all_fired()


# Time


async def test_a_delay_takes_virtual_time(client, faults, memory):
    faults.on("models.list").delay(30)
    start = memory.clock.monotonic()
    await client.models.list()
    assert memory.clock.monotonic() - start == pytest.approx(30)


async def test_a_delay_beyond_the_timeout_times_out(faults, memory):
    faults.on("models.list").delay(30)
    async with AsyncClient(backend=faults, timeout=10, max_retries=0) as client:
        with pytest.raises(APITimeoutError):
            await client.models.list()
    assert memory.clock.monotonic() == pytest.approx(10)


async def test_an_endless_stall_ends_at_the_deadline(faults, memory):
    faults.on("completions.create").stall(after_events=2)
    texts = []
    async with AsyncClient(backend=faults, deadline=60) as client:
        with pytest.raises(DeadlineExceededError):
            await read_stream(client, texts)
    assert len(texts) == 2
    assert memory.clock.monotonic() == pytest.approx(60)
    faults.assert_all_fired()


async def test_a_stall_beyond_the_timeout_times_out(faults):
    faults.on("completions.create").stall(after_events=2)
    async with AsyncClient(backend=faults, timeout=20) as client:
        with pytest.raises(APITimeoutError, match="the response stopped withi"):
            await read_stream(client, [])


async def test_a_stream_resumes_after_a_stall(client, faults, memory):
    whole = await client.completions.create(**KANT, seed=1)
    faults.on("completions.create").stall(after_events=2, duration=5)
    start = memory.clock.monotonic()
    async with client.completions.stream(**KANT, seed=1) as stream:
        text = "".join([event.choices[0].text async for event in stream])
    assert text == whole.choices[0].text
    assert memory.clock.monotonic() - start == pytest.approx(5)


# Bodies


@pytest.mark.parametrize("events", [0, 1, 3])
async def test_a_stream_disconnects_after_a_number_of_events(client, faults, memory, events):
    memory.service.stub_reply(Reply(tokens=[Token(text, -1) for text in "abcdef"]))
    faults.on("completions.create").disconnect(after_events=events)
    texts = []
    with pytest.raises(StreamInterruptedError):
        await read_stream(client, texts)
    assert "".join(texts) == "abcdef"[:events]
    faults.assert_all_fired()


async def test_a_download_resumes_after_a_disconnect(client, faults, tmp_path):
    content = b"".join(b'{"n": %d}\n' % n for n in range(10_000))
    file = await client.files.create(file=("a.jsonl", content), purpose="fine-tune")
    faults.on("files.content").disconnect(after_bytes=70_000)
    faults.on("files.content", nth=2).disconnect(after_bytes=1)
    await client.files.content(file.id).write_to(tmp_path / "a.jsonl")
    assert (tmp_path / "a.jsonl").read_bytes() == content
    faults.assert_all_fired()


async def test_a_body_disconnects_half_way_by_default(memory, faults):
    request = Request("models.list", "GET", "/models")
    async with memory.send(request) as response:
        whole = await response.read()
    faults.on("models.list").disconnect()
    received = []
    async with faults.send(request) as response:
        with pytest.raises(BackendError) as caught:
            await read_body(response, received)
    assert b"".join(received) == whole[: len(whole) // 2]
    assert caught.value.phase == "read"


async def test_a_truncated_body_has_a_matching_content_length(faults):
    faults.on("models.list").truncate()
    async with faults.send(Request("models.list", "GET", "/models")) as response:
        content = await response.read()
    assert int(response.headers["content-length"]) == len(content)
    with pytest.raises(json.JSONDecodeError):
        json.loads(content)


async def test_truncated_json_is_an_invalid_response(client_without_retries, faults):
    faults.on("models.list").truncate(after_bytes=20)
    with pytest.raises(InvalidResponseError):
        await client_without_retries.models.list()


async def test_a_truncated_stream_is_an_error(client, faults):
    faults.on("completions.create").truncate(after_events=2)
    with pytest.raises(StreamInterruptedError):
        await read_whole_stream(client)


async def test_a_stream_may_end_with_an_error_event(client, faults):
    faults.on("completions.create").error_event(after_events=1, message="Overloaded.", code="busy")
    with pytest.raises(StreamError, match=r"Overloaded\."):
        await read_whole_stream(client)


async def test_the_content_type_can_be_replaced(faults):
    faults.on("models.list").content_type("text/html")
    async with faults.send(Request("models.list", "GET", "/models")) as response:
        assert response.headers["content-type"] == "text/html"
        assert json.loads(await response.read())["object"] == "list"


async def test_the_json_of_successful_responses_can_be_edited(client_without_retries, faults):
    faults.on("models.*", nth=None).edit(lambda answer: {**answer, "id": "edited"})
    assert (await client_without_retries.models.retrieve("davinci-002")).id == "edited"
    async with faults.send(Request("models.retrieve", "GET", "/models/nobody")) as response:
        assert "id" not in json.loads(await response.read())


# Pages


@pytest.fixture
async def files(client):
    """The ids of five files, newest first."""
    created = [await client.files.create(file=b"{}", purpose="batch") for _ in range(5)]
    return [file.id for file in reversed(created)]


async def test_a_page_can_be_repeated(client, faults, files):
    faults.on("files.list", nth=2).repeat_page()
    first = await client.files.list(limit=2)
    second = await client.files.list(limit=2, after=first.data[-1].id)
    third = await client.files.list(limit=2, after=first.data[-1].id)
    assert [file.id for page in (first, second, third) for file in page.data] == [
        *files[:2],
        *files[:2],
        *files[2:4],
    ]
    faults.assert_all_fired()


async def test_a_first_page_cannot_be_repeated(client, faults, files):
    faults.on("files.list").repeat_page()
    await client.files.list()
    with pytest.raises(AssertionError, match="repeat page - the first page has no predecessor"):
        faults.assert_all_fired()


async def test_a_page_can_be_reordered(client, faults, files):
    faults.on("files.list").reorder_page()
    page = await client.files.list()
    assert [file.id for file in page.data] == files[::-1]


# Uploads


@pytest.mark.parametrize("after_bytes", [None, 0, 100])
async def test_a_broken_upload_creates_no_file(client_without_retries, faults, after_bytes):
    faults.on("files.create").disconnect_upload(after_bytes=after_bytes)
    with pytest.raises(APIConnectionError):
        await client_without_retries.files.create(
            file=("a.jsonl", b'{"a": 1}\n' * 1000), purpose="fine-tune"
        )
    assert (await client_without_retries.files.list()).data == []
    faults.assert_all_fired()


@pytest.mark.parametrize("replayable", [True, False])
async def test_an_upload_of_unknown_length_can_be_broken(replayable):
    sent = []

    class Reading:
        @asynccontextmanager
        async def send(self, request):
            async for chunk in request.chunks():
                sent.append(chunk)  # noqa: PERF401 - kept though the body breaks
            yield Response(200, {}, aiter(()))

        async def aclose(self):
            pass

    async def body():
        for chunk in [b"abcd"] * 4:
            yield chunk

    faults = Faults(Reading())
    faults.on("files.create").disconnect_upload()
    request = Request("files.create", "POST", "/files", body=body, replayable=replayable)
    with pytest.raises(BackendError) as caught:
        await send(faults, request)
    assert b"".join(sent) == (b"abcdabcd" if replayable else b"")
    assert caught.value.phase == "write"


async def test_a_request_without_a_body_has_no_upload_to_break(client_without_retries, faults):
    faults.on("models.list").disconnect_upload()
    await client_without_retries.models.list()
    with pytest.raises(
        AssertionError, match="disconnect upload half-way - the request had no body"
    ):
        faults.assert_all_fired()


# Combinations


async def test_faults_of_one_call_compose(faults, memory):
    memory.service.stub_reply(Reply(tokens=[Token(text, -1) for text in "abcdef"]))
    calls = faults.on("completions.create")
    calls.disconnect(after_events=4).stall(after_events=2, duration=5).delay(10).content_type(
        "text/plain"
    )
    start = memory.clock.monotonic()
    body = json.dumps({**KANT, "stream": True}).encode()
    headers = {"content-type": "application/json"}
    request = Request("completions.create", "POST", "/completions", headers=headers, body=body)
    async with faults.send(request) as response:
        assert memory.clock.monotonic() - start == pytest.approx(10)
        assert response.headers["content-type"] == "text/plain"
        received = []
        with pytest.raises(BackendError):
            await read_body(response, received)
    assert b"".join(received).count(b"\n\n") == 4
    assert memory.clock.monotonic() - start == pytest.approx(15)
    faults.assert_all_fired()


async def test_content_changes_before_the_body_breaks(faults):
    faults.on("models.list").truncate(after_bytes=5).edit(lambda page: "0123456789")
    async with faults.send(Request("models.list", "GET", "/models")) as response:
        assert await response.read() == b'"0123'


async def test_an_error_status_can_be_changed_and_broken(faults):
    calls = faults.on("models.list").status(503, "Overloaded")
    calls.content_type("text/html").truncate(after_bytes=10)
    async with faults.send(Request("models.list", "GET", "/models")) as response:
        assert (response.status, response.headers["content-type"]) == (503, "text/html")
        assert await response.read() == b'{"error": '
    faults.assert_all_fired()


@pytest.mark.parametrize("failure", ["drop_response", "refuse_connection"])
async def test_a_failure_can_be_delayed(client_without_retries, faults, memory, failure):
    getattr(faults.on("models.list").delay(5), failure)()
    with pytest.raises(APIConnectionError):
        await client_without_retries.models.list()
    assert memory.clock.monotonic() == pytest.approx(5)
    faults.assert_all_fired()


async def test_fault_backends_nest(memory):
    inner = Faults(memory)
    inner.on("models.list", nth=2).status(500)
    outer = Faults(inner)
    outer.on("models.list", nth=1).refuse_connection()
    async with AsyncClient(backend=outer) as client:
        assert (await client.models.list()).response.attempts == 2
        assert (await client.models.list()).response.attempts == 2
    inner.assert_all_fired()
    outer.assert_all_fired()


async def test_an_error_status_does_not_call_the_service(memory):
    counting = CountingBackend(memory)
    faults = Faults(counting)
    faults.on("models.list").overloaded()
    async with AsyncClient(backend=faults) as client:
        await client.models.list()
    assert counting.operations == ["models.list"]


# Unfired faults


async def test_unfired_faults_are_reported_with_the_reason(client, faults, memory):
    memory.service.stub_reply(Reply(tokens=[Token(text, -1) for text in "ab"]))
    faults.on("models.list").overloaded()
    faults.on("models.list", nth=(2, 5)).status(500)
    faults.on("files.*", nth=None).drop_response()
    faults.on("completions.create").disconnect(after_events=30)
    await client.models.list()
    await read_whole_stream(client)
    with pytest.raises(AssertionError) as caught:
        faults.assert_all_fired()
    assert str(caught.value).splitlines() == [
        "3 fault(s) did not fire:",
        "  models.list, call 5: status 500 - called 3 times",
        "  files.*, every call: drop response - not called",
        "  completions.create, call 1: disconnect after 30 events - the body ended after 4 events",
    ]


async def test_a_position_beyond_the_end_of_the_body_is_reported(client, faults):
    faults.on("models.list").disconnect(after_bytes=10**6)
    await client.models.list()
    with pytest.raises(
        AssertionError, match=r"disconnect after 1000000 bytes - the body ended after \d+"
    ):
        faults.assert_all_fired()


async def test_a_fault_hidden_by_another_does_not_fire(client_without_retries, faults):
    faults.on("models.list").disconnect(after_bytes=3).refuse_connection()
    with pytest.raises(APIConnectionError):
        await client_without_retries.models.list()
    (unfired,) = faults.unfired
    assert unfired == (
        "models.list, call 1: disconnect after 3 bytes - "
        "another fault or the caller ended the call first"
    )


async def test_other_content_than_json_is_not_edited(client_without_retries, faults):
    file = await client_without_retries.files.create(
        file=("a.txt", b"no JSON"), purpose="user_data"
    )
    faults.on("files.content").edit(lambda answer: {**answer, "id": "another"})
    assert await client_without_retries.files.content(file.id).read() == b"no JSON"
    assert faults.unfired == ["files.content, call 1: edit JSON - the response was not JSON"]


async def test_reordering_leaves_other_values_unchanged(client_without_retries, faults):
    faults.on("models.retrieve").reorder_page()
    assert (await client_without_retries.models.retrieve("davinci-002")).id == "davinci-002"
    (unfired,) = faults.unfired
    assert unfired.endswith("reorder page - the edit changed nothing")


async def test_an_error_response_is_not_a_page_to_repeat(client, faults, files):
    faults.on("files.list", nth=1).status(500)
    faults.on("files.list", nth=2).repeat_page()
    page = await client.files.list()
    assert [file.id for file in page.data] == files
    with pytest.raises(AssertionError, match="repeat page - the first page has no predecessor"):
        faults.assert_all_fired()


async def test_an_empty_body_breaks_at_its_end(client_without_retries, faults):
    file = await client_without_retries.files.create(file=("a.txt", b""), purpose="user_data")
    faults.on("files.content").disconnect()
    with pytest.raises(APIConnectionError):
        await client_without_retries.files.content(file.id).read()
    faults.assert_all_fired()


# Positions


@pytest.mark.parametrize("wrong", [{"after_bytes": 1, "after_events": 1}, {"after_bytes": -1}])
def test_a_position_is_either_bytes_or_events_and_not_negative(wrong):
    with pytest.raises(ValueError, match="after_bytes"):
        BodyPosition(**wrong)


EVENTS = st.lists(
    st.sampled_from(["data: 1", ": a comment", "event: x", "data: 2\ndata: 3", ""]), min_size=1
).map("\n\n".join)


@pytest.mark.slow
@hypothesis.given(
    text=EVENTS, end=st.sampled_from(["\n", "\r\n"]), after=st.integers(0, 5), data=st.data()
)
def test_a_position_in_events_does_not_depend_on_chunk_boundaries(text, end, after, data):
    """The bytes before the position hold exactly the chosen number of events."""
    content = (text + "\n\n").replace("\n", end).encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(content)), max_size=8)))
    ends = [*cuts, len(content)]
    chunks = [content[i:j] for i, j in zip([0, *cuts], ends, strict=True)]
    before, fired = _up_to(BodyPosition(after_events=after), chunks)
    assert content.startswith(before)
    assert fired == (_blocks(content) >= after)
    if fired:
        assert _blocks(before) == after
        assert before == b"" if after == 0 else before.endswith(end.encode() * 2)


@pytest.mark.slow
@hypothesis.given(
    chunks=st.lists(st.binary(max_size=5), min_size=1), after=st.integers(min_value=0, max_value=12)
)
def test_a_position_in_bytes_does_not_depend_on_chunk_boundaries(chunks, after):
    before, fired = _up_to(BodyPosition(after_bytes=after), chunks)
    whole = b"".join(chunks)
    assert before == whole[:after]
    assert fired == (after <= len(whole))


def _up_to(position, chunks):
    """Return the bytes before a position, and whether it was reached."""
    invocation = FaultInvocation(SYSTEM_CLOCK)

    async def stop():
        return b""

    async def read():
        async def body():
            for chunk in chunks:
                yield chunk

        async with aclosing(body()) as whole:
            broken = inject_at(position, whole, invocation, stop, terminates=True)
            return b"".join([chunk async for chunk in broken])

    return anyio.run(read), invocation.fired


def _blocks(content):
    """Count the blocks of lines that end with a blank line."""
    return len(re.findall(rb"[^\r\n](?:\r\n|\n){2}", content))
