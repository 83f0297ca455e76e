"""Any sequence of calls has the same responses in process and over a socket."""

import json
from contextlib import ExitStack, asynccontextmanager

import pytest
from anyio.from_thread import start_blocking_portal
from hypothesis import HealthCheck, settings, strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)
from tests.contract.accesses import over_sockets
from tests.contract.data import ONE_EPOCH, chats, json_lines, pairs

from tunesmith import MemoryBackend, Request
from tunesmith.operations.files import CreateFile
from tunesmith.operations.uploads import CreateUploadPart
from tunesmith.protocol.encode import encode
from tunesmith.service.service import Service

OF_THE_TRANSPORT = {"connection", "content-length", "date", "transfer-encoding"}
"""Headers that say how an answer travels, not what it is."""

CONTENTS = [
    json_lines(pairs()),
    json_lines(pairs(7)),
    json_lines(chats()),
    b"no JSON here\n",
    b"",
    bytes(range(256)) * 300,
]
SPANS = [None, "bytes=0-9", "bytes=50000-", "bytes=999999-", "bytes=-5", "nonsense"]
LIMITS = st.sampled_from([None, 1, 2, 100, 0, "many"])
MODELS = ["davinci-002", "gpt-4o-mini", "ada", "kant-1"]


@asynccontextmanager
async def two_worlds():
    """One service in process and one behind a socket, with the same seed."""
    near, far = Service(seed=3), Service(seed=3)
    async with over_sockets(far) as backend:
        yield (near, far), (MemoryBackend(near), backend)


async def answer(backend, request):
    async with backend.send(request) as response:
        headers = {k: v for k, v in response.headers.items() if k not in OF_THE_TRANSPORT}
        return response.status, headers, await response.read()


def get(operation, path, *, headers=None, **query):
    pairs = tuple((name, str(value)) for name, value in query.items() if value is not None)
    return Request(operation, "GET", path, pairs, headers or {})


def post(operation, path, **body):
    body = {name: value for name, value in body.items() if value is not None}
    headers = {"content-type": "application/json"}
    return Request(operation, "POST", path, (), headers, json.dumps(body).encode())


class SideBySide(RuleBasedStateMachine):
    """Asks both worlds the same, and compares every byte of what they answer."""

    loop = "asyncio"

    files = Bundle("files")
    jobs = Bundle("jobs")
    models = Bundle("models")
    uploads = Bundle("uploads")

    def __init__(self):
        super().__init__()
        self.stack = ExitStack()
        self.portal = self.stack.enter_context(start_blocking_portal(self.loop))
        worlds = self.stack.enter_context(self.portal.wrap_async_context_manager(two_worlds()))
        self.services, self.backends = worlds
        self.jobs_begun = 0

    def teardown(self):
        self.stack.close()

    def ask(self, request):
        near, far = (self.portal.call(answer, backend, request) for backend in self.backends)
        assert near == far
        status, headers, body = near
        good = status == 200 and headers["content-type"].startswith("application/json")
        return json.loads(body) if good else {}

    @invariant()
    def time_is_the_same(self):
        near, far = self.services
        assert near.clock.monotonic() == far.clock.monotonic()

    @rule(seconds=st.sampled_from([0.5, 20, 600, 90_000]))
    def let_time_pass(self, seconds):
        for service in self.services:
            self.portal.call(service.clock.jump, seconds)

    # Files

    @initialize(target=files)
    def begin_with_files(self):
        unknown = "file-none"
        return multiple(unknown, self.create_a_file(0), self.create_a_file(2))

    def create_a_file(self, content, purpose="fine-tune"):
        given = ("a.jsonl", CONTENTS[content])
        return self.ask(encode(CreateFile(file=given, purpose=purpose))).get("id", "file-none")

    @rule(
        target=files,
        content=st.sampled_from(range(len(CONTENTS))),
        purpose=st.sampled_from(["fine-tune", "batch", "user_data"]),
    )
    def create_file(self, content, purpose):
        return self.create_a_file(content, purpose)

    @rule(file=files, span=st.sampled_from(SPANS))
    def read_file(self, file, span):
        self.ask(get("files.retrieve", f"/files/{file}"))
        headers = {} if span is None else {"range": span}
        self.ask(get("files.content", f"/files/{file}/content", headers=headers))

    @rule(file=consumes(files))
    def delete_file(self, file):
        self.ask(Request("files.delete", "DELETE", f"/files/{file}"))

    @rule(
        limit=LIMITS,
        order=st.sampled_from([None, "asc", "desc", "up"]),
        after=st.none() | files,
        purpose=st.sampled_from([None, "batch"]),
    )
    def list_files(self, limit, order, after, purpose):
        self.ask(
            get("files.list", "/files", limit=limit, order=order, after=after, purpose=purpose)
        )

    # Uploads

    @rule(target=uploads, size=st.sampled_from([3, 6, -1]))
    def begin_upload(self, size):
        more = {"filename": "a.bin", "mime_type": "application/octet-stream", "purpose": "vision"}
        begun = self.ask(post("uploads.create", "/uploads", bytes=size, **more))
        return {"id": begun.get("id", "upload_none"), "parts": []}

    @rule(upload=uploads, content=st.sampled_from([b"abc", b"def"]))
    def add_part(self, upload, content):
        part = self.ask(encode(CreateUploadPart(upload["id"], data=content)))
        upload["parts"] += [part["id"]] if part else []

    @rule(upload=uploads, end=st.sampled_from(["complete", "cancel"]))
    def end_upload(self, upload, end):
        body = {"part_ids": upload["parts"]} if end == "complete" else {}
        self.ask(post(f"uploads.{end}", f"/uploads/{upload['id']}/{end}", **body))

    # Jobs and models

    @initialize(target=jobs)
    def begin_with_a_job(self):
        return self.create_a_job(self.create_a_file(0), "davinci-002", None)

    @precondition(lambda self: self.jobs_begun < 3)
    @rule(
        target=jobs,
        file=files,
        model=st.sampled_from(MODELS),
        suffix=st.sampled_from([None, "sums", "x" * 70]),
    )
    def begin_job(self, file, model, suffix):
        self.jobs_begun += 1
        return self.create_a_job(file, model, suffix)

    def create_a_job(self, file, model, suffix):
        asked = {"model": model, "training_file": file, "suffix": suffix, "method": ONE_EPOCH}
        job = self.ask(post("fine_tuning.jobs.create", "/fine_tuning/jobs", **asked))
        return job.get("id", "ftjob-none")

    @rule(target=models, job=jobs)
    def look_at_job(self, job):
        found = self.ask(get("fine_tuning.jobs.retrieve", f"/fine_tuning/jobs/{job}"))
        for file in found.get("result_files", []):
            self.ask(get("files.content", f"/files/{file}/content"))
        self.ask(get("checkpoints", f"/fine_tuning/jobs/{job}/checkpoints"))
        return found.get("fine_tuned_model") or "davinci-002"

    @rule(job=jobs, limit=LIMITS)
    def list_events(self, job, limit):
        path = f"/fine_tuning/jobs/{job}/events"
        page = self.ask(get("fine_tuning.jobs.list_events", path, limit=limit))
        if page.get("has_more"):
            after = page["data"][-1]["id"]
            self.ask(get("fine_tuning.jobs.list_events", path, limit=limit, after=after))

    @rule(job=jobs, change=st.sampled_from(["cancel", "pause", "resume"]))
    def change_job(self, job, change):
        self.ask(post(f"fine_tuning.jobs.{change}", f"/fine_tuning/jobs/{job}/{change}"))

    @rule(model=consumes(models))
    def delete_model(self, model):
        self.ask(Request("models.delete", "DELETE", f"/models/{model}"))
        self.ask(get("models.list", "/models"))

    @precondition(lambda self: self.jobs_begun < 3)
    @rule(file=files)
    def tune_as_in_old_times(self, file):
        self.jobs_begun += 1
        begun = self.ask(
            post("fine_tunes.create", "/fine-tunes", model="ada", training_file=file, n_epochs=1)
        )
        path = f"/fine-tunes/{begun.get('id', 'ft-none')}/events"
        self.ask(get("fine_tunes.list_events", path, stream="true"))

    # Text

    @rule(
        model=models | st.sampled_from(MODELS),
        prompt=st.text(max_size=8) | st.just(["One", "Two"]),
        stream=st.booleans(),
        n=st.sampled_from([None, 2, 500]),
        seed=st.sampled_from([None, 1]),
        logprobs=st.sampled_from([None, 2]),
    )
    def complete(self, **asked):
        self.ask(post("completions.create", "/completions", max_tokens=4, **asked))

    @rule(text=st.text(max_size=8), stream=st.booleans(), store=st.booleans())
    def chat(self, text, **asked):
        messages = [{"role": "user", "content": text}]
        more = {"model": "gpt-4o-mini", "messages": messages, "max_completion_tokens": 4}
        self.ask(post("chat.completions.create", "/chat/completions", **more, **asked))
        self.ask(get("chat.completions.list", "/chat/completions"))

    # What nobody should ask

    @rule(
        method=st.sampled_from(["GET", "POST", "DELETE"]),
        path=st.sampled_from(["/files", "/models", "/completions", "/nowhere", "/files/a%2Fb%20c"]),
        body=st.sampled_from([None, b"", b"{", b"[]", b'{"model": 1}', b'{"wisdom": "\\u00fc"}']),
        query=st.lists(st.tuples(st.text("aü &=", min_size=1, max_size=3), st.text(max_size=3))),
    )
    def ask_nonsense(self, method, path, body, query):
        headers = {"content-type": "application/json"}
        body = body if method == "POST" else None
        self.ask(Request("nonsense", method, path, tuple(query), headers, body))


@pytest.mark.slow
@pytest.mark.parametrize("loop", ["asyncio", "trio"])
def test_memory_and_socket_return_the_same_responses(loop):
    class OnThisLoop(SideBySide):
        pass

    OnThisLoop.loop = loop
    run_state_machine_as_test(
        OnThisLoop,
        settings=settings(
            max_examples=20,
            stateful_step_count=30,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )
