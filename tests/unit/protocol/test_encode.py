"""From an operation to the request that is sent."""

import math

import pytest

from tunesmith.errors import InvalidRequestError
from tunesmith.operations.completions import CreateCompletion
from tunesmith.operations.files import CreateFile, RetrieveFile
from tunesmith.operations.fine_tuning import CancelFineTuningJob, ListFineTuningJobs
from tunesmith.operations.models import RetrieveModel
from tunesmith.operations.uploads import CreateUploadPart
from tunesmith.protocol.encode import encode
from tunesmith.protocol.message import Request
from tunesmith.protocol.multipart import ReceivedPart, decode_multipart

JSON = "application/json"


def complete(**options):
    return CreateCompletion(model="m", prompt="Hello", **options)


def test_parameters_are_sent_as_json():
    body = b'{"model":"m","prompt":"Hello","echo":false}'
    assert encode(complete(echo=False), headers={"x-a": "1"}, timeout_s=5) == Request(
        operation="completions.create",
        method="POST",
        path="/completions",
        headers={
            "accept": JSON,
            "x-a": "1",
            "content-type": JSON,
            "content-length": str(len(body)),
        },
        body=body,
        timeout=5,
    )


def test_parameters_of_a_get_are_its_query():
    jobs = ListFineTuningJobs(limit=2, metadata={"topic": "kant"})
    assert encode(jobs) == Request(
        operation="fine_tuning.jobs.list",
        method="GET",
        path="/fine_tuning/jobs",
        query=(("limit", "2"), ("metadata[topic]", "kant")),
        headers={"accept": JSON},
    )


def test_an_action_without_parameters_has_an_empty_body():
    assert encode(CancelFineTuningJob("ftjob-1")) == Request(
        operation="fine_tuning.jobs.cancel",
        method="POST",
        path="/fine_tuning/jobs/ftjob-1/cancel",
        headers={"accept": JSON, "content-length": "0"},
    )


def test_a_stream_is_asked_for_in_the_body_or_the_query():
    posted = encode(complete(), streaming=True)
    assert posted.body == b'{"model":"m","prompt":"Hello","stream":true}'
    assert posted.query == ()
    got = encode(ListFineTuningJobs(limit=1), streaming=True)
    assert got.query == (("limit", "1"), ("stream", "true"))
    assert posted.headers["accept"] == got.headers["accept"] == "text/event-stream"


def test_options_of_an_operation_precede_those_of_the_client():
    options = {"extra_headers": {"X-A": "2"}, "extra_query": {"a": "1"}, "timeout": 3}
    request = encode(
        ListFineTuningJobs(limit=2, **options),
        headers={"x-a": "1", "x-b": "1"},
        query={"a": 9, "limit": 9, "b": [True, None, "2"]},
        timeout_s=5,
    )
    assert request.headers == {"accept": JSON, "x-a": "2", "x-b": "1"}
    assert request.query == (("limit", "2"), ("a", "1"), ("b[]", "true"), ("b[]", "2"))
    assert request.timeout == 3


def test_the_extra_body_precedes_the_parameters():
    request = encode(complete(extra_body={"prompt": "Bye", "top_k": 5}))
    assert request.body == b'{"model":"m","prompt":"Bye","top_k":5}'


def test_the_type_of_the_body_is_not_a_default_header():
    assert encode(complete(), headers={"content-type": "x"}).headers["content-type"] == JSON


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("ft:ada:org/kant 1", "/models/ft:ada:org%2Fkant%201"),
        ("XX", "/models/XX"),
        ("a?b#c%", "/models/a%3Fb%23c%25"),
        ("ü@!$&'()*+,;=.", "/models/%C3%BC@!$&'()*+,;=."),
    ],
)
def test_a_name_is_one_segment_of_the_path(name, path):
    assert encode(RetrieveModel(name)).path == path


@pytest.mark.parametrize(
    ("operation", "problem", "param"),
    [
        (RetrieveFile(""), "files.retrieve: file_id must not be ''", "file_id"),
        (RetrieveFile(" "), "files.retrieve: file_id must not be ' '", "file_id"),
        (RetrieveFile(".."), "files.retrieve: file_id must not be '..'", "file_id"),
        (
            RetrieveFile("\ud800"),
            (
                "files.retrieve: file_id cannot be part of a URL: 'utf-8' codec can't encode "
                "character '\\ud800' in position 0: surrogates not allowed"
            ),
            "file_id",
        ),
        (
            complete(extra_body={"a": [1.5, {"b": math.inf}]}),
            "completions.create: a.1.b must be a finite number, not inf",
            "a.1.b",
        ),
        (
            complete(extra_body={"a": math.nan}),
            "completions.create: a must be a finite number, not nan",
            "a",
        ),
        (
            complete(extra_body={"a": object()}),
            (
                "completions.create: a cannot be sent as JSON: Unable to serialize unknown type: "
                "<class 'object'>"
            ),
            "a",
        ),
        (
            complete(extra_body={"a": "\ud800"}),
            (
                "completions.create: a cannot be sent as JSON: UnicodeEncodeError: 'utf-8' codec "
                "can't encode character '\\ud800' in position 0: surrogates not allowed"
            ),
            "a",
        ),
        (
            complete(extra_body={"\ud800": 1}),
            "completions.create: the name of a parameter must be text",
            None,
        ),
    ],
)
def test_what_cannot_be_sent_is_an_error_that_names_it(operation, problem, param):
    with pytest.raises(InvalidRequestError) as caught:
        encode(operation)
    assert str(caught.value) == problem
    assert (caught.value.operation, caught.value.param) == (operation.spec.name, param)


@pytest.mark.parametrize("text", ["NaN", "Infinity"])
def test_texts_and_bytes_that_read_like_numbers_are_sent(text):
    content = {"a": text, "b": [text.encode(), {"c": 1.5}]}
    assert encode(complete(extra_body=content)).body.count(text.encode()) == 2


async def parts_of(request):
    form = request.headers["content-type"]
    return await decode_multipart(form, request.chunks(), max_bytes=10**6)


@pytest.mark.anyio
async def test_a_file_is_sent_in_a_form_with_the_other_parameters(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"{}")
    expires_after = {"anchor": "created_at", "seconds": 3600}
    request = encode(
        CreateFile(
            file=(None, path, "text/plain"),
            purpose="fine-tune",
            expires_after=expires_after,
            extra_body={"notes": ["x"]},
        )
    )
    assert await parts_of(request) == [
        ReceivedPart("file", b"{}", "a.jsonl", "text/plain"),
        ReceivedPart("purpose", b"fine-tune"),
        ReceivedPart("expires_after[anchor]", b"created_at"),
        ReceivedPart("expires_after[seconds]", b"3600"),
        ReceivedPart("notes[]", b"x"),
    ]
    content = b"".join([chunk async for chunk in request.chunks()])
    assert request.headers["content-length"] == str(len(content))
    assert request.replayable


@pytest.mark.anyio
async def test_chunks_of_unknown_length_are_sent_once_and_without_a_length():
    async def chunks():
        yield b"{"
        yield b"}"

    request = encode(CreateUploadPart("upload_1", data=chunks()))
    assert request.path == "/uploads/upload_1/parts"
    assert "content-length" not in request.headers
    assert not request.replayable
    assert await parts_of(request) == [
        ReceivedPart("data", b"{}", "upload", "application/octet-stream")
    ]
