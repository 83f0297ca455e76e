"""From a request to the operation that it asks for, or the error of the hosted service."""

import json

import pytest

from tunesmith.errors import InvalidRequestError
from tunesmith.operations.chat import CreateChatCompletion
from tunesmith.operations.completions import CreateCompletion
from tunesmith.operations.files import CreateFile, RetrieveFile
from tunesmith.operations.fine_tuning import (
    CreateFineTuningJob,
    ListFineTuningJobEvents,
    ListFineTuningJobs,
)
from tunesmith.operations.models import DeleteModel, RetrieveModel
from tunesmith.operations.uploads import CompleteUpload
from tunesmith.protocol.encode import encode
from tunesmith.protocol.message import Request
from tunesmith.protocol.route import Router, UnknownRouteError, parse_json_object

OPERATIONS = [
    CompleteUpload,
    CreateChatCompletion,
    CreateCompletion,
    CreateFile,
    CreateFineTuningJob,
    DeleteModel,
    ListFineTuningJobEvents,
    ListFineTuningJobs,
    RetrieveFile,
    RetrieveModel,
]


async def decode(path, body=b"", **options):
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    router = Router(OPERATIONS, **options)
    return await router.decode(Request("", "POST", path, body=content))


@pytest.mark.parametrize(
    ("method", "path", "found"),
    [
        ("GET", "/fine_tuning/jobs", (ListFineTuningJobs, {})),
        ("POST", "/fine_tuning/jobs", (CreateFineTuningJob, {})),
        ("GET", "/files/a%20b", (RetrieveFile, {"file_id": "a b"})),
        ("GET", "/models/org/model%2Fx", (RetrieveModel, {"model": "org/model/x"})),
        ("DELETE", "/models/ada", (DeleteModel, {"model": "ada"})),
    ],
)
def test_method_and_path_are_an_operation_and_its_parameters(method, path, found):
    assert Router(OPERATIONS).find(method, path) == found


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/nothing", ()),
        ("GET", "/files/a/b", ()),
        ("GET", "/completions/x", ()),
        ("PUT", "/models/ada", ("DELETE", "GET")),
        ("PUT", "/completions", ("POST",)),
    ],
)
def test_another_route_is_an_error_with_the_allowed_methods(method, path, allowed):
    with pytest.raises(UnknownRouteError) as caught:
        Router(OPERATIONS).find(method, path)
    error = caught.value
    assert (str(error), error.method, error.path) == (f"{method} {path}", method, path)
    assert error.allowed == allowed


@pytest.mark.anyio
@pytest.mark.parametrize(
    "operation",
    [
        CreateCompletion(model="m", prompt="Hello", echo=False, logit_bias={"5": 1}),
        CreateFineTuningJob(model="m", training_file="file-1", metadata={"topic": "kant"}),
        ListFineTuningJobs(limit=2, metadata={"topic": "kant"}),
        ListFineTuningJobEvents("ftjob 1", after="x"),
        RetrieveFile("a b"),
    ],
)
async def test_an_operation_is_decoded_as_it_was_encoded(operation):
    decoded = await Router(OPERATIONS).decode(encode(operation))
    assert vars(decoded.operation) == vars(operation)
    assert type(decoded.operation) is type(operation)
    assert not decoded.streaming


@pytest.mark.anyio
async def test_a_form_is_decoded_with_its_file():
    operation = CreateFile(file=("a.jsonl", b"{}"), purpose="batch")
    decoded = (await Router(OPERATIONS).decode(encode(operation))).operation
    assert (decoded.file, decoded.purpose) == (("a.jsonl", b"{}", "application/jsonl"), "batch")


@pytest.mark.anyio
async def test_a_file_of_a_mebibyte_is_received_into_a_temporary_file():
    content = b"x" * (1024 * 1024 + 1024)

    async def chunks():
        for start in range(0, len(content), 1024):
            yield content[start : start + 1024]

    operation = CreateFile(file=("a.jsonl", chunks()), purpose="batch")
    name, file, _ = (await Router(OPERATIONS).decode(encode(operation))).operation.file
    assert (name, file.size_bytes) == ("a.jsonl", len(content))


@pytest.mark.anyio
@pytest.mark.parametrize("value", [True, "true", "True", "1", False, "false", 1, None])
async def test_a_stream_may_be_asked_for_in_several_ways(value):
    body = {"model": "m", "prompt": "x", "stream": value}
    decoded = await decode("/completions", body)
    assert decoded.streaming is (value in {True, "true", "True", "1"})


@pytest.mark.anyio
async def test_an_operation_without_events_is_not_streamed():
    body = {"model": "m", "training_file": "file-1", "stream": True}
    assert not (await decode("/fine_tuning/jobs", body)).streaming


MODEL = {"model": "m"}
PROMPT = {"model": "m", "prompt": "x"}
USER = {"role": "user", "content": "x"}
JOB = {"model": "m", "training_file": "file-1"}
TOO_LONG = (
    "Invalid 'messages': array too long. Expected an array with maximum length 10000, but got an "
    "array with length 10001 instead."
)
ROLES = "['developer', 'system', 'user', 'assistant', 'tool', 'function']"


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("path", "body", "words", "param"),
    [
        ("/completions", {}, "'model' is a required property", "model"),
        ("/completions", PROMPT | {"n": "a"}, "'a' is not of type 'integer' - 'n'", "n"),
        ("/completions", PROMPT | {"n": 0}, "0 is less than the minimum of 1 - 'n'", "n"),
        ("/completions", PROMPT | {"n": 129}, "129 is greater than the maximum of 128 - 'n'", "n"),
        (
            "/completions",
            PROMPT | {"temperature": "hot"},
            "'hot' is not of type 'number' - 'temperature'",
            "temperature",
        ),
        (
            "/completions",
            PROMPT | {"echo": "perhaps"},
            "'perhaps' is not of type 'boolean' - 'echo'",
            "echo",
        ),
        (
            "/completions",
            MODEL | {"prompt": ["ü", 5]},
            "[\"ü\", 5] is not of type 'string' - 'prompt'",
            "prompt",
        ),
        (
            "/completions",
            PROMPT | {"logit_bias": 5},
            "5 is not of type 'object' - 'logit_bias'",
            "logit_bias",
        ),
        (
            "/completions",
            PROMPT | {"nope": None},
            "Unrecognized request argument supplied: nope",
            "nope",
        ),
        (
            "/chat/completions",
            MODEL | {"messages": 5},
            "5 is not of type 'array' - 'messages'",
            "messages",
        ),
        ("/chat/completions", MODEL | {"messages": []}, "[] is too short - 'messages'", "messages"),
        (
            "/chat/completions",
            MODEL | {"messages": [USER, 5]},
            "5 is not of type 'object' - 'messages[1]'",
            "messages[1]",
        ),
        (
            "/chat/completions",
            MODEL | {"messages": [{"role": "x"}]},
            f'{{"role": "x"}} is not one of {ROLES} - \'messages[0]\'',
            "messages[0]",
        ),
        (
            "/chat/completions",
            MODEL | {"messages": [USER], "tools": [{}]},
            "'tools[0].type' is a required property",
            "tools[0].type",
        ),
        (
            "/chat/completions",
            {"model": "m", "messages": [{"role": "user", "content": 5}]},
            "5 is not of type 'string' - 'messages[0].content'",
            "messages[0].content",
        ),
        (
            "/chat/completions",
            {"model": "m", "messages": [{"role": "user"}]},
            "'messages[0].content' is a required property",
            "messages[0].content",
        ),
        ("/fine_tuning/jobs", JOB | {"suffix": ""}, "'' is too short - 'suffix'", "suffix"),
        (
            "/fine_tuning/jobs",
            JOB | {"suffix": "x" * 65},
            f"'{'x' * 59}... is too long - 'suffix'",
            "suffix",
        ),
        (
            "/fine_tuning/jobs",
            JOB | {"hyperparameters": {"n_epochs": None}},
            "None is not of type 'integer' - 'hyperparameters.n_epochs'",
            "hyperparameters.n_epochs",
        ),
        (
            "/fine_tuning/jobs",
            JOB | {"hyperparameters": {"learning_rate_multiplier": 0}},
            (
                "0 is less than or equal to the minimum of 0.0 - "
                "'hyperparameters.learning_rate_multiplier'"
            ),
            "hyperparameters.learning_rate_multiplier",
        ),
        (
            "/fine_tuning/jobs",
            JOB | {"seed": "x" * 58},
            f"'{'x' * 58}' is not of type 'integer' - 'seed'",
            "seed",
        ),
        (
            "/chat/completions",
            MODEL | {"messages": [USER], "functions": [{"name": "f"}] * 129},
            "[" + '{"name": "f"}, ' * 3 + '{"name": "f"},' + "... is too long - 'functions'",
            "functions",
        ),
        (
            "/completions",
            PROMPT | {"stop": ["x"] * 10_001},
            TOO_LONG.replace("messages", "stop"),
            "stop",
        ),
        (
            "/fine_tuning/jobs",
            JOB | {"method": {"type": "x"}},
            "'x' is not one of ['supervised', 'dpo', 'reinforcement'] - 'method.type'",
            "method.type",
        ),
        (
            "/chat/completions",
            MODEL | {"messages": [USER] * 10_001},
            TOO_LONG,
            "messages",
        ),
        (
            "/chat/completions",
            MODEL | {"messages": [USER, {"role": "user", "content": ["x"] * 9_999}]},
            TOO_LONG,
            "messages",
        ),
    ],
)
async def test_a_wrong_parameter_is_an_error_in_the_words_of_the_service(path, body, words, param):
    with pytest.raises(InvalidRequestError) as caught:
        await decode(path, body)
    assert (str(caught.value), caught.value.param) == (words, param)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("head", "shown"),
    [
        (b'name="purpose"; filename="a"', "the file"),
        (b'name="purpose[]"; filename="a"', '[["a", "b\'\\\\xff\'", null]]'),
        (b'name="purpose"', "'\N{REPLACEMENT CHARACTER}'"),
    ],
)
async def test_a_wrong_part_of_a_form_is_an_error_that_shows_no_file(head, shown):
    disposition = b"\r\nContent-Disposition: form-data; "
    body = b"--b" + disposition + b'name="file"; filename="a"\r\n\r\n{}\r\n--b' + disposition
    body += head + b"\r\n\r\n\xff\r\n--b--"
    headers = {"content-type": "multipart/form-data; boundary=b"}
    with pytest.raises(InvalidRequestError) as caught:
        await Router(OPERATIONS).decode(Request("", "POST", "/files", headers=headers, body=body))
    assert str(caught.value).startswith(f"{shown} is not one of ['assistants', ")


@pytest.mark.anyio
async def test_long_lists_of_texts_and_numbers_are_prompts():
    body = MODEL | {"prompt": ["x"] * 10_001}
    assert len((await decode("/completions", body)).operation.prompt) == 10_001
    messages = [USER, {"role": "user", "content": [{"type": "text", "text": "x"}] * 9_998}]
    assert await decode("/chat/completions", MODEL | {"messages": messages})


@pytest.mark.anyio
async def test_a_body_may_be_as_long_as_the_limit():
    body = json.dumps(PROMPT).encode()
    assert await decode("/completions", body, max_body_bytes=len(body))
    with pytest.raises(InvalidRequestError) as caught:
        await decode("/completions", body, max_body_bytes=len(body) - 1)
    assert str(caught.value) == f"The body is larger than {len(body) - 1} bytes."


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("headers", "words"),
    [
        ({}, "the content type must be multipart/form-data with a boundary, not ''"),
        (
            {"content-type": "multipart/form-data; boundary=b"},
            "the last boundary is missing: the body ends early",
        ),
    ],
)
async def test_a_form_that_cannot_be_read_is_an_error(headers, words):
    with pytest.raises(InvalidRequestError) as caught:
        await Router(OPERATIONS).decode(Request("", "POST", "/files", headers=headers, body=b"x"))
    assert str(caught.value) == f"Could not parse multipart form: {words}"


@pytest.mark.anyio
async def test_a_body_may_come_in_chunks():
    async def body():
        yield b'{"model": "m", '
        yield b'"prompt": "x"}'

    request = Request("", "POST", "/completions", body=body)
    assert (await Router(OPERATIONS).decode(request)).operation.prompt == "x"


@pytest.mark.anyio
async def test_an_empty_body_has_no_parameters():
    with pytest.raises(InvalidRequestError, match="'model' is a required property"):
        await decode("/completions")


NOT_JSON = (
    "We could not parse the JSON body of your request. (HINT: This likely means you aren't using "
    "your HTTP library correctly. The OpenAI API expects a JSON payload, but what was sent was not "
    "valid JSON.)"
)
TOO_LARGE = "The JSON body must have at most 100000 objects and arrays, and 1000000 values."


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", NOT_JSON),
        (b"{'a': 1}", NOT_JSON),
        (b"[]", "The JSON body of a request must be an object."),
        (b"null", "The JSON body of a request must be an object."),
        (b'{"a":[' + b"[]," * 99_998 + b"{}]}", TOO_LARGE),
        (b'{"a":[' + b"1," * 1_000_001 + b"1]}", TOO_LARGE),
    ],
)
def test_a_body_that_is_no_object_or_has_too_many_values_is_an_error(content, words):
    with pytest.raises(InvalidRequestError) as caught:
        parse_json_object(content)
    assert str(caught.value) == words


def test_a_body_has_many_values():
    content = b'{"a":[' + b"[]," * 99_997 + b"{}]}"
    assert len(parse_json_object(content)["a"]) == 99_998
    assert len(parse_json_object(b'{"a":[' + b"1," * 1_000_000 + b"1]}")["a"]) == 1_000_001
