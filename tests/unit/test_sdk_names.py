"""Habits of the official SDK: they work, or the error names the line to write."""

import copy
import gc
import inspect
import io
import operator
import os
import pickle
import re
from collections.abc import Coroutine

import anyio
import httpx
import pytest
from pydantic import BaseModel

import tunesmith
from tunesmith import AsyncClient, MemoryBackend, errors
from tunesmith._sdk_names import ABSENT, INSTEAD
from tunesmith.testing import Service
from tunesmith.webhooks import InvalidWebhookSignatureError, sign

pytestmark = pytest.mark.anyio

MODEL = "gpt-4o-mini"
MESSAGES = [{"role": "user", "content": "Who was Kant?"}]
SECRET = "whsec_c2VjcmV0LXNlY3JldC1zZWNyZXQ="
EVENT = '{"id":"evt_1","type":"batch.completed","created_at":1,"data":{"id":"batch_1"}}'


class City(BaseModel):
    name: str


@pytest.fixture
async def client(anyio_backend):
    async with AsyncClient(backend=MemoryBackend()) as client:
        yield client


# Names that mean the same.


async def test_close_is_aclose():
    backend = MemoryBackend()
    client = AsyncClient(backend=backend)
    await client.close()
    with pytest.raises(errors.APIConnectionError):
        await client.models.list()


async def test_copy_is_with_options(client):
    quick = client.copy(timeout=3, max_retries=0, default_headers={"x-a": "1"})
    assert (
        quick.caller.policy
        == client.with_options(timeout=3, max_retries=0, default_headers={"x-a": "1"}).caller.policy
    )


async def test_values_that_are_not_given_are_not_sent(client):
    for value in (tunesmith.NOT_GIVEN, tunesmith.not_given, tunesmith.omit):
        assert not value
        await client.chat.completions.create(
            model=MODEL, messages=MESSAGES, temperature=value, timeout=value
        )


async def test_results_become_dictionaries_and_json_of_the_received_fields(client):
    file = await client.files.create(file=b"{}\n", purpose="batch")
    assert file.to_dict() == file.model_dump(exclude_unset=True)
    assert file.to_json() == file.model_dump_json(indent=2, exclude_unset=True)
    assert file.to_json(indent=None, exclude_none=True).startswith('{"')
    created = tunesmith.types.Batch(id="batch_1", status="failed")
    assert created.to_dict() == {"id": "batch_1", "status": "failed"}
    assert created.to_dict(exclude_unset=False)["errors"] is None
    assert file.to_dict(mode="json") == file.model_dump(mode="json", exclude_unset=True)


async def test_results_have_the_id_of_their_request(client):
    page = await client.models.list()
    assert page._request_id == page.response.request_id
    assert page._request_id.startswith("req_")
    assert copy.copy(page)._request_id == page._request_id
    assert pickle.loads(pickle.dumps(page))._request_id is None
    assert tunesmith.types.Batch(id="batch_1", status="failed")._request_id is None


async def test_raw_responses_have_headers_status_and_result(client):
    raw = await client.chat.completions.with_raw_response.create(model=MODEL, messages=MESSAGES)
    assert raw.status_code == 200
    assert raw.headers["X-Request-Id"] == raw.headers.get("x-request-id") == raw.request_id
    assert "x-REQUEST-id" in dict.fromkeys(raw.headers) | {"x-REQUEST-id": ""}
    assert raw.retries_taken == 0
    assert raw.parse().choices
    listed = await client.files.with_raw_response.list()
    assert listed.parse().data == []


async def test_raw_responses_of_streams_are_not_awaited(client):
    with pytest.raises(TypeError, match=r"stream\.response\.headers"):
        await client.completions.with_raw_response.stream(model="davinci-002", prompt="a")
    with pytest.raises(AttributeError, match="has no attribute 'creat'"):
        await client.completions.with_raw_response.creat(model="davinci-002", prompt="a")


async def test_streams_have_a_final_completion_and_response(client):
    async with client.chat.completions.stream(model=MODEL, messages=MESSAGES) as stream:
        completion = await stream.get_final_completion()
        assert completion == await stream.final_response()
    async with client.responses.stream(model=MODEL, input="Who was Kant?") as stream:
        assert (await stream.get_final_response()).status == "completed"


async def test_files_are_waited_for(client):
    file = await client.files.create(file=b'{"prompt":"a","completion":"b"}\n', purpose="fine-tune")
    assert (await client.files.wait_for_processing(file.id, max_wait_seconds=60)).id == file.id


async def test_batches_are_waited_for(client):
    line = (
        '{"custom_id":"1","method":"POST","url":"/v1/completions",'
        '"body":{"model":"davinci-002","prompt":"a","max_tokens":2}}\n'
    )
    file = await client.files.create(file=("a.jsonl", line.encode()), purpose="batch")
    batch = await client.batches.create(
        input_file_id=file.id, endpoint="/v1/completions", completion_window="24h"
    )
    done = await client.batches.wait(batch)
    assert (done.status, done.id) == ("completed", batch.id)
    assert await client.batches.wait(batch.id, deadline=1) == done


async def test_waiting_for_a_batch_has_a_deadline(client):
    file = await client.files.create(file=("a.jsonl", b"{}\n"), purpose="batch")
    batch = await client.batches.create(
        input_file_id=file.id, endpoint="/v1/completions", completion_window="24h"
    )
    with pytest.raises(errors.DeadlineExceededError, match=r"batches\.wait: .*waiting for the bat"):
        await client.batches.wait(batch, deadline=0.5)
    with pytest.raises(errors.InvalidRequestError, match="poll_interval must be more than 0"):
        await client.batches.wait(batch, poll_interval=0)


async def test_uploads_are_chunked(client, tmp_path):
    path = tmp_path / "train.jsonl"
    path.write_bytes(b'{"prompt":"a","completion":"b"}\n' * 10)
    options = {"mime_type": "text/jsonl", "purpose": "fine-tune", "part_size": 100}
    upload = await client.uploads.upload_file_chunked(path, **options)
    assert (upload.status, upload.file.filename) == ("completed", "train.jsonl")
    assert await client.files.content(upload.file.id).read() == path.read_bytes()
    held = path.read_bytes()
    again = await client.uploads.upload_file_chunked(
        held, filename="b.jsonl", bytes=len(held), **options
    )
    assert await client.files.content(again.file.id).read() == held


async def test_wrong_uploads_are_refused_before_anything_is_sent(client, tmp_path):
    options = {"mime_type": "text/jsonl", "purpose": "fine-tune"}
    with pytest.raises(errors.InvalidRequestError, match="filename is required"):
        await client.uploads.upload_file_chunked(b"{}", **options)
    with pytest.raises(errors.InvalidRequestError, match="cannot be read: No such file"):
        await client.uploads.upload_file_chunked(tmp_path / "none", **options)
    with pytest.raises(errors.InvalidRequestError, match="part_size must be from 1"):
        await client.uploads.upload_file_chunked(b"{}", filename="a", part_size=0, **options)


@pytest.mark.parametrize("configured", ["client", "options", "argument", "environment"])
async def test_webhooks_are_verified_with_the_configured_secret(configured, monkeypatch):
    if configured == "environment":
        monkeypatch.setenv("OPENAI_WEBHOOK_SECRET", SECRET)
    secret = SECRET if configured in {"client", "options"} else None
    client = AsyncClient(backend=MemoryBackend(), webhook_secret=secret)
    if configured == "options":
        client = client.with_options(max_retries=0)
    given = {"secret": SECRET} if configured == "argument" else {}
    headers = sign(EVENT, "wh_1", secret=SECRET)
    assert client.webhooks.unwrap(EVENT, headers, **given).data.id == "batch_1"
    client.webhooks.verify_signature(EVENT, headers, tolerance=10, **given)
    with pytest.raises(InvalidWebhookSignatureError):
        client.webhooks.verify_signature(EVENT + " ", headers, **given)


async def test_webhooks_without_a_secret_are_an_error(client, monkeypatch):
    monkeypatch.delenv("OPENAI_WEBHOOK_SECRET", raising=False)
    with pytest.raises(errors.ConfigurationError, match="no webhook secret: pass secret="):
        client.webhooks.unwrap(EVENT, {})
    assert SECRET not in repr(vars(AsyncClient("sk", webhook_secret=SECRET)))


# Names that are written otherwise.

SEEN = {
    "openai": lambda client: tunesmith,
    "client": lambda client: client,
    "resource": lambda client: client.fine_tuning.checkpoints.permissions,
    "webhooks": lambda client: client.webhooks,
    "types": lambda client: tunesmith.types,
    "list": lambda client: client.models.list(),
    "page": lambda client: tunesmith.Page(data=[]),
    "chunk": lambda client: tunesmith.types.ChatCompletionChunk(),
    "event": lambda client: tunesmith.types.ResponseStreamEvent(type="response.created"),
    "completion": lambda client: tunesmith.types.ChatCompletion(choices=[]),
    "message": lambda client: tunesmith.types.ChatCompletionMessage(),
    "choice": lambda client: tunesmith.types.Choice(message={}),
    "completion_choice": lambda client: tunesmith.types.CompletionChoice(text=""),
    "usage": lambda client: tunesmith.types.ResponseUsage(),
    "completion_usage": lambda client: tunesmith.types.CompletionUsage(),
    "response": lambda client: tunesmith.types.Response(id="resp_1"),
    "result": lambda client: tunesmith.types.Batch(id="batch_1", status="failed"),
    "error": lambda client: errors.APIStatusError("no", status=400),
    "file": lambda client: client.files.content("file-1"),
}


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (owner, name)
        for table in (INSTEAD, ABSENT)
        for owner in table
        for name in table[owner]
        if owner in SEEN
    ],
)
async def test_a_name_of_the_official_sdk_is_explained(owner, name, client):
    value = SEEN[owner](client)
    instead = INSTEAD.get(owner, {}).get(name)
    hint = f"write {instead}" if instead else ABSENT[owner][name]
    with pytest.raises(AttributeError) as missing:
        getattr(value, name)
    assert str(missing.value).endswith(f"has no attribute {name!r}: {hint}")
    assert not hasattr(value, name)


@pytest.mark.parametrize(
    ("resource", "name", "usual"),
    [
        ("files", "del_", "delete"),
        ("files", "delete_", "delete"),
        ("models", "remove", "delete"),
        ("batches", "get", "retrieve"),
        ("batches", "poll", "wait"),
        ("batches", "stop", "cancel"),
    ],
)
async def test_names_of_other_clients_are_explained(resource, name, usual, client):
    with pytest.raises(AttributeError, match=rf"'{name}': write {usual}\(…\)$"):
        getattr(getattr(client, resource), name)
    assert not hasattr(client.embeddings, name)


async def test_names_of_streams_are_explained(client):
    async with client.completions.stream(model="davinci-002", prompt="a") as stream:
        for name, hint in INSTEAD["stream"].items():
            with pytest.raises(AttributeError) as missing:
                getattr(stream, name)
            assert str(missing.value).endswith(f": write {hint}")


async def test_other_missing_names_have_the_usual_error(client):
    for value in (tunesmith, client, client.files, errors.APIError("no")):
        with pytest.raises(AttributeError, match=r"has no attribute 'nothing'$"):
            _ = value.nothing


def test_an_import_from_the_module_is_explained():
    with pytest.raises(ImportError, match=r"write tunesmith\.AsyncClient"):
        from tunesmith import AsyncOpenAI  # noqa: F401
    with pytest.raises(ImportError, match="cannot import name 'Nothing'"):
        from tunesmith import Nothing  # noqa: F401
    from tunesmith import batch, types

    assert inspect.ismodule(batch)
    assert inspect.ismodule(types)


async def test_the_content_of_a_file_is_not_awaited_itself(client):
    with pytest.raises(TypeError, match=r"write await client\.files\.content\(…\)\.read\(\)"):
        await client.files.content("file-1")


async def refused(method, *args, **parameters):
    with pytest.raises(errors.InvalidRequestError) as error:
        await method(*args, **parameters)
    return str(error.value)


async def test_a_flag_for_streams_is_explained(client):
    chat = await refused(
        client.chat.completions.create, model=MODEL, messages=MESSAGES, stream=True
    )
    assert chat.endswith("write async with client.chat.completions.stream(…) as stream")
    response = await refused(client.responses.create, model=MODEL, input="a", stream=True)
    assert "client.responses.stream(…)" in response
    assert (await client.responses.create(model=MODEL, input="a", stream=False)).output_text
    stored = await refused(client.responses.retrieve, "resp_1", stream=True)
    assert "client.responses.follow(…)" in stored
    other = await refused(client.models.list, stream=True)
    assert "unknown parameter" in other


async def test_a_misspelt_parameter_is_suggested(client):
    create = client.chat.completions.create
    message = await refused(create, model=MODEL, messages=MESSAGES, temprature=0.2)
    assert message == (
        "chat.completions.create: temprature: unknown parameter. Did you mean 'temperature'?"
    )
    message = await refused(create, modle=MODEL, messages=MESSAGES)
    assert message.startswith("chat.completions.create: modle: unknown parameter. Did you mean 'mo")
    message = await refused(client.files.retrieve, "file-1", tiemout=3)
    assert "Did you mean 'timeout'?" in message


@pytest.mark.parametrize(
    "operation",
    [
        "chat.completions.create",
        "completions.create",
        "fine_tuning.jobs.create",
        "responses.create",
    ],
)
async def test_parameters_of_another_endpoint_are_explained(operation, client):
    method = operator.attrgetter(operation)(client)
    for name, hint in INSTEAD[operation].items():
        message = await refused(method, **{"model": MODEL, name: "x"})
        assert message.startswith(f"{operation}: {name}: unknown parameter: write {hint}")


async def test_parameters_of_parse_are_explained(client):
    asked = {"model": MODEL, "input": "x"}
    message = await refused(client.responses.parse, **asked, response_format=City)
    assert message == ("responses.parse: response_format: unknown parameter: write text_format=…")
    message = await refused(client.responses.parse, **asked, textformat=City)
    assert message.endswith("Did you mean 'text_format'?")
    message = await refused(client.responses.create, **asked, timeout=httpx.Timeout(5))
    assert message == "responses.create: timeout: must be a number of seconds above 0"


async def test_paths_of_problems_are_those_of_the_parameters(client):
    """Pydantic's paths also name the members of unions."""
    asked = {"model": MODEL, "messages": [{"role": "user", "content": "x"}]}
    create = client.chat.completions.create
    message = await refused(create, **asked, tools=[{"type": "function", "name": "f"}])
    assert message.startswith(
        "chat.completions.create: tools.0.function: Field required; tools.0.name"
    )
    message = await refused(create, **asked, tools=[{"type": "function", "function": {}}])
    assert message == "chat.completions.create: tools.0.function.name: Field required"
    message = await refused(client.embeddings.create, model=MODEL, input=[])
    assert message.count("input: List should have at least 1 item") == 1


async def test_parameters_of_other_apis_are_explained(client):
    for name, hint in INSTEAD["parameter"].items():
        message = await refused(client.models.list, **{name: "x"})
        assert message == f"models.list: {name}: unknown parameter: write {hint}"
    create = client.completions.create
    message = await refused(create, model="davinci-002", prompt="a", zzz=1)
    assert message.endswith("zzz: unknown parameter: pass it as extra_body={'zzz': …}")


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda client: AsyncClient(timout=5), "'timout'. Did you mean 'timeout'?"),
        (lambda client: AsyncClient(azure_endpoint="x"), "write tunesmith.AsyncClient(backend="),
        (lambda client: client.with_options(max_retires=1), "Did you mean 'max_retries'?"),
        (lambda client: client.with_options(base_url="x"), "create another client"),
        (lambda client: client.webhooks.unwrap(b"", {}, secrets="x"), "Did you mean 'secret'?"),
        (lambda client: client.with_options(zzz=1), "keyword argument 'zzz'"),
    ],
)
async def test_a_misspelt_option_is_suggested(call, words, client):
    with pytest.raises(TypeError) as error:
        call(client)
    assert words in str(error.value)


async def test_a_misspelt_parameter_of_an_asynchronous_method_is_suggested(client):
    with pytest.raises(TypeError, match=r"wait\(\) got .*Did you mean 'poll_interval'\?"):
        await client.batches.wait("batch_1", poll_intervall=1)
    assert inspect.iscoroutinefunction(client.batches.wait)


# Habits of the synchronous client.


@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")
async def test_a_missing_await_is_explained(client):
    asked = {"model": MODEL, "messages": MESSAGES}
    with pytest.raises(AttributeError, match="before it is awaited") as error:
        _ = client.chat.completions.create(**asked).choices
    assert "write (await client.chat.completions.create(…)).choices" in str(error.value)
    with pytest.raises(TypeError, match=r"write await client\.chat\.completions\.create"):
        _ = client.chat.completions.create(**asked)["choices"]
    with pytest.raises(AttributeError, match=r"\(await client\.responses\.parse\(…\)\)"):
        _ = client.responses.parse(City, model=MODEL, input="a").output_parsed
    del error
    gc.collect()


async def test_a_call_is_a_coroutine_of_its_event_loop(client):
    call = client.models.retrieve(MODEL)
    assert isinstance(call, Coroutine)
    assert call.cr_frame is not None
    call.close()
    results = []

    async def retrieve():
        results.append(await client.models.retrieve(MODEL))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(retrieve)
        tasks.start_soon(client.models.retrieve, MODEL)
    assert results[0].id == MODEL


async def test_synchronous_iteration_is_explained(client):
    page = await client.models.list()
    with pytest.raises(TypeError, match=r"write async for item in client\.models\.list"):
        iter(client.models.list())
    with pytest.raises(TypeError, match="write async for item in page"):
        iter(page)
    with pytest.raises(TypeError, match=r"write page\.data\[0\]"):
        page[0]
    with pytest.raises(TypeError, match="write async with"), client:
        pass
    with pytest.raises(TypeError, match=r"write \.id, or \.to_dict\(\)"):
        page.data[0]["id"]


async def test_streams_without_async_with_are_explained(client):
    stream = client.chat.completions.stream(model=MODEL, messages=MESSAGES)
    for use in (iter, aiter, type(stream).__await__, type(stream).__enter__):
        with pytest.raises(TypeError, match=r"write async with client\.chat\.completions\.stream"):
            use(stream)
    with pytest.raises(AttributeError, match="before it is opened"):
        stream.get_final_completion()
    async with stream as opened:
        with pytest.raises(TypeError, match="write async for"):
            iter(opened)


async def test_parameters_are_passed_by_name(client):
    message = await refused(client.chat.completions.create, MODEL, MESSAGES)
    assert message.endswith("pass parameters by name: create(messages=…)")


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda client: client.files.upload("a", "batch"), r"upload\(\) .* by name \(purpose=…"),
        (lambda client: client.batches.wait("a", 5), r"wait\(\) .* by name \(deadline=…"),
        (lambda client: client.webhooks.unwrap(b"", {}, "x"), r"by name \(secret=…"),
        (lambda client: client.close(5), "2 were given"),
    ],
)
async def test_options_of_methods_are_passed_by_name(call, words, client):
    with pytest.raises(TypeError, match=words):
        await call(client)


async def test_positional_arguments_are_named_in_errors(client):
    message = await refused(client.models.retrieve, 5)
    assert message.startswith("models.retrieve: model: ")


async def test_a_class_as_a_tool_is_explained(client):
    chat = {"model": MODEL, "messages": MESSAGES, "tools": [City]}
    for call, options in [
        (client.chat.completions.create, chat),
        (client.chat.completions.parse, chat | {"response_format": City}),
        (client.responses.create, {"model": MODEL, "input": "x", "tools": [City]}),
    ]:
        message = await refused(call, **options)
        assert "tools.0: to pass a class as a tool, write " in message
        assert "tunesmith.pydantic_function_tool(…)" in message


@pytest.mark.parametrize("path", ["a\0b", "x" * 5000, "", 5, None])
async def test_paths_that_cannot_be_read_are_refused(path, client):
    await refused(client.files.upload, path)
    await refused(client.files.create, file=path, purpose="batch")


class Minimal:
    def __init__(self, content):
        self.contents = [content]

    def read(self, _size):
        return self.contents.pop() if self.contents else b""


class Upload(Minimal):
    """A file of a web framework, whose methods are asynchronous."""

    async def read(self, size):
        return super().read(size)


async def test_odd_files_are_read_or_refused(client):
    line = b'{"prompt":"a","completion":"b"}\n'
    file = await client.files.create(file=("a.jsonl", Minimal(line)), purpose="fine-tune")
    assert file.bytes == len(line)
    closed = io.BytesIO(line)
    closed.close()
    for odd, words in [
        (closed, "is closed"),
        (Upload(line), "pass the file inside of it"),
        (("a.jsonl",), r"\(filename, content\)"),
        ((), r"\(filename, content\)"),
    ]:
        message = await refused(client.files.create, file=odd, purpose="fine-tune")
        assert re.search(words, message)


async def test_a_class_as_response_format_is_parsed_by_parse(client):
    message = await refused(
        client.chat.completions.create, model=MODEL, messages=MESSAGES, response_format=City
    )
    assert message.endswith("use client.chat.completions.parse")


@pytest.mark.parametrize("other", [httpx.Client, object, dict])
def test_another_kind_of_http_client_fails_when_it_is_passed(other):
    with pytest.raises(errors.ConfigurationError, match=r"must be an httpx\.AsyncClient"):
        AsyncClient(api_key="sk-1", http_client=other())


@pytest.mark.parametrize("retries", [None, -1, "2"])
def test_a_wrong_number_of_retries_is_refused(retries):
    with pytest.raises(errors.ConfigurationError, match="max_retries must be 0 or more"):
        AsyncClient(api_key="sk-1", max_retries=retries)


def test_options_of_the_official_client_that_mean_something_else_fail_when_they_are_passed():
    with pytest.raises(errors.ConfigurationError, match="timeout must be a number of seconds"):
        AsyncClient(api_key="sk-1", timeout=httpx.Timeout(5))
    with pytest.raises(errors.ConfigurationError, match="base_url must be an http or https URL"):
        AsyncClient(api_key="sk-1", base_url="localhost:8000/v1")


async def test_idioms_that_need_no_change(client):
    tool = tunesmith.pydantic_function_tool(City)
    completion = await client.chat.completions.create(
        model=MODEL,
        messages=MESSAGES,
        tools=[tool],
        max_completion_tokens=3,
        extra_headers={"x-a": "1"},
        timeout=3,
    )
    assert completion.usage.total_tokens
    assert (await client.moderations.create(input="x")).results
    assert [job async for job in client.fine_tuning.jobs.list(limit=2)] == []
    assert client.fine_tuning.alpha.graders.run
    assert client.fine_tuning.checkpoints.permissions.list
    with pytest.raises(errors.APIStatusError) as error:
        await client.chat.completions.create(model="none", messages=MESSAGES)
    known = error.value
    assert (known.status_code, known.code, known.type, known.param) == (
        404,
        "model_not_found",
        "invalid_request_error",
        "model",
    )
    assert known.body["message"] == known.message
    assert known.request_id.startswith("req_")
    assert known.message in str(known)


async def test_files_are_created_from_open_files_and_paths(client, tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text("{}\n")
    with path.open("rb") as opened:
        file = await client.files.create(file=opened, purpose="batch")
    assert file.filename == "a.jsonl"
    assert (await client.files.create(file=path, purpose="batch")).filename == "a.jsonl"
    assert os.fspath(path)


async def test_stubs_apply_to_raw_and_parsed_calls():
    service = Service()
    service.stub_reply('{"name": "Königsberg"}', match={"prompt": "Kant"})
    async with AsyncClient(backend=MemoryBackend(service)) as client:
        raw = await client.chat.completions.with_raw_response.parse(
            model=MODEL, messages=MESSAGES, response_format=City
        )
        assert raw.parse().choices[0].message.parsed == City(name="Königsberg")
        parsed = await client.responses.parse(model=MODEL, input="Kant?", text_format=City)
        assert parsed.output_parsed == City(name="Königsberg")
