"""Faults by position, on the client's way to a service."""

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
    MemoryBackend,
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
def memory():
    return MemoryBackend(seed=1)


@pytest.fixture
def faults(memory):
    return Faults(memory)


@pytest.fixture
async def client(faults, anyio_backend):
    async with AsyncClient(backend=faults) as client:
        yield client


@pytest.fixture
async def hasty(faults, anyio_backend):
    """A client that tries nothing again."""
    async with AsyncClient(backend=faults, max_retries=0) as client:
        yield client


async def read_stream(client, texts):
    """Have a prompt completed by a stream, and keep what comes."""
    async with client.completions.stream(**KANT) as stream:
        async for event in stream:
            texts.append(event.choices[0].text)


async def read_body(response, chunks):
    """Read a body, and keep what comes."""
    async for chunk in response.stream:
        chunks.append(chunk)


async def send(backend, request):
    async with backend.send(request):
        pass


async def read_whole_stream(client):
    async with client.completions.stream(**KANT) as stream:
        await stream.final_response()


class Counting:
    """Counts what reaches the service."""

    def __init__(self, inner):
        self.inner = inner
        self.asked = []

    @asynccontextmanager
    async def send(self, request):
        self.asked.append(request.operation)
        async with self.inner.send(request) as response:
            yield response

    async def aclose(self):
        await self.inner.aclose()


# Which calls.


async def test_only_the_chosen_call_of_an_operation_goes_wrong(hasty, faults):
    faults.on("models.list", nth=2).status(500)
    await hasty.models.list()
    await hasty.models.retrieve("davinci-002")
    with pytest.raises(InternalServerError):
        await hasty.models.list()
    await hasty.models.list()
    faults.assert_all_fired()


async def test_several_calls_make_a_burst(client, faults, memory):
    faults.on("models.list", nth=range(1, 3)).overloaded()
    page = await client.models.list()
    assert page.response.attempts == 3
    faults.assert_all_fired()


async def test_a_pattern_counts_the_calls_of_all_its_operations(hasty, faults):
    faults.on("models.*", nth=2).status(500)
    await hasty.models.list()
    with pytest.raises(InternalServerError):
        await hasty.models.retrieve("davinci-002")


async def test_all_calls_can_go_wrong(hasty, faults):
    faults.on("models.list", nth=None).status(500)
    for _ in range(3):
        with pytest.raises(InternalServerError):
            await hasty.models.list()
    faults.assert_all_fired()


async def test_calls_are_counted_from_the_declaration_on(hasty, faults):
    await hasty.models.list()
    faults.on("models.list").status(500)
    with pytest.raises(InternalServerError):
        await hasty.models.list()


@pytest.mark.parametrize(("name", "says"), [
    ("completion.create", r"did you mean 'completions\.create'"),
    ("file*", None),
    ("lunch.*", r"there are batches\.cancel, .*uploads\.parts\.create"),
])  # fmt: skip
def test_an_operation_that_there_is_not_cannot_go_wrong(faults, name, says):
    if says is None:
        faults.on(name)
    else:
        with pytest.raises(ValueError, match=says):
            faults.on(name)


@pytest.mark.parametrize("call", [0, -1, (), (1, 0)])
def test_calls_below_the_first_are_refused(faults, call):
    with pytest.raises(ValueError, match="calls are counted from 1"):
        faults.on("models.list", nth=call)


async def test_clearing_ends_all_trouble(hasty, faults):
    faults.on("models.list").status(500)
    faults.clear()
    await hasty.models.list()
    faults.assert_all_fired()


# Other answers.


async def test_a_status_has_the_error_of_the_api(hasty, faults):
    faults.on("files.retrieve").status(
        500, "Sorry.", type="sorry", code="so_sorry", param="id", headers={"x-request-id": "req-1"}
    )
    with pytest.raises(InternalServerError) as caught:
        await hasty.files.retrieve("file-1")
    error = caught.value
    assert (error.status, error.type, error.code, error.param) == (500, "sorry", "so_sorry", "id")
    assert error.request_id == "req-1"
    assert "Sorry." in str(error)


async def test_a_status_may_have_a_body_that_is_no_json(hasty, faults):
    faults.on("models.list").status(502, body=b"<title>Bad gateway</title>")
    with pytest.raises(InternalServerError, match="Bad gateway"):
        await hasty.models.list()


async def test_a_rate_limit_tells_how_long_to_wait(client, faults, memory):
    faults.on("models.list").rate_limited(retry_after_s=12.5)
    began = memory.clock.monotonic()
    await client.models.list()
    assert memory.clock.monotonic() - began == pytest.approx(12.5)


async def test_a_rate_limit_is_what_clients_know_it_by(hasty, faults):
    faults.on("models.list").rate_limited()
    with pytest.raises(RateLimitError) as caught:
        await hasty.models.list()
    assert caught.value.code == "rate_limit_exceeded"


async def test_an_exhausted_quota_is_not_tried_again(client, faults):
    faults.on("models.list", nth=None).quota_exhausted()
    with pytest.raises(InsufficientQuotaError) as caught:
        await client.models.list()
    assert caught.value.attempts == 1


async def test_a_status_comes_instead_of_the_work_or_after_it(hasty, faults, memory):
    faults.on("files.create").status(502)
    faults.on("files.create", nth=2).status(502, after_work=True)
    for _ in range(2):
        with pytest.raises(InternalServerError):
            await hasty.files.create(file=b"{}", purpose="batch")
    assert len((await hasty.files.list()).data) == 1
    faults.assert_all_fired()


async def test_a_refused_connection_reaches_no_service(hasty, faults):
    faults.on("files.create").refuse_connection()
    with pytest.raises(APIConnectionError, match="the connection was refused"):
        await hasty.files.create(file=b"{}", purpose="batch")
    assert (await hasty.files.list()).data == []


async def test_a_lost_answer_leaves_the_work_done(client, faults):
    faults.on("files.create").drop_response()
    file = await client.files.create(file=("a.jsonl", b"{}"), purpose="batch")
    assert [each.id for each in (await client.files.list()).data] == [file.id]
    faults.assert_all_fired()


# Time.


async def test_late_headers_cost_time(client, faults, memory):
    faults.on("models.list").delay(30)
    began = memory.clock.monotonic()
    await client.models.list()
    assert memory.clock.monotonic() - began == pytest.approx(30)


async def test_headers_later_than_the_timeout_are_not_waited_for(faults, memory):
    faults.on("models.list").delay(30)
    async with AsyncClient(backend=faults, timeout=10, max_retries=0) as client:
        with pytest.raises(APITimeoutError):
            await client.models.list()
    assert memory.clock.monotonic() == pytest.approx(10)


async def test_a_stream_that_stalls_for_ever_ends_with_the_deadline(faults, memory):
    faults.on("completions.create").stall(after_events=2)
    texts = []
    async with AsyncClient(backend=faults, deadline=60) as client:
        with pytest.raises(DeadlineExceededError):
            await read_stream(client, texts)
    assert len(texts) == 2
    assert memory.clock.monotonic() == pytest.approx(60)
    faults.assert_all_fired()


async def test_a_stream_that_stalls_longer_than_an_event_may_take_says_so(faults):
    faults.on("completions.create").stall(after_events=2)
    async with AsyncClient(backend=faults, timeout=20) as client:
        with pytest.raises(APITimeoutError, match="the answer began, and no more of it came withi"):
            await read_stream(client, [])


async def test_a_stream_that_stalls_for_a_while_goes_on(client, faults, memory):
    whole = await client.completions.create(**KANT, seed=1)
    faults.on("completions.create").stall(after_events=2, for_s=5)
    began = memory.clock.monotonic()
    async with client.completions.stream(**KANT, seed=1) as stream:
        text = "".join([event.choices[0].text async for event in stream])
    assert text == whole.choices[0].text
    assert memory.clock.monotonic() - began == pytest.approx(5)


# Bodies.


@pytest.mark.parametrize("events", [0, 1, 3])
async def test_a_stream_is_cut_after_so_many_events(client, faults, memory, events):
    memory.service.stub_reply(Reply(tokens=[Token(text, -1) for text in "abcdef"]))
    faults.on("completions.create").disconnect(after_events=events)
    texts = []
    with pytest.raises(StreamInterruptedError):
        await read_stream(client, texts)
    assert "".join(texts) == "abcdef"[:events]
    faults.assert_all_fired()


async def test_a_download_is_cut_after_so_many_bytes_and_goes_on(client, faults, tmp_path):
    content = b"".join(b'{"n": %d}\n' % n for n in range(10_000))
    file = await client.files.create(file=("a.jsonl", content), purpose="fine-tune")
    faults.on("files.content").disconnect(after_bytes=70_000)
    faults.on("files.content", nth=2).disconnect(after_bytes=1)
    await client.files.content(file.id).write_to(tmp_path / "a.jsonl")
    assert (tmp_path / "a.jsonl").read_bytes() == content
    faults.assert_all_fired()


async def test_a_body_is_cut_half_way_if_nothing_else_is_said(memory, faults):
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


async def test_truncated_json_looks_whole_to_whoever_counts_bytes(faults):
    faults.on("models.list").truncate()
    async with faults.send(Request("models.list", "GET", "/models")) as response:
        content = await response.read()
    assert int(response.headers["content-length"]) == len(content)
    with pytest.raises(json.JSONDecodeError):
        json.loads(content)


async def test_truncated_json_is_an_invalid_answer(hasty, faults):
    faults.on("models.list").truncate(after_bytes=20)
    with pytest.raises(InvalidResponseError):
        await hasty.models.list()


async def test_a_stream_that_ends_early_does_not_pass_for_a_whole_one(client, faults):
    faults.on("completions.create").truncate(after_events=2)
    with pytest.raises(StreamInterruptedError):
        await read_whole_stream(client)


async def test_a_stream_can_report_an_error(client, faults):
    faults.on("completions.create").error_event(after_events=1, message="Overloaded.", code="busy")
    with pytest.raises(StreamError, match=r"Overloaded\."):
        await read_whole_stream(client)


async def test_the_content_type_can_be_wrong(faults):
    faults.on("models.list").content_type("text/html")
    async with faults.send(Request("models.list", "GET", "/models")) as response:
        assert response.headers["content-type"] == "text/html"
        assert json.loads(await response.read())["object"] == "list"


async def test_json_can_be_edited_but_for_errors(hasty, faults):
    faults.on("models.*", nth=None).edit(lambda answer: {**answer, "id": "edited"})
    assert (await hasty.models.retrieve("davinci-002")).id == "edited"
    async with faults.send(Request("models.retrieve", "GET", "/models/nobody")) as response:
        assert "id" not in json.loads(await response.read())


# Pages.


@pytest.fixture
async def files(client):
    """The ids of five files, newest first."""
    created = [await client.files.create(file=b"{}", purpose="batch") for _ in range(5)]
    return [file.id for file in reversed(created)]


async def test_a_page_can_come_twice(client, faults, files):
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


async def test_a_first_page_cannot_come_twice(client, faults, files):
    faults.on("files.list").repeat_page()
    await client.files.list()
    with pytest.raises(AssertionError, match="page repeated - no page came before"):
        faults.assert_all_fired()


async def test_a_page_can_come_in_another_order(client, faults, files):
    faults.on("files.list").reorder_page()
    page = await client.files.list()
    assert [file.id for file in page.data] == files[::-1]


# Uploads.


@pytest.mark.parametrize("after_bytes", [None, 0, 100])
async def test_an_upload_is_cut_and_nothing_of_it_is_kept(hasty, faults, after_bytes):
    faults.on("files.create").disconnect_upload(after_bytes=after_bytes)
    with pytest.raises(APIConnectionError):
        await hasty.files.create(file=("a.jsonl", b'{"a": 1}\n' * 1000), purpose="fine-tune")
    assert (await hasty.files.list()).data == []
    faults.assert_all_fired()


@pytest.mark.parametrize("replayable", [True, False])
async def test_an_upload_of_unknown_length_is_cut_as_well(replayable):
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


async def test_what_has_no_body_cannot_be_cut_on_the_way_there(hasty, faults):
    faults.on("models.list").disconnect_upload()
    await hasty.models.list()
    with pytest.raises(AssertionError, match="upload cut half-way - the request had no body"):
        faults.assert_all_fired()


# Together.


async def test_faults_of_one_call_compose(faults, memory):
    memory.service.stub_reply(Reply(tokens=[Token(text, -1) for text in "abcdef"]))
    calls = faults.on("completions.create")
    calls.disconnect(after_events=4).stall(after_events=2, for_s=5).delay(10).content_type(
        "text/plain"
    )
    began = memory.clock.monotonic()
    body = json.dumps({**KANT, "stream": True}).encode()
    headers = {"content-type": "application/json"}
    request = Request("completions.create", "POST", "/completions", headers=headers, body=body)
    async with faults.send(request) as response:
        assert memory.clock.monotonic() - began == pytest.approx(10)
        assert response.headers["content-type"] == "text/plain"
        received = []
        with pytest.raises(BackendError):
            await read_body(response, received)
    assert b"".join(received).count(b"\n\n") == 4
    assert memory.clock.monotonic() - began == pytest.approx(15)
    faults.assert_all_fired()


async def test_what_changes_an_answer_comes_before_what_breaks_it(faults):
    faults.on("models.list").truncate(after_bytes=5).edit(lambda page: "0123456789")
    async with faults.send(Request("models.list", "GET", "/models")) as response:
        assert await response.read() == b'"0123'


async def test_a_status_is_an_answer_that_can_be_changed_and_broken(faults):
    calls = faults.on("models.list").status(503, "Overloaded")
    calls.content_type("text/html").truncate(after_bytes=10)
    async with faults.send(Request("models.list", "GET", "/models")) as response:
        assert (response.status, response.headers["content-type"]) == (503, "text/html")
        assert await response.read() == b'{"error": '
    faults.assert_all_fired()


@pytest.mark.parametrize("failure", ["drop_response", "refuse_connection"])
async def test_a_failure_may_be_late(hasty, faults, memory, failure):
    getattr(faults.on("models.list").delay(5), failure)()
    with pytest.raises(APIConnectionError):
        await hasty.models.list()
    assert memory.clock.monotonic() == pytest.approx(5)
    faults.assert_all_fired()


async def test_faults_lie_around_each_other(memory):
    inner = Faults(memory)
    inner.on("models.list", nth=2).status(500)
    outer = Faults(inner)
    outer.on("models.list", nth=1).refuse_connection()
    async with AsyncClient(backend=outer) as client:
        assert (await client.models.list()).response.attempts == 2
        assert (await client.models.list()).response.attempts == 2
    inner.assert_all_fired()
    outer.assert_all_fired()


async def test_a_call_that_is_answered_by_a_fault_asks_the_service_nothing(memory):
    counting = Counting(memory)
    faults = Faults(counting)
    faults.on("models.list").overloaded()
    async with AsyncClient(backend=faults) as client:
        await client.models.list()
    assert counting.asked == ["models.list"]


# What did not fire.


async def test_what_did_not_happen_is_told_with_the_reason(client, faults, memory):
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
        "  models.list, call 5: status 500 - it was called 3 times",
        "  files.*, every call: answer lost - it was never called",
        "  completions.create, call 1: cut after 30 events - the body ended after 4 events",
    ]


async def test_a_place_beyond_the_end_of_a_body_is_told(client, faults):
    faults.on("models.list").disconnect(after_bytes=10**6)
    await client.models.list()
    with pytest.raises(AssertionError, match=r"cut after 1000000 bytes - the body ended after \d+"):
        faults.assert_all_fired()


async def test_a_fault_behind_another_does_not_fire(hasty, faults):
    faults.on("models.list").disconnect(after_bytes=3).refuse_connection()
    with pytest.raises(APIConnectionError):
        await hasty.models.list()
    assert faults.unfired == ["models.list, call 1: cut after 3 bytes - the call never came so far"]


async def test_what_is_no_json_is_not_edited_but_passed_on(hasty, faults):
    file = await hasty.files.create(file=("a.txt", b"no JSON"), purpose="user_data")
    faults.on("files.content").edit(lambda answer: {**answer, "id": "another"})
    assert await hasty.files.content(file.id).read() == b"no JSON"
    assert faults.unfired == ["files.content, call 1: JSON edited - the answer was no JSON"]


async def test_what_is_no_page_has_no_order(hasty, faults):
    faults.on("models.retrieve").reorder_page()
    assert (await hasty.models.retrieve("davinci-002")).id == "davinci-002"
    (unfired,) = faults.unfired
    assert unfired.endswith("page reordered - the answer stayed as it was")


async def test_an_error_is_no_page_that_could_come_again(client, faults, files):
    faults.on("files.list", nth=1).status(500)
    faults.on("files.list", nth=2).repeat_page()
    page = await client.files.list()
    assert [file.id for file in page.data] == files
    with pytest.raises(AssertionError, match="page repeated - no page came before"):
        faults.assert_all_fired()


async def test_an_empty_body_breaks_where_it_ends(hasty, faults):
    file = await hasty.files.create(file=("a.txt", b""), purpose="user_data")
    faults.on("files.content").disconnect()
    with pytest.raises(APIConnectionError):
        await hasty.files.content(file.id).read()
    faults.assert_all_fired()


# Places.


@pytest.mark.parametrize("wrong", [{"after_bytes": 1, "after_events": 1}, {"after_bytes": -1}])
def test_a_place_is_one_place(wrong):
    with pytest.raises(ValueError, match="after_bytes"):
        BodyPosition(**wrong)


EVENTS = st.lists(
    st.sampled_from(["data: 1", ": a comment", "event: x", "data: 2\ndata: 3", ""]), min_size=1
).map("\n\n".join)


@pytest.mark.slow
@hypothesis.given(
    text=EVENTS, end=st.sampled_from(["\n", "\r\n"]), after=st.integers(0, 5), data=st.data()
)
def test_a_place_among_events_is_found_wherever_the_chunks_are_cut(text, end, after, data):
    """What comes before the place has as many events as a reader of events finds in it."""
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
def test_a_place_among_bytes_is_found_wherever_the_chunks_are_cut(chunks, after):
    before, fired = _up_to(BodyPosition(after_bytes=after), chunks)
    whole = b"".join(chunks)
    assert before == whole[:after]
    assert fired == (after <= len(whole))


def _up_to(place, chunks):
    """Give what comes before a place, and whether the place was reached."""
    strike = FaultInvocation(SYSTEM_CLOCK)

    async def stop():
        return b""

    async def read():
        async def body():
            for chunk in chunks:
                yield chunk

        async with aclosing(body()) as whole:
            broken = inject_at(place, whole, strike, stop, ends=True)
            return b"".join([chunk async for chunk in broken])

    return anyio.run(read), strike.fired


def _blocks(content):
    """Count the blocks of lines that a blank line ends."""
    return len(re.findall(rb"[^\r\n](?:\r\n|\n){2}", content))
