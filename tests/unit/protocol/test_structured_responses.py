"""Classes as formats of the Responses API, and its responses as their objects."""

import pytest
from pydantic import BaseModel

from tunesmith.errors import InvalidRequestError, InvalidResponseError
from tunesmith.protocol.structured_responses import parse_output, parse_response, text_format_of
from tunesmith.types.base import attach_response
from tunesmith.types.response import ResponseInfo
from tunesmith.types.responses import Response


class Term(BaseModel):
    word: str


def response_of(*parts, **fields):
    message = {"type": "message", "id": "msg_1", "role": "assistant", "content": list(parts)}
    return Response.model_validate({"id": "resp_1", "output": [message], **fields})


def text(content):
    return {"type": "output_text", "text": content, "annotations": []}


def refusal(words):
    return {"type": "refusal", "refusal": words}


def test_a_class_is_a_format_of_texts():
    wanted = text_format_of(Term)
    assert (wanted["type"], wanted["name"], wanted["strict"]) == ("json_schema", "Term", True)
    assert wanted["schema"]["required"] == ["word"]


def test_another_value_is_an_error_of_the_parameter():
    with pytest.raises(InvalidRequestError) as caught:
        text_format_of(list[Term])
    assert caught.value.param == "text_format"


def test_the_text_of_a_response_is_parsed():
    response = response_of(text('{"word": '), text('"noumenon"}'), status="completed")
    assert parse_output(Term, response) == Term(word="noumenon")


def test_a_parsed_response_keeps_what_came_and_nothing_else():
    response = response_of(text('{"word": "noumenon"}'), extra=1)
    parsed = parse_response(Term, response)
    assert parsed.output_parsed == Term(word="noumenon")
    assert parsed.model_fields_set == {"id", "output", "extra", "output_parsed"}
    info = ResponseInfo(200, {})
    attach_response(response, info)
    assert parse_response(Term, response).response is info


def test_a_response_without_text_has_no_object():
    assert parse_output(Term, response_of()) is None
    assert parse_response(Term, response_of()).output_parsed is None


def test_a_response_that_is_incomplete_is_an_error_with_its_text():
    response = response_of(text('{"word": "nou'), status="incomplete")
    with pytest.raises(InvalidResponseError) as caught:
        parse_output(Term, response)
    assert caught.value.message == ("The response is incomplete, so it cannot be parsed as Term")
    assert caught.value.excerpt == '{"word": "nou'


def test_a_refusal_is_an_error_with_its_words():
    with pytest.raises(InvalidResponseError) as caught:
        parse_output(Term, response_of(refusal("I "), refusal("cannot.")))
    assert caught.value.message == "The model refused to answer: I cannot."
