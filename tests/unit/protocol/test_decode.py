"""From the body of a response, or an event of a stream, to an object."""

import pytest

from tunesmith.errors import InvalidResponseError
from tunesmith.operations.chat import CreateChatCompletion
from tunesmith.operations.files import DownloadFile
from tunesmith.operations.models import ListModels
from tunesmith.protocol.decode import (
    begins_like_document,
    decode_event,
    decode_response,
    decoding_error,
)
from tunesmith.types.completions import Completion
from tunesmith.types.response import ResponseInfo

INFO = ResponseInfo(200, {"x-request-id": "req_1"}, attempts=3)
CHAT = CreateChatCompletion(model="m", messages=[{"role": "user", "content": "Hello"}])


def facts_of(error):
    return (error.operation, error.status, error.attempts, error.request_id)


def test_the_content_of_a_file_is_its_bytes():
    assert decode_response(DownloadFile("file-1"), b"\xff{", INFO) == b"\xff{"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"{}", "choices: Field required"),
        (
            b'{"detail": "no such model"}',
            "choices: Field required; the service responds: no such model",
        ),
        (b"rubbish", "Invalid JSON: expected value at line 1 column 1"),
    ],
)
def test_a_body_of_another_type_is_an_error_that_says_where(body, reason):
    with pytest.raises(InvalidResponseError) as caught:
        decode_response(CHAT, body, INFO)
    error = caught.value
    assert error.message == (
        f"chat.completions.create: the response is not a ChatCompletion: {reason}"
    )
    assert facts_of(error) == ("chat.completions.create", 200, 3, "req_1")
    assert error.excerpt == body.decode()


def test_an_event_of_another_type_is_an_error_that_says_where():
    with pytest.raises(InvalidResponseError) as caught:
        decode_event(Completion, b"[]", INFO, operation="completions.create")
    error = caught.value
    assert error.message.startswith(
        "completions.create: an event of the stream is not a Completion: "
    )
    assert facts_of(error) == ("completions.create", 200, 3, "req_1")


def test_a_body_that_is_valid_without_the_echoed_header_is_an_error_too():
    error = decoding_error(CHAT, b'{"choices": []}', INFO)
    assert error.message == ("chat.completions.create: the response echoes a header of the request")
    assert facts_of(error) == ("chat.completions.create", None, 3, "req_1")
    assert "Field required" in decoding_error(CHAT, b"{}", INFO).message


def test_half_a_character_is_replaced_in_a_response_and_kept_in_an_event():
    """The other half of it may be in the next event."""
    content = rb'{"choices": [{"message": {"role": "assistant", "content": "a\ud83d"}}]}'
    assert decode_response(CHAT, content, INFO).choices[0].message.content == "a\ufffd"
    event = decode_event(Completion, rb'{"choices": [{"text": "a\ud83d"}]}', INFO, operation="o")
    assert event.choices[0].text == "a\ud83d"


def test_a_list_that_is_streamed_is_a_page():
    streaming = ResponseInfo(200, {"content-type": "text/event-stream; charset=utf-8"})
    body = b'data: {"id": "a"}\n\ndata:\n\ndata: {"id": "b"}\n\ndata: [DONE]\n\n'
    page = decode_response(ListModels(), body, streaming)
    assert [model.id for model in page.data] == ["a", "b"]
    assert page.response is streaming


@pytest.mark.parametrize("body", [b"{}", b"\xef\xbb\xbf{", b" \t\r\n<html>"])
def test_a_document_is_known_by_its_first_character(body):
    assert begins_like_document(body)
    streaming = ResponseInfo(200, {"content-type": "text/event-stream"})
    with pytest.raises(InvalidResponseError, match="is not a ChatCompletion"):
        decode_response(CHAT, body, streaming)


@pytest.mark.parametrize("body", [b"", b"data: {}", b": {", b"X{", b"[DONE]"])
def test_anything_else_is_no_document(body):
    assert not begins_like_document(body)
