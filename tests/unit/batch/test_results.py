"""Results of rows: text and objects from responses of any shape, live and by batches."""

import json
import sys
from dataclasses import dataclass

import pytest
from pydantic import BaseModel
from tests.unit.batch.services import Service
from typing_extensions import TypedDict

from tunesmith import (
    AsyncClient,
    ConfigurationError,
    DatasetError,
    InvalidRequestError,
    MemoryBackend,
)
from tunesmith.batch import BatchJob, BatchResults
from tunesmith.batch.endpoints import endpoint_of
from tunesmith.batch.results import Result
from tunesmith.service.service import Service as MemoryService

pytestmark = pytest.mark.anyio

CHAT = "/v1/chat/completions"
PARTS = [
    {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]},
    {"type": "text", "text": "Okay"},
]


@pytest.fixture
def output(tmp_path):
    return tmp_path / "answers.jsonl"


async def results(output, backend, rows=("a",), **options):
    client = AsyncClient(backend=backend)
    options = {"model": "m"} | options
    async with BatchJob(rows, output, client=client, **options) as job:
        return [result async for result in job]


def answering(content):
    service = Service()
    body = content if isinstance(content, bytes) else chat(content)
    service.answer = lambda _: body
    return service


def chat(content):
    choice = {"index": 0, "finish_reason": "stop", "message": {"content": content}}
    return {"id": "c", "choices": [choice]}


async def test_content_in_parts_is_the_text_of_its_text_parts(output):
    (result,) = await results(output, answering(PARTS), endpoint=CHAT)
    assert result.text == "Okay"
    assert result.answer.choices[0].message.content == PARTS


def test_a_response_has_the_text_of_its_messages():
    message = {"type": "message", "content": [{"type": "output_text", "text": "Okay"}]}
    body = {"output": [{"type": "reasoning", "summary": []}, message]}
    line = {"custom_id": "a", "response": {"status_code": 200, "body": body}}
    assert Result.from_line(line, endpoint=endpoint_of("responses")).text == "Okay"


@pytest.mark.parametrize(
    "body",
    [
        b'{"choices":[{"message":{"content":"good \\ud83d day"}}]}',
        b'\xef\xbb\xbf{"choices":[{"message":{"content":"good \\ufffd day"}}]}',
        b'{"choices":[{"message":{"content":"good \xff day"}}]}',
    ],
    ids=["lone surrogate", "byte order mark", "not UTF-8"],
)
async def test_text_that_strict_parsers_refuse_is_kept_and_paid_once(output, body):
    service = answering(body)
    (result,) = await results(output, service, endpoint=CHAT)
    assert result.text == "good \ufffd day"
    assert service.requests == 1
    assert json.loads(output.read_text())["response"]["body"]["choices"]
    assert await results(output, service, endpoint=CHAT, resume=True) == []
    assert service.requests == 1


@dataclass
class Term:
    meaning: str


class Entry(TypedDict):
    meaning: str


class Model(BaseModel):
    meaning: str


@pytest.mark.parametrize("kind", [Term, Entry, Model])
@pytest.mark.parametrize("parts", [False, True], ids=["text", "parts"])
async def test_a_class_of_responses_may_be_a_model_a_dataclass_or_a_typed_dict(output, kind, parts):
    text = '{"meaning":"a"}'
    service = answering([{"type": "text", "text": text}] if parts else text)
    (result,) = await results(output, service, response_format=kind)
    assert result.parsed == kind(meaning="a")


async def test_batches_parse_responses_as_a_class_too(output):
    (result,) = await results(
        output, MemoryBackend(), model="gpt-4o-mini", response_format=Term, mode="batch"
    )
    assert isinstance(result.parsed, Term)


@pytest.mark.parametrize("mode", ["live", "batch"])
async def test_responses_are_parsed_as_a_class_and_requested_again_if_they_do_not_fit(output, mode):
    inner = MemoryService()
    inner.stub_reply('{"wurd": 1}', times=1)
    inner.stub_reply('{"meaning": "a duty"}', match="does not match the schema")
    options = {"model": "gpt-4o-mini", "endpoint": "/v1/responses", "mode": mode}
    (result,) = await results(output, MemoryBackend(inner), response_format=Term, **options)
    assert result.parsed == Term(meaning="a duty")
    assert result.answer.output_text == '{"meaning": "a duty"}'


async def test_a_response_that_the_limit_of_tokens_cuts_fails_its_row(output):
    options = {"endpoint": "/v1/responses", "params": {"max_output_tokens": 1}}
    (result,) = await results(
        output, MemoryBackend(), model="gpt-4o-mini", response_format=Term, **options
    )
    assert result.error.message == "The response is incomplete, so it cannot be parsed as Term"


@pytest.mark.parametrize("endpoint", ["completions", "embeddings"])
async def test_other_endpoints_have_no_class_of_responses(output, endpoint):
    with pytest.raises(DatasetError, match="Only chat completions and responses have response"):
        await results(output, MemoryBackend(), model="ada", endpoint=endpoint, response_format=Term)


def test_a_dictionary_as_class_of_responses_is_refused_with_its_place(output):
    client = AsyncClient(backend=Service())
    with pytest.raises(InvalidRequestError, match=r"not a dictionary: .*in params=\{…\}"):
        BatchJob(["a"], output, client=client, response_format={"type": "json_object"})


# --- results of a whole job ---


async def test_results_are_read_from_files_as_objects_tables_and_data_frames(output):
    pandas = pytest.importorskip("pandas")
    service = Service(refuse=lambda number, now: (400, {}, b"{}") if number == 2 else None)
    rows = [{"custom_id": key, "prompt": key} for key in "ab<"]
    await results(output, service, rows, concurrency=1)
    found = {result.key: result for result in BatchResults(output)}
    assert found["a"].text == "answer to a"
    assert found["b"].error.code == "status_400"
    frame = BatchResults(output).to_pandas()
    assert list(frame.index) == ["a", "<", "b"]
    assert frame.loc["a", ["text", "output_tokens"]].tolist() == ["answer to a", 4]
    assert pandas.isna(frame.loc["b", "text"])
    assert frame.loc["b", "error_code"] == "status_400"
    shown = BatchResults(output)._repr_html_()
    assert '<td class="short">&lt;</td><td class="short">answer to &lt;</td>' in shown


@pytest.mark.parametrize("endpoint", ["completions", CHAT, "embeddings"])
async def test_results_that_are_read_from_files_have_the_type_of_their_endpoint(output, endpoint):
    model = {"completions": "davinci-002", CHAT: "gpt-4o-mini"}.get(
        endpoint, "text-embedding-3-small"
    )
    (live,) = await results(output, MemoryBackend(), model=model, endpoint=endpoint)
    (result,) = BatchResults(output)
    assert type(result.answer) is type(live.answer)


def test_data_frames_without_pandas_name_the_extra(output, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'tunesmith\[notebook\]'"):
        BatchResults(output).to_pandas()


def test_a_class_that_strict_schemas_cannot_express_is_refused_before_anything_is_written(output):
    class Loose(BaseModel):
        anything: dict[str, int]

    client = AsyncClient(backend=Service())
    with pytest.raises(InvalidRequestError, match="anything"):
        BatchJob(["a"], output, client=client, model="m", response_format=Loose)
    assert not output.exists()
