"""Recording and replay: the same responses without waiting, clear errors on a mismatch."""

import json
import random
from contextlib import asynccontextmanager

import anyio
import pytest
from tests.contract.data import begin_job, pairs, send

from tunesmith import (
    AsyncClient,
    BackendError,
    ConfigurationError,
    MemoryBackend,
    Request,
    Response,
    errors,
)
from tunesmith.testing import Faults
from tunesmith.testing.cassettes.player import ReplayBackend, ReplayMismatchError
from tunesmith.testing.cassettes.recorder import RecordingBackend
from tunesmith.testing.cassettes.redaction import Redaction

pytestmark = pytest.mark.anyio

COMPLETION = {"model": "davinci-002", "prompt": "Größe ist", "max_tokens": 5, "seed": 1}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "cassettes" / "one.json"


@pytest.fixture
def record(path):
    """Record calls to a service, or to a backend around one."""

    async def record(calls, inner=None, **options):
        recording = RecordingBackend(inner or MemoryBackend(seed=1), path, **options)
        async with AsyncClient(backend=recording, max_retries=0) as client:
            return await calls(client)

    return record


@pytest.fixture
def replay(path):
    async def replay(calls, **options):
        backend = ReplayBackend(path, **options)
        async with AsyncClient(backend=backend, max_retries=0) as client:
            return await calls(client)

    return replay


def interactions(path):
    return json.loads(path.read_text())["interactions"]


def retrieve(*models):
    async def calls(client):
        return [(await client.models.retrieve(model)).id for model in models]

    return calls


async def stream(client):
    async with client.completions.stream(**COMPLETION) as events:
        return [event async for event in events]


# Recording


async def test_the_lifecycle_of_a_job_is_replayed_without_waiting(record, replay):
    async def calls(client):
        job = await begin_job(client)
        events = [event async for event in client.fine_tuning.jobs.follow(job, poll_interval=30)]
        job = await client.fine_tuning.jobs.wait(job)
        results = await client.fine_tuning.jobs.results(job)
        return job, events, results, await stream(client)

    recorded = await record(calls)
    with anyio.fail_after(20):
        assert await replay(calls) == recorded


async def test_requests_are_recorded_in_readable_form(record, path):
    async def calls(client):
        await client.files.create(
            file=("train.jsonl", b'{"prompt": "a"}\n{"prompt": "b"}\n'), purpose="batch"
        )
        await client.files.list(limit=2)
        await client.completions.create(**COMPLETION)

    await record(calls)
    create, listing, completion = (interaction["request"] for interaction in interactions(path))
    assert create["body"] == {
        "form": [
            {
                "name": "file",
                "filename": "train.jsonl",
                "type": "application/jsonl",
                "lines": ['{"prompt": "a"}', '{"prompt": "b"}', ""],
            },
            {"name": "purpose", "text": "batch"},
        ]
    }
    assert listing["query"] == ["limit=2"]
    assert completion["body"] == {"json": COMPLETION}
    assert "Größe" in path.read_text()


async def test_a_stream_is_recorded_chunk_by_chunk(record, replay, path):
    recorded = await record(stream)
    (interaction,) = interactions(path)
    chunks = interaction["response"]["body"]["chunks"]
    assert len(chunks) == len(recorded) + 1
    assert chunks[-1] == "data: [DONE]\n\n"
    assert await replay(stream) == recorded


async def test_binary_bodies_are_replayed_unchanged(record, replay):
    content = random.Random(1).randbytes(1000)

    async def calls(client):
        file = await client.files.create(file=content, purpose="user_data")
        return await client.files.content(file.id).read()

    assert await record(calls) == content
    assert await replay(calls) == content


async def test_requests_match_however_their_body_is_chunked(record, replay):
    content = b"Kant\n" * 50

    async def in_pieces():
        for start in range(0, len(content), 7):
            yield content[start : start + 7]

    def calls(file):
        return lambda client: client.files.create(file=("a.txt", file), purpose="user_data")

    recorded = await record(calls(content), max_body_bytes=100)
    assert await replay(calls(in_pieces())) == recorded


async def test_long_bodies_are_recorded_as_a_hash_and_a_file(record, replay, path):
    content = random.Random(1).randbytes(200_000)

    async def calls(client):
        file = await client.files.create(file=("b.bin", content), purpose="user_data")
        first = await client.files.content(file.id).read()
        return first, await client.files.content(file.id).read()

    assert await record(calls) == (content, content)
    create, download, _ = interactions(path)
    assert "b.bin" in create["request"]["body"]["begins"]
    assert create["request"]["body"]["bytes"] > len(content)
    (beside,) = (path.parent / "one.bodies").iterdir()  # the same body is there once
    assert beside.name == download["response"]["body"]["file"]
    assert beside.read_bytes() == content
    assert await replay(calls) == (content, content)
    beside.unlink()
    with pytest.raises(ConfigurationError, match="is missing"):
        await replay(calls)


async def test_long_request_bodies_match_by_content(record, replay):
    def calls(content):
        return lambda client: client.files.create(file=("b.bin", content), purpose="user_data")

    await record(calls(b"a" * 200_000))
    with pytest.raises(ReplayMismatchError, match="sha256"):
        await replay(calls(b"a" * 199_999 + b"b"))


async def test_errors_of_the_service_and_of_the_network_are_replayed(record, replay):
    async def calls(client):
        caught = []
        for call in (
            client.files.retrieve("file-none"),
            client.models.list(),
            client.models.list(),
            stream(client),
        ):
            with pytest.raises(errors.APIError) as error:
                await call
            caught.append((type(error.value), str(error.value)))
        return caught

    faults = Faults(MemoryBackend())
    faults.on("models.list", nth=1).refuse_connection()
    faults.on("models.list", nth=2).drop_response()
    faults.on("completions.create").disconnect(after_bytes=600)
    recorded = await record(calls, faults)
    assert [kind.__name__ for kind, _ in recorded] == [
        "NotFoundError",
        "APIConnectionError",
        "APIConnectionError",
        "StreamInterruptedError",
    ]
    assert await replay(calls) == recorded


async def test_a_timeout_is_replayed_in_virtual_time(record, replay):
    class Silent:
        clock = MemoryBackend().clock

        @asynccontextmanager
        async def send(self, request):
            await self.clock.sleep(float("inf"))
            yield

        async def aclose(self):
            pass

    async def calls(client):
        with pytest.raises(errors.APITimeoutError):
            await client.with_options(timeout=3600).models.list()

    await record(calls, Silent())
    with anyio.fail_after(10):
        await replay(calls)


async def test_an_abandoned_response_is_replayed_as_far_as_it_was_read(record, replay):
    def first(count):
        async def calls(client):
            async with client.completions.stream(**COMPLETION) as events:
                return [await anext(events) for _ in range(count)]

        return calls

    recorded = await record(first(2))
    assert await replay(first(2)) == recorded
    with pytest.raises(ReplayMismatchError, match="recorded response ends here"):
        await replay(first(3))


async def test_an_unreadable_request_body_is_not_recorded(record, path):
    async def unreadable():
        yield b"a"
        raise OSError("the disk is gone")

    async def calls(client):
        with pytest.raises(OSError, match="disk"):
            await client.files.create(file=("a.bin", unreadable()), purpose="user_data")

    await record(calls)
    assert interactions(path) == []


# Files


async def test_a_cassette_is_replaced_only_when_the_new_one_is_complete(record, path):
    await record(retrieve("davinci-002"))
    old = path.read_bytes()
    recording = RecordingBackend(MemoryBackend(), path)
    client = AsyncClient(backend=recording)
    await retrieve("babbage-002", "gpt-4o-mini")(client)
    assert path.read_bytes() == old
    beside = path.with_name("one.json.part")
    assert len(interactions(beside)) == 2  # complete after each interaction
    await client.aclose()
    assert len(interactions(path)) == 2
    assert [file.name for file in path.parent.iterdir()] == ["one.json"]


async def test_interactions_are_replayed_in_the_order_of_their_start(record, replay, path):
    async def calls(client):
        async with client.completions.stream(**COMPLETION) as events:
            await anext(events)
            await client.models.retrieve("davinci-002")

    await record(calls)
    assert [interaction["number"] for interaction in interactions(path)] == [2, 1]  # as they ended
    await replay(calls)


async def test_after_closing_nothing_is_recorded(path):
    recording = RecordingBackend(MemoryBackend(), path)
    await recording.aclose()
    with pytest.raises(BackendError) as caught:
        async with recording.send(Request("models.list", "GET", "/models")):
            pass
    assert caught.value.phase == "closed"
    await recording.aclose()
    assert interactions(path) == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "does not exist"),
        ("no JSON", "is not a valid cassette"),
        (
            '{"tunesmith_cassette": 3, "max_body_bytes": 1, "interactions": [{}]}',
            r"interactions\.0",
        ),
        (
            '{"tunesmith_cassette": 1, "max_body_bytes": 1, "interactions": [{"left": "no"}]}',
            "format version 1, but this version of tunesmith reads version 3. Record it again",
        ),
        ('{"tunesmith_cassette": 4, "max_body_bytes": 1, "interactions": []}', "format version 4"),
    ],
)
def test_an_invalid_cassette_is_an_error(tmp_path, content, message):
    path = tmp_path / "a.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ConfigurationError, match=message):
        ReplayBackend(path)


# Secrets

KEY = "sk-proj-abcdefghijklmnopqrstuvwxyz0123456789"


async def test_a_header_that_the_server_echoes_is_not_recorded(record, path):
    class Echo:
        @asynccontextmanager
        async def send(self, request):
            body = f"Denied: x-sekrit={request.headers['x-sekrit']}".encode()
            yield Response.from_bytes(403, {"content-type": "text/plain"}, body)

        async def aclose(self):
            pass

    async def calls(client):
        with pytest.raises(errors.PermissionDeniedError):
            await client.with_options(default_headers={"X-Sekrit": "correcthorse"}).models.list()

    await record(calls, Echo())
    text = path.read_text()
    assert "Denied" in text
    assert "correcthorse" not in text


async def test_secrets_are_not_recorded_and_do_not_prevent_replay(
    record, replay, path, monkeypatch
):
    monkeypatch.setenv("OPENAI_API_KEY", "a key of its own kind")

    async def calls(client):
        client = client.with_options(
            default_headers={"X-Api-Key": "hunter2hunter2", "X-Sekrit": "correcthorse"}
        )
        for text in (KEY, "a key of its own kind", "open sesame", '"password": "swordfish"'):
            await client.completions.create(model="davinci-002", prompt=f"say {text}!")
        file = ("a.jsonl", b'{"api_key": "letmeinletmein"}\n' * 3000)
        file = await client.files.create(file=file, purpose="batch", extra_query={"token": "tik"})
        return await client.files.content(file.id).read()

    await record(calls, secrets=["open sesame"], max_body_bytes=10_000)
    files = [file for file in path.parent.rglob("*") if file.is_file()]
    assert len(files) == 2
    text = "".join(file.read_text() for file in files)
    for secret in (
        KEY,
        "own kind",
        "hunter2",
        "correcthorse",
        "sesame",
        "letmein",
        "swordfish",
        "=tik",
    ):
        assert secret not in text
    assert '"x-sekrit": "(removed)"' in text
    await replay(calls, secrets=["open sesame"])


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("whsec_abcdefghijklmnopqrstuvwx+/==", "whsec_abcdefghijklmnopqrstuvwx+/=="),
        ("ghp_" + "a" * 36, "ghp_" + "a" * 36),
        ("github_pat_11AAAA_" + "b" * 40, "github_pat_11AAAA_" + "b" * 40),
        ("glpat-abcdefghijklmnopqrst", "glpat-abcdefghijklmnopqrst"),
        ("npm_" + "c" * 36, "npm_" + "c" * 36),
        ("see https://kant:critique@example.com/a", "kant:critique"),
        ("see https://example.com/a?sv=1&sig=abc%2Fdef&se=2", "abc%2Fdef"),
        ("see https://example.com/a?X-Amz-Signature=abcdef", "abcdef"),
        ("see https://example.com/a?api_key=letmein", "letmein"),
        ('{"x-api-key": "letmein"}', "letmein"),
        ('{"AZURE_OPENAI_API_KEY": "letmein"}', "letmein"),
        (json.dumps('{"OPENAI_API_KEY": "letmein"}'), "letmein"),
    ],
)
def test_texts_that_look_like_secrets_are_masked(text, secret):
    stars = "*" * len(secret)
    assert Redaction().text(text) == text.replace(secret, stars)


@pytest.mark.parametrize(
    "text",
    [
        "Is it at https://example.com:8000/a?after=file-1&limit=3, or at kant@example.com?",
        '{"key": "C major", "tokens": "3", "monkey": "ape", "secrets": "none"}',
        "the risk-free-and-well-tested-one",
    ],
)
def test_other_texts_are_not_masked(text):
    assert Redaction().text(text) == text


async def test_a_secret_that_spans_chunks_is_masked(record, path):
    class Echo:
        @asynccontextmanager
        async def send(self, request):
            async def chunks():
                yield f'data: {{"text": "{KEY[:20]}'.encode()
                yield f'{KEY[20:]}"}}\n\n'.encode()

            from tunesmith import Response

            yield Response(200, {"content-type": "text/event-stream"}, chunks())

        async def aclose(self):
            pass

    recording = RecordingBackend(Echo(), path)
    async with recording.send(Request("completions.create", "POST", "/completions")) as response:
        assert KEY.encode() in await response.read()
    await recording.aclose()
    chunks = interactions(path)[0]["response"]["body"]["chunks"]
    assert chunks == ['data: {"text": "' + "*" * 20, "*" * (len(KEY) - 20) + '"}\n\n']


# Matching


async def test_a_mismatch_shows_a_diff_to_the_recorded_request(record, replay):
    await record(lambda client: client.completions.create(**COMPLETION))
    with pytest.raises(ReplayMismatchError) as caught:
        await replay(lambda client: client.completions.create(**COMPLETION | {"max_tokens": 6}))
    text = str(caught.value)
    assert "completions.create POST /completions does not match" in text
    assert '-      "max_tokens": 5' in text
    assert '+      "max_tokens": 6' in text
    assert "RecordingBackend" in text


async def test_a_strict_replay_requires_the_recorded_order(record, replay):
    await record(retrieve("davinci-002", "babbage-002"))
    with pytest.raises(ReplayMismatchError, match=r"this one is number 2"):
        await replay(retrieve("babbage-002", "davinci-002"))


async def test_a_strict_replay_uses_each_interaction_once(record, replay):
    await record(retrieve("davinci-002"))
    with pytest.raises(ReplayMismatchError, match=r"only 1 interaction\(s\) were recorded"):
        await replay(retrieve("davinci-002", "davinci-002"))


async def test_a_strict_replay_reports_unused_interactions(record, path):
    await record(retrieve("davinci-002", "babbage-002"))
    backend = ReplayBackend(path)
    client = AsyncClient(backend=backend)
    await client.models.retrieve("davinci-002")
    assert backend.unused == ["2: models.retrieve GET /models/babbage-002"]
    with pytest.raises(ReplayMismatchError, match=r"2: models\.retrieve GET /models/babbage-002"):
        await client.aclose()
    await client.aclose()  # raised once


async def test_unused_interactions_do_not_hide_another_error(record, replay):
    async def calls(client):
        raise KeyError("mine")

    await record(retrieve("davinci-002"))
    with pytest.raises(KeyError, match="mine"):
        await replay(calls)


async def test_an_unordered_replay_repeats_responses_in_any_order(record, replay):
    await record(retrieve("davinci-002", "babbage-002"))
    models = ["babbage-002", "babbage-002", "davinci-002", "babbage-002"]
    assert await replay(retrieve(*models), strict=False) == models


async def test_an_unordered_replay_returns_several_responses_in_order(record, replay):
    async def recorded(client):
        for number in range(3):
            await client.files.list()
            await send(client, pairs(), filename=f"{number}.jsonl")

    async def replayed(client):
        return [len((await client.files.list()).data) for _ in range(5)]

    await record(recorded)
    assert await replay(replayed, strict=False) == [0, 1, 2, 2, 2]


async def test_an_unordered_replay_shows_a_diff_to_the_nearest_request(record, replay):
    await record(retrieve("davinci-002", "babbage-002"))
    with pytest.raises(ReplayMismatchError) as caught:
        await replay(retrieve("babbage-003"), strict=False)
    assert '-  "path": "/models/babbage-002"' in str(caught.value)


async def test_ranges_of_a_file_are_different_requests(record, replay):
    content = bytes(range(256)) * 20

    def calls(*spans):
        async def calls(client):
            file = await client.files.create(file=("a.bin", content), purpose="user_data")
            read = []
            for span in spans:
                headers = {"range": f"bytes={span}"}
                request = Request("files.content", "GET", f"/files/{file.id}/content", (), headers)
                async with client.backend.send(request) as response:
                    read.append(await response.read())
            return read

        return calls

    await record(calls("0-9", "10-19"))
    assert await replay(calls("10-19", "0-9"), strict=False) == [content[10:20], content[:10]]
