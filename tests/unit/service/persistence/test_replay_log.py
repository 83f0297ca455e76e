"""A service in a file goes on where it was: the same ids, times, weights and answers."""

import json
import sqlite3
import subprocess
import sys
import threading
from contextlib import suppress

import anyio
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tunesmith import AsyncClient, BackendError, ConfigurationError, MemoryBackend, NotFoundError
from tunesmith.clock import VirtualClock
from tunesmith.errors import BadRequestError, RateLimitError
from tunesmith.protocol.message import Request
from tunesmith.service.core.http_api import HttpApi
from tunesmith.service.core.rate_limits import ServiceLimits
from tunesmith.service.inference.stubs import Reply
from tunesmith.service.persistence.replay_log import PersistentApi
from tunesmith.service.persistence.state_file import StateFile
from tunesmith.service.service import Service

pytestmark = pytest.mark.anyio

ROWS = "".join(
    json.dumps({"prompt": f"What is {n}? ->", "completion": f" The number {n}.\n"}) + "\n"
    for n in range(12)
)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "world.tunesmith"


@pytest.fixture
def data(tmp_path):
    (tmp_path / "rows.jsonl").write_text(ROWS)
    return tmp_path / "rows.jsonl"


def using(path, **options):
    return AsyncClient(backend=MemoryBackend(state=path, **options))


async def tuned(client, data):
    file = await client.files.upload(data)
    job = await client.fine_tuning.jobs.create(model="babbage-002", training_file=file.id)
    return await client.fine_tuning.jobs.wait(job)


async def test_what_was_made_is_there_the_next_time(path, data):
    async with using(path) as client:
        job = await tuned(client, data)
        events = [event.id async for event in client.fine_tuning.jobs.follow(job)]
        answer = await client.completions.create(
            model=job.fine_tuned_model, prompt="What is 7? ->", temperature=0, stop="\n"
        )
    async with using(path) as client:
        assert await client.fine_tuning.jobs.retrieve(job.id) == job
        assert [event.id async for event in client.fine_tuning.jobs.follow(job)] == events
        assert await client.files.content(job.training_file).text() == ROWS
        again = await client.completions.create(
            model=job.fine_tuned_model, prompt="What is 7? ->", temperature=0, stop="\n"
        )
    assert again.choices == answer.choices
    assert again.choices[0].text == " The number 7."
    assert again.id != answer.id


async def graded(client):
    line = {"messages": [{"role": "user", "content": "Say yes."}], "answer": "yes"}
    file = await client.files.create(
        file=("rl.jsonl", (json.dumps(line) + "\n").encode() * 10), purpose="fine-tune"
    )
    grader = {
        "type": "string_check",
        "name": "same",
        "operation": "eq",
        "input": "{{sample.output_text}}",
        "reference": "{{item.answer}}",
    }
    job = await client.fine_tuning.jobs.create(
        model="o4-mini-2025-04-16",
        training_file=file.id,
        method={"type": "reinforcement", "reinforcement": {"grader": grader}},
    )
    return await client.fine_tuning.jobs.wait(job)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["supervised", "reinforcement"])
async def test_a_training_is_not_done_twice(path, data, method, monkeypatch):
    async with using(path) as client:
        job = await (graded(client) if method == "reinforcement" else tuned(client, data))
    from tunesmith.service.engines.ngram import engine as ngram

    monkeypatch.setattr(ngram.NGramModel, "train", lambda *_: pytest.fail("it trains again"))
    async with using(path) as client:
        assert (await client.fine_tuning.jobs.results(job)).steps
        assert (await client.models.retrieve(job.fine_tuned_model)).id


async def test_a_job_goes_on_while_nobody_looks(path, data):
    now = 1_800_000_000.0
    wire = PersistentApi(path, wall_clock=lambda: now)
    assert wire.service.clock.time() == now
    backend = MemoryBackend(wire.service)
    backend._api = wire
    client = AsyncClient(backend=backend)
    file = await client.files.upload(data)
    job = await client.fine_tuning.jobs.create(model="babbage-002", training_file=file.id)
    wire.close()

    wire = PersistentApi(path, wall_clock=lambda: now + 3600)
    async with wire.send(Request("", "GET", f"/fine_tuning/jobs/{job.id}")) as response:
        assert json.loads(await response.read())["status"] == "succeeded"
    wire.close()


@pytest.mark.slow
async def test_deletions_and_cancellations_last(path, data):
    async with using(path) as client:
        job = await tuned(client, data)
        other = await client.fine_tuning.jobs.create(
            model="babbage-002", training_file=job.training_file
        )
        await client.fine_tuning.jobs.cancel(other.id)
        await client.models.delete(job.fine_tuned_model)
    async with using(path) as client:
        assert (await client.fine_tuning.jobs.retrieve(other.id)).status == "cancelled"
        with pytest.raises(NotFoundError):
            await client.models.retrieve(job.fine_tuned_model)


async def test_stored_chats_last_and_others_do_not(path):
    ask = {"model": "gpt-4.1", "messages": [{"role": "user", "content": "Hello"}]}
    async with using(path) as client:
        stored = await client.chat.completions.create(**ask, store=True)
        async with client.chat.completions.stream(**ask, store=True) as stream:
            streamed = await stream.final_response()
        await client.chat.completions.create(**ask)
    async with using(path) as client:
        ids = [chat.id async for chat in client.chat.completions.list()]
    assert ids == [stored.id, streamed.id]


async def test_a_refused_request_leaves_nothing_behind(path):
    async with using(path) as client:
        with pytest.raises(BadRequestError):
            await client.files.create(file=("a.jsonl", b"no json"), purpose="fine-tune")
    async with using(path) as client:
        assert [file async for file in client.files.list()] == []


async def test_a_state_goes_on_with_its_own_seed(path, data):
    async with using(path, seed=5) as client:
        first = await client.files.upload(data)
    async with using(path, seed=6) as client:
        second = await client.files.create(file=("b.jsonl", ROWS.encode()), purpose="fine-tune")
    async with AsyncClient(backend=MemoryBackend(seed=5)) as client:
        ids = [
            (await client.files.create(file=ROWS.encode(), purpose="fine-tune")).id for _ in "12"
        ]
    assert [first.id, second.id] == ids


async def test_two_uses_at_a_time_are_refused_with_a_way_out(path, monkeypatch):
    monkeypatch.setitem(StateFile.__init__.__kwdefaults__, "wait_s", 0.0)
    async with using(path):
        with pytest.raises(ConfigurationError, match=r"in use .*tunesmith serve --state"):
            MemoryBackend(state=path)
    await MemoryBackend(state=path).aclose()


async def test_the_next_one_waits_a_little_for_the_file(path):
    first = MemoryBackend(state=path)
    await first.aclose()
    holder = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    holder.execute("BEGIN EXCLUSIVE")
    released = threading.Timer(0.2, holder.execute, ["COMMIT"])
    released.start()
    await MemoryBackend(state=path).aclose()
    released.join()
    holder.close()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"prompt,completion\n", "not a state file of tunesmith"),
        (b"SQLite format 3\0", "damaged"),
    ],
)
def test_a_file_of_another_kind_is_left_as_it_is(path, content, said):
    path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=said):
        MemoryBackend(state=path)
    assert path.read_bytes() == content


def test_a_database_of_another_program_is_left_as_it_is(path):
    base = sqlite3.connect(path)
    base.execute("CREATE TABLE world (seed)")
    base.commit()
    base.close()
    before = path.read_bytes()
    with pytest.raises(ConfigurationError, match="not a state file of tunesmith"):
        MemoryBackend(state=path)
    assert path.read_bytes() == before


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ConfigurationError, match=r"no/world.* cannot be used"):
        MemoryBackend(state=tmp_path / "no" / "world")


async def changed(path, statement):
    base = sqlite3.connect(path)
    base.execute(statement)
    base.commit()
    base.close()


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("PRAGMA user_version=99", "newer tunesmith"),
        ("UPDATE entries SET answer = 'x'", "responds differently"),
        ("UPDATE entries SET query = 'x'", "damaged"),
        ("UPDATE entries SET body = body || x'00'", "damaged"),
        ("UPDATE world SET drawn = NULL", "damaged"),
        ("DROP TABLE entries", "damaged"),
    ],
)
async def test_what_cannot_be_gone_on_with_is_an_error_that_says_so(path, data, statement, said):
    async with using(path) as client:
        await client.files.upload(data)
    await changed(path, statement)
    with pytest.raises(ConfigurationError, match=said):
        MemoryBackend(state=path)
    path.unlink()  # nobody holds it


@pytest.mark.slow
async def test_a_memory_of_trainings_that_is_lost_is_made_again(path, data):
    async with using(path) as client:
        job = await tuned(client, data)
    for statement in (
        "DELETE FROM weights",
        "UPDATE trainings SET record = x'00'",
        "DROP TABLE trainings",
    ):
        await changed(path, statement)
        async with using(path) as client:
            assert await client.fine_tuning.jobs.retrieve(job.id) == job
            answer = await client.completions.create(
                model=job.fine_tuned_model, prompt="What is 7? ->", temperature=0, stop="\n"
            )
        assert answer.choices[0].text == " The number 7."


@pytest.mark.slow
def test_what_was_answered_survives_a_crash(path):
    """The process ends without a word as soon as it has the answer."""
    script = (
        "import anyio, os, sys, tunesmith\n"
        "async def main():\n"
        "    client = tunesmith.AsyncClient(backend=tunesmith.MemoryBackend(state=sys.argv[1]))\n"
        "    file = await client.files.create(file=('a.jsonl', b'{}'), purpose='batch')\n"
        "    print(file.id, flush=True)\n"
        "    os._exit(9)\n"
        "anyio.run(main)\n"
    )
    died = subprocess.run(
        [sys.executable, "-c", script, path], capture_output=True, text=True, check=False
    )
    assert died.returncode == 9, died.stderr

    async def ids():
        async with using(path) as client:
            return [file.id async for file in client.files.list()]

    assert anyio.run(ids) == died.stdout.split()


async def test_a_cancelled_create_is_written_if_it_was_done(path):
    backend = MemoryBackend(state=path)
    client = AsyncClient(backend=backend)
    with anyio.CancelScope() as scope:
        backend._api._write = _then(scope.cancel, backend._api._write)
        await client.files.create(file=("a.jsonl", b"{}"), purpose="batch")
        await anyio.lowlevel.checkpoint()
    await backend.aclose()
    async with using(path) as client:
        assert [file.filename async for file in client.files.list()] == ["a.jsonl"]


def _then(first, second):
    def both():
        first()
        second()

    return both


async def test_a_closed_one_takes_no_requests(path):
    backend = MemoryBackend(state=path)
    await backend.aclose()
    await backend.aclose()
    with pytest.raises(BackendError, match="closed"):
        await (
            AsyncClient(backend=backend, max_retries=0)
            .backend.send(Request("models.list", "GET", "/models"))
            .__aenter__()
        )


@pytest.mark.parametrize(
    "option", [{"seed": 3}, {"limits": ServiceLimits()}, {"clock": VirtualClock()}]
)
def test_what_belongs_to_a_new_service_is_refused_beside_one_that_is_there(option):
    with pytest.raises(ConfigurationError, match="cannot be combined with service="):
        MemoryBackend(Service(), **option)


async def test_limits_hold_for_a_service_in_a_file_and_not_for_what_is_done_again(path):
    file = {"file": ("a.jsonl", ROWS.encode()), "purpose": "fine-tune"}
    for _ in range(2):
        async with using(path, limits=ServiceLimits(requests_per_minute=1)) as client:
            await client.files.create(**file)
            answer = await client.chat.completions.create(**KANT, store=True)
            assert answer.response.rate_limits.remaining_requests == 0
            hasty = client.with_options(max_retries=0)
            with pytest.raises(RateLimitError):
                await hasty.chat.completions.create(**KANT, store=True)


async def test_it_is_no_state_for_a_service_that_is_there(path):
    with pytest.raises(ConfigurationError, match="state= cannot be combined"):
        MemoryBackend(Service(), state=path)
    assert not path.exists()


@pytest.mark.slow
async def test_what_many_ask_while_time_passes_at_a_rate_is_the_same_again(path, data):
    """Jobs are trained and end, whatever else is being asked for at that moment."""
    wall = 1_800_000_000.0
    wire = PersistentApi(path, wall_clock=lambda: wall)
    client, clock = client_of(wire), wire.service.clock
    file = await client.files.upload(data)

    async def ask(turns):
        for turn in turns:
            job = await client.fine_tuning.jobs.create(
                model="babbage-002", training_file=file.id, suffix=turn
            )
            await client.chat.completions.create(**KANT, store=turn in "aeg")
            with pytest.raises(NotFoundError):
                await client.models.delete("no-such-model")
            with suppress(BadRequestError):  # a slow machine, and it is over by then
                await client.fine_tuning.jobs.cancel(job.id)
            await client.completions.create(model="davinci-002", prompt="Kant", max_tokens=1)
            async with wire.send(MISSPELT) as response:  # nobody looks what is due for that
                assert response.status == 400
            await client.fine_tuning.jobs.create(model="babbage-002", training_file=file.id)

    clock.autojump, clock.rate = False, 5_000.0
    async with anyio.create_task_group() as tasks:
        for turns in ("abc", "def", "ghi"):
            tasks.start_soon(ask, turns)
    clock.rate = 0.0
    clock.jump(3600)
    seen = await all_of(client)
    wire.close()

    again = PersistentApi(path, wall_clock=lambda: wall)
    assert await all_of(client_of(again)) == seen
    again.close()


MISSPELT = Request(
    "",
    "POST",
    "/fine_tuning/jobs",
    headers={"content-type": "application/json"},
    body=b'{"mdoel": "babbage-002"}',
)
KANT = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Kant"}], "max_tokens": 3}


def client_of(wire):
    backend = MemoryBackend(wire.service)
    backend._api = wire
    return AsyncClient(backend=backend, timeout=1e9)


async def test_a_chat_that_is_kept_takes_no_time_where_time_is_stopped_for_it(path):
    wire = PersistentApi(path)
    wire.service.clock.autojump, wire.service.clock.rate = False, 1.0
    wire.service.stub_reply(Reply("A philosopher.", first_token_s=3600))
    with anyio.fail_after(5):
        answer = await client_of(wire).chat.completions.create(**KANT, store=True)
    assert answer.choices[0].message.content == "A philosopher."
    wire.close()


async def all_of(client):
    jobs = [job async for job in client.fine_tuning.jobs.list()]
    pages = [client.fine_tuning.jobs.list_events(job.id) for job in jobs]
    events = [event for page in pages async for event in page]
    chats = [chat async for chat in client.chat.completions.list()]
    return jobs, events, chats, [file async for file in client.files.list()]


async def test_what_time_alone_did_is_kept_once_it_was_told(path, data):
    """The process ends without a word after it said that the job is over."""
    wall = 1_800_000_000.0
    wire = PersistentApi(path, wall_clock=lambda: wall)
    backend = MemoryBackend(wire.service)
    backend._api = wire
    job = await tuned(AsyncClient(backend=backend), data)
    wire._file.close()

    again = PersistentApi(path, wall_clock=lambda: wall)
    async with again.send(Request("", "GET", f"/fine_tuning/jobs/{job.id}")) as response:
        assert json.loads(await response.read())["status"] == "succeeded"
    again.close()


_BODY = ROWS.encode()
_STEPS = {
    "file": ("POST", "/files", None),
    "job": ("POST", "/fine_tuning/jobs", {"model": "babbage-002"}),
    "complete": ("POST", "/completions", {"model": "babbage-002", "prompt": "a", "max_tokens": 2}),
    "moderate": ("POST", "/moderations", {"input": "a"}),
    "look": ("GET", "/fine_tuning/jobs", None),
    "misspell": ("POST", "/fine_tuning/jobs", {"mdoel": "babbage-002"}),
    "cancel": ("POST", "/fine_tuning/jobs/{job}/cancel", {}),
    "batch": ("POST", "/batches", {"endpoint": "/v1/completions", "completion_window": "24h"}),
    "wait": None,
    "reopen": None,
}


@pytest.mark.slow
@settings(max_examples=40)
@given(steps=st.lists(st.sampled_from(sorted(_STEPS)), max_size=12))
@example(steps=["batch", *["wait"] * 10, "misspell", "reopen"])
def test_reopening_changes_nothing_that_is_answered_afterwards(tmp_path_factory, steps):
    """One service lives on; another is closed and opened again and again: both say the same."""
    path = tmp_path_factory.mktemp("worlds") / "world"
    now = 1_800_000_000.0

    async def compare():
        saved = PersistentApi(path, wall_clock=lambda: now)
        service = Service()
        service.clock.jump(now - service.clock.time())
        steady = HttpApi(service)
        known = {"job": "ftjob-no", "file": "file-no", "lines": "file-no"}
        for step in ["file", *steps, "look", "file"]:
            if step == "reopen":
                saved.close()
                saved = PersistentApi(path, wall_clock=lambda: now)
            elif step == "wait":
                service.clock.jump(45)
                saved.service.clock.jump(45)
            else:
                answers = [await asked(wire, step, known) for wire in (steady, saved)]
                assert answers[0] == answers[1]
                answer = json.loads(answers[0])
                known[step] = answer.get("id", known.get(step))
        saved.close()

    anyio.run(compare)


async def asked(wire, step, known):
    method, route, body = _STEPS[step]
    if step == "file":
        lines = [
            {"custom_id": str(n), "method": "POST", "url": "/v1/completions",
             "body": {"model": "babbage-002", "prompt": f"{n}", "max_tokens": 2}}
            for n in range(3)
        ]  # fmt: skip
        content = "".join(
            json.dumps({**line, "prompt": "a", "completion": "b"}) + "\n" for line in lines
        )
        text = (
            '--x\r\ncontent-disposition: form-data; name="purpose"\r\n\r\nbatch\r\n'
            '--x\r\ncontent-disposition: form-data; name="file"; filename="a"\r\n\r\n'
            f"{content}\r\n--x--\r\n"
        )
        headers = {"content-type": "multipart/form-data; boundary=x"}
        request = Request("", method, route, headers=headers, body=text.encode())
    else:
        more = {"training_file": known["file"]} if step == "job" else {}
        more |= {"input_file_id": known["file"]} if step == "batch" else {}
        encoded = None if body is None else json.dumps({**body, **more}).encode()
        headers = {"content-type": "application/json"} if encoded else {}
        request = Request("", method, route.format(**known), headers=headers, body=encoded)
    async with wire.send(request) as response:
        return await response.read()
