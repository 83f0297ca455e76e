"""Responses of real servers, and examples of the API's documentation, are parsed.

Each file in `quirks/` is one answer: who gave it, what is odd about it, the call that it answers,
the status, a few headers, and the body as JSON (`body`), as it was (`text`) or in the chunks of a
stream (`chunks`). `raises` names the error that the call ends with. Those of `openai-document` and
`proxies` were written by hand, after the document's examples; the others were recorded.
"""

import json
from collections.abc import AsyncIterable, AsyncIterator, Iterator
from contextlib import asynccontextmanager
from operator import attrgetter
from pathlib import Path
from typing import Any

import httpx
import pytest

from tunesmith import AsyncClient, errors

pytestmark = pytest.mark.anyio

FOLDER = Path(__file__).parent / "quirks"
KEY = "sk-test-of-quirks"


class Chunks(httpx.AsyncByteStream):
    """A body that comes in pieces; no generator, since httpx does not close one that is left."""

    def __init__(self, chunks: list[bytes]) -> None:
        self.chunks = iter(chunks)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        for chunk in self.chunks:
            return chunk
        raise StopAsyncIteration


def load(name: str) -> dict[str, Any]:
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))


def names(*, stream: bool, fails: bool) -> list[str]:
    found = []
    for path in sorted(FOLDER.rglob("*.json")):
        name = path.relative_to(FOLDER).with_suffix("").as_posix()
        quirk = load(name)
        if quirk["call"].endswith(".stream") == stream and ("raises" in quirk) == fails:
            found.append(name)
    return found


def chunks_of(quirk: dict[str, Any]) -> list[bytes]:
    if "chunks" in quirk:
        return [chunk.encode() for chunk in quirk["chunks"]]
    text = json.dumps(quirk["body"], ensure_ascii=False) if "body" in quirk else quirk["text"]
    return [text.encode()]


@asynccontextmanager
async def client_that_hears(
    quirk: dict[str, Any], chunks: list[bytes] | None = None
) -> AsyncIterator[AsyncClient]:
    def answer(_: httpx.Request) -> httpx.Response:
        stream = Chunks(chunks_of(quirk) if chunks is None else chunks)
        return httpx.Response(quirk["status"], headers=quirk["headers"], stream=stream)

    async with (
        httpx.AsyncClient(transport=httpx.MockTransport(answer)) as http,
        AsyncClient(
            api_key=KEY, base_url="http://server/v1", http_client=http, max_retries=0
        ) as client,
    ):
        yield client


def call(client: AsyncClient, quirk: dict[str, Any]) -> Any:
    arguments = dict(quirk["arguments"])
    if "file" in arguments:
        filename, content = arguments["file"]
        arguments["file"] = (filename, content.encode())
    return attrgetter(quirk["call"])(client)(**arguments)


async def answer_to(name: str) -> Any:
    quirk = load(name)
    async with client_that_hears(quirk) as client:
        return await call(client, quirk)


async def collect(items: AsyncIterable[Any], seen: list[Any]) -> None:
    async for item in items:
        seen.append(item)  # noqa: PERF401 - one by one, so that those before an error are seen


async def streamed(quirk: dict[str, Any], chunks: list[bytes] | None = None) -> tuple[list, Any]:
    """Give the events of a stream, and what they come to."""
    async with client_that_hears(quirk, chunks) as client, call(client, quirk) as stream:
        events = [event async for event in stream]
        return events, await stream.final_response()


def sent_events(quirk: dict[str, Any]) -> list[dict[str, Any]]:
    """Read the events out of a recorded stream in the plainest way."""
    lines = "".join(quirk["chunks"]).splitlines()
    data = [line.removeprefix("data: ") for line in lines if line.startswith("data: ")]
    return [json.loads(text) for text in data if text != "[DONE]"]


def lost(sent: Any, kept: Any, path: str = "$") -> Iterator[str]:
    """Name the places where an answer does not hold what was sent.

    Null counts as absent, and times are whole seconds.
    """
    if isinstance(sent, dict) and isinstance(kept, dict):
        for key, value in sent.items():
            yield from lost(value, kept.get(key), f"{path}.{key}")
    elif isinstance(sent, list) and isinstance(kept, list) and len(sent) == len(kept):
        for index, value in enumerate(sent):
            yield from lost(value, kept[index], f"{path}[{index}]")
    elif path.endswith(".created") and int(sent or 0) == int(kept or 0):
        return
    elif sent != kept and not (sent is None and not kept):
        yield f"{path}: {sent!r} became {kept!r}"


# Whole answers.


@pytest.mark.parametrize("name", names(stream=False, fails=False))
async def test_a_response_keeps_every_field(name):
    answer = await answer_to(name)
    assert answer.response.status == 200
    if name != "openai-document/embeddings-base64":  # the vector is decoded: see below
        assert list(lost(load(name)["body"], answer.model_dump())) == []


@pytest.mark.parametrize("server", ["llama-cpp-python", "transformers-serve"])
async def test_fewer_choices_than_requested_are_accepted(server):
    name = f"{server}/completions-n"
    assert load(name)["arguments"]["n"] == 2
    completion = await answer_to(name)
    assert [choice.index for choice in completion.choices] == [0]


@pytest.mark.parametrize("server", ["llama-cpp-python", "openai-document"])
async def test_the_first_token_of_an_echo_has_no_probability(server):
    completion = await answer_to(f"{server}/completions-echo-logprobs")
    logprobs = completion.choices[0].logprobs
    assert logprobs.token_logprobs[0] is None
    assert logprobs.token_logprobs[1] < 0
    assert logprobs.top_logprobs[0] is None


async def test_an_embedding_in_base64_becomes_numbers():
    answer = await answer_to("openai-document/embeddings-base64")
    assert list(answer.data[0].embedding) == [1.0, -2.0, 0.125]


async def test_a_server_without_pooling_returns_an_embedding_per_token():
    answer = await answer_to("llama-cpp-python/embeddings-per-token")
    assert [len(vector) for vector in answer.data[0].embedding] == [4, 4, 4]


@pytest.mark.parametrize("form", ["sparse", "error-null", "error-empty", "error-nulls"])
async def test_a_running_job_has_no_error(form):
    job = await answer_to(f"openai-document/job-{form}")
    assert job.failure is None


async def test_a_failed_job_has_its_error():
    job = await answer_to("openai-document/job-error")
    assert job.failure.code == "invalid_training_file"
    assert job.failure.param == "training_file"


@pytest.mark.parametrize("status", ["paused", "created", "pending"])
async def test_a_job_with_an_unknown_status_has_not_ended(status):
    job = await answer_to(f"openai-document/job-status-{status}")
    assert job.status == status
    assert not job.is_finished


async def test_undeclared_fields_can_be_read():
    job = await answer_to("openai-document/job-undeclared")
    assert job.usage_metrics == {"training_tokens": 5768}
    assert job.shared_with_openai is False


@pytest.mark.parametrize("name", ["files-list", "jobs-list", "jobs-list-events"])
async def test_a_list_whose_cursor_never_moves_ends_with_an_error(name):
    quirk = load(f"prism/{name}")
    seen: list[Any] = []
    async with client_that_hears(quirk) as client:
        with pytest.raises(errors.PaginationError):
            await collect(call(client, quirk), seen)
    assert len(seen) == len(quirk["body"]["data"])


async def test_a_page_without_has_more_is_the_last():
    quirk = load("openai-document/files-list")
    assert "has_more" not in quirk["body"]
    async with client_that_hears(quirk) as client:
        files = [file.id async for file in call(client, quirk)]
    assert files == ["file-abc123", "file-def456"]


async def test_an_overdrawn_rate_limit_has_nothing_left():
    """None would mean that the server does not report it."""
    answer = await answer_to("litellm-proxy/chat-over-the-limit")
    assert answer.response.headers["x-ratelimit-remaining-requests"] == "-1"
    assert answer.response.rate_limits.remaining_requests == 0


# Errors.


@pytest.mark.parametrize("name", names(stream=False, fails=True))
async def test_an_error_response_is_the_typed_error_of_its_status(name):
    quirk = load(name)
    with pytest.raises(errors.APIError) as caught:
        await answer_to(name)
    error = caught.value
    assert type(error).__name__ == quirk["raises"]
    assert error.status == quirk["status"]
    assert error.operation == quirk["call"]
    assert error.message.strip()
    assert error.request_id == quirk["headers"].get("x-request-id")
    assert KEY not in f"{error!s}{error!r}{vars(error)}"


@pytest.mark.parametrize("name", names(stream=False, fails=True))
async def test_an_error_has_the_message_of_the_server(name):
    quirk = load(name)
    with pytest.raises(errors.APIError) as caught:
        await answer_to(name)
    body = quirk.get("body", {})
    said = body.get("error", {}).get("message") or body.get("detail") or quirk.get("text", "")
    said = said[0]["msg"] if isinstance(said, list) else said
    told = caught.value.message if "body" in quirk else _beginning(caught.value)
    assert said.strip() in told or told.strip() in said


def _beginning(error: errors.APIError) -> str:
    return error.excerpt if isinstance(error, errors.InvalidResponseError) else error.text


async def test_an_error_has_the_code_of_the_server():
    with pytest.raises(errors.BadRequestError) as caught:
        await answer_to("llama-cpp-python/error-context-overflow")
    assert caught.value.code == "context_length_exceeded"


async def test_a_proxy_in_cooldown_sets_retry_after():
    with pytest.raises(errors.RateLimitError) as caught:
        await answer_to("litellm-proxy/error-cooldown")
    assert caught.value.retry_after == 5


async def test_a_rate_limit_without_headers_has_no_retry_after():
    with pytest.raises(errors.RateLimitError) as caught:
        await answer_to("proxies/error-rate-limit")
    assert caught.value.retry_after is None


# Streams.


@pytest.mark.parametrize("name", names(stream=True, fails=False))
async def test_a_stream_yields_each_event_once_and_nothing_else(name):
    quirk = load(name)
    sent = sent_events(quirk)
    events, _ = await streamed(quirk)
    assert len(events) == len(sent)
    for event, body in zip(events, sent, strict=True):
        assert list(lost(body, event.model_dump())) == []


@pytest.mark.parametrize("name", names(stream=True, fails=False))
async def test_a_stream_is_the_same_wherever_its_bytes_are_cut(name):
    quirk = load(name)
    whole = b"".join(chunks_of(quirk))
    assert await streamed(quirk, [bytes([byte]) for byte in whole]) == await streamed(quirk)


@pytest.mark.parametrize("name", names(stream=True, fails=False))
async def test_the_events_of_a_stream_add_up_to_one_response(name):
    quirk = load(name)
    choices = [choice for event in sent_events(quirk) for choice in event["choices"]]
    _, final = await streamed(quirk)
    (choice,) = final.choices
    reasons = [choice["finish_reason"] for choice in choices if choice.get("finish_reason")]
    assert [choice.finish_reason] == reasons
    if quirk["call"] == "completions.stream":
        assert choice.text == "".join(choice.get("text", "") for choice in choices)
    else:
        contents = [choice["delta"].get("content") or "" for choice in choices]
        assert (choice.message.content or "") == "".join(contents)


@pytest.mark.parametrize("server", ["llama-cpp-python", "openai-document"])
async def test_the_chunks_of_a_streamed_tool_call_add_up_to_one_call(server):
    """llama-cpp-python repeats the id and the name in each part; the API sends them once."""
    _, final = await streamed(load(f"{server}/chat-tools-stream"))
    (tool_call,) = final.choices[0].message.tool_calls
    assert tool_call.function.name == "weather"
    assert list(json.loads(tool_call.function.arguments)) == ["city"]


@pytest.mark.parametrize(
    "name", ["openai-document/chat-stream-usage", "litellm-proxy/chat-stream-usage"]
)
async def test_usage_after_the_last_choice_is_part_of_the_response(name):
    quirk = load(name)
    _, final = await streamed(quirk)
    assert final.usage.total_tokens == sent_events(quirk)[-1]["usage"]["total_tokens"] > 0


@pytest.mark.parametrize("name", names(stream=True, fails=True))
async def test_a_failed_stream_yields_the_events_before_the_error(name):
    quirk = load(name)
    before = [e for e in sent_events(quirk) if "error" not in e] if "chunks" in quirk else []
    seen: list[Any] = []

    async def read() -> None:
        async with client_that_hears(quirk) as client, call(client, quirk) as stream:
            await collect(stream, seen)

    with pytest.raises(errors.APIError) as caught:
        await read()
    assert type(caught.value).__name__ == quirk["raises"]
    assert caught.value.operation == quirk["call"].replace(".stream", ".create")
    assert len(seen) == len(before)


async def test_an_error_in_a_stream_may_be_a_text():
    quirk = load("transformers-serve/error-in-stream")
    with pytest.raises(errors.StreamError, match="index out of range in self"):
        await streamed(quirk)
