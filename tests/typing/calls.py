"""What type checkers know of a call: its parameters and its answer.

Not run, but checked: see test_checkers.py. Each `# error` line must be one for both checkers.
"""

from dataclasses import dataclass
from typing import Any, TypedDict, assert_type

from pydantic import BaseModel

from tunesmith import NOT_GIVEN, AsyncClient, Page, omit
from tunesmith.batch import BatchJob, Result
from tunesmith.types import (
    Batch,
    ChatCompletion,
    ChatCompletionChunk,
    ChatCompletionMessageFunctionToolCall,
    Completion,
    CreateEmbeddingResponse,
    FileDeleted,
    FileObject,
    FineTuningJob,
    FineTuningJobCheckpoint,
    FineTuningJobEvent,
    Model,
    ParsedResponse,
    Response,
    ResponseFunctionToolCall,
    ResponseOtherItem,
    ResponseOutputMessage,
    ResponseOutputText,
    ResponseStreamEvent,
    Upload,
    WebhookEvent,
)


class Term(BaseModel):
    word: str
    meaning: str


@dataclass
class Place:
    name: str


class Year(TypedDict):
    number: int


async def answers(client: AsyncClient) -> None:
    assert_type(await client.completions.create(model="ada", prompt="a"), Completion)
    assert_type(
        await client.chat.completions.create(
            model="gpt-4o-mini", messages=[{"role": "user", "content": "Who was Kant?"}]
        ),
        ChatCompletion,
    )
    assert_type(await client.embeddings.create(model="e", input="a"), CreateEmbeddingResponse)
    assert_type(await client.models.retrieve("ada"), Model)
    assert_type(await client.files.create(file=b"", purpose="fine-tune"), FileObject)
    assert_type(await client.files.retrieve("file-1"), FileObject)
    assert_type(await client.files.delete("file-1"), FileDeleted)
    assert_type(await client.files.content("file-1").read(), bytes)
    assert_type(await client.files.upload("a.jsonl"), FileObject)
    assert_type(await client.batches.retrieve("batch_1"), Batch)
    job = await client.fine_tuning.jobs.create(model="ada", training_file="file-1")
    assert_type(job, FineTuningJob)
    assert_type(await client.fine_tuning.jobs.wait(job), FineTuningJob)


async def lists(client: AsyncClient) -> None:
    assert_type(await client.files.list(limit=2), Page[FileObject])
    async for file in client.files.list():
        assert_type(file, FileObject)
    page = await client.fine_tuning.jobs.list()
    assert_type(page, Page[FineTuningJob])
    async for job in page:
        assert_type(job, FineTuningJob)
    async for event in client.fine_tuning.jobs.list_events("ftjob-1"):
        assert_type(event, FineTuningJobEvent)
    async for checkpoint in client.fine_tuning.jobs.checkpoints.list("ftjob-1"):
        assert_type(checkpoint, FineTuningJobCheckpoint)
    async for event in client.fine_tuning.jobs.follow("ftjob-1"):
        assert_type(event, FineTuningJobEvent)


async def streams(client: AsyncClient) -> None:
    async with client.completions.stream(model="ada", prompt=["a", "b"]) as stream:
        async for event in stream:
            assert_type(event, Completion)
        assert_type(await stream.final_response(), Completion)
    async with client.chat.completions.stream(
        model="m", messages=[{"role": "system", "content": "Be brief."}]
    ) as chat:
        async for chunk in chat:
            assert_type(chunk, ChatCompletionChunk)
        assert_type(await chat.final_response(), ChatCompletion)


async def objects(client: AsyncClient) -> None:
    completion = await client.chat.completions.parse(
        Term, model="m", messages=[{"role": "user", "content": "What is a noumenon?"}]
    )
    assert_type(completion.choices[0].message.parsed, Term | None)
    official = await client.chat.completions.parse(
        model="m", messages=[{"role": "user", "content": "?"}], response_format=Term
    )
    assert_type(official.choices[0].message.parsed, Term | None)
    place = await client.chat.completions.parse(
        model="m", messages=[{"role": "user", "content": "?"}], response_format=Place
    )
    assert_type(place.choices[0].message.parsed, Place | None)
    response = await client.responses.parse(Term, model="m", input="?")
    assert_type(response, ParsedResponse[Term])
    assert_type(response.output_parsed, Term | None)
    year = await client.responses.parse(model="m", input="?", text_format=Year, temperature=0)
    assert_type(year.output_parsed, Year | None)


async def rows(client: AsyncClient) -> None:
    async with BatchJob([], "a.jsonl", client=client, response_format=Term) as job:
        async for result in job:
            assert_type(result, Result[Term])
            assert_type(result.parsed, Term | None)
    async with BatchJob([], "a.jsonl", client=client) as plain:
        async for each in plain:
            assert_type(each, Result[Any])


async def responses(client: AsyncClient) -> None:
    assert_type(await client.responses.create(model="m", input="?"), Response)
    async with client.responses.stream(model="m", input="?") as stream:
        async for event in stream:
            assert_type(event, ResponseStreamEvent)
        assert_type(await stream.get_final_response(), Response)


async def types_tell_objects_apart(completion: ChatCompletion, response: Response) -> None:
    for call in completion.choices[0].message.tool_calls or []:
        if call.type == "function":
            assert_type(call, ChatCompletionMessageFunctionToolCall)
    for item in response.output:
        if item.type == "function_call":
            assert_type(item, ResponseFunctionToolCall)
        elif item.type == "web_search_call":
            assert_type(item, ResponseOtherItem)
        elif item.type == "message":
            assert_type(item, ResponseOutputMessage)
            for part in item.content:
                if part.type == "output_text":
                    assert_type(part, ResponseOutputText)


async def names_of_the_official_sdk(client: AsyncClient) -> None:
    completion = await client.completions.create(model="ada", temperature=NOT_GIVEN, seed=omit)
    assert_type(completion.to_json(), str)
    assert_type(await client.files.wait_for_processing("f", max_wait_seconds=5), FileObject)
    assert_type(await client.batches.wait("batch_1"), Batch)
    assert_type(client.webhooks.unwrap(b"", {}, secret="s"), WebhookEvent)
    assert_type(
        await client.uploads.upload_file_chunked(b"", mime_type="a/b", purpose="batch"), Upload
    )
    raw = await client.copy(timeout=3).files.with_raw_response.retrieve("file-1")
    assert_type(raw.status_code, int)
    assert_type(raw.headers.get("x-request-id"), str | None)
    await client.close()


async def mistakes(client: AsyncClient) -> None:
    await client.completions.create(model="ada", promt="a")  # error
    await client.completions.create(prompt="a")  # error
    await client.completions.create(model="ada", prompt="a", temperature="hot")  # error
    await client.chat.completions.parse(Term, model="m", message=[])  # error
    await client.responses.parse(Term, model="m", inputs="?")  # error
    await client.responses.parse(model="m", input="?")  # error
    await client.completions.create(model="ada", stream=True)  # error
    _ = client.beta  # error
    _ = client.files.retrieve_content  # error
    await client.completions.create("ada")  # error
    await client.files.retrieve(7)  # error
    await client.files.create(file=b"", purpose="training")  # error
    await client.fine_tuning.jobs.create(model="ada")  # error
