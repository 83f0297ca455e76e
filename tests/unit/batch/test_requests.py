"""What a source holds becomes requests, or an error that says what, where and what to do."""

import json
import math

import pytest
from pydantic import BaseModel

from tunesmith.batch.endpoints import endpoint_of
from tunesmith.batch.requests import RequestBuilder
from tunesmith.errors import DatasetError, InvalidRequestError


def body(builder, data):
    row, _ = builder(1, data)
    return json.loads(row.body)


def test_a_line_of_the_batch_api_is_sent_as_it_is():
    line = {
        "custom_id": "a",
        "method": "POST",
        "url": "/v1/embeddings",
        "body": {"model": "m", "input": ["x"], "unheard_of": 1},
    }
    row, has_custom_id = RequestBuilder()(7, line)
    assert (row.key, row.line, row.endpoint.operation) == ("a", 7, "embeddings.create")
    assert json.loads(row.body) == line["body"]
    assert has_custom_id


@pytest.mark.parametrize("more", [{}, {"metadata": {"source": "a.csv"}, "label": 3}])
def test_a_line_needs_only_a_body_and_its_other_keys_are_ignored(more):
    line = {"custom_id": "a", "body": {"messages": []}} | more
    row, _ = RequestBuilder(model="m")(1, line)
    assert (row.key, row.endpoint.url) == ("a", "/v1/chat/completions")
    assert json.loads(row.body) == {"messages": [], "model": "m"}
    row, _ = RequestBuilder(model="m", endpoint="embeddings")(1, {"body": {"input": "a"}} | more)
    assert row.endpoint.url == "/v1/embeddings"


def test_defaults_fill_in_what_a_row_does_not_say():
    build = RequestBuilder(model="m", params={"max_tokens": 5})
    assert body(build, {"prompt": "a", "max_tokens": 9}) == {
        "prompt": "a",
        "max_tokens": 9,
        "model": "m",
    }
    line = {"custom_id": "a", "url": "/v1/completions", "body": {"prompt": "a", "model": "own"}}
    assert body(build, line) == {"prompt": "a", "model": "own", "max_tokens": 5}
    assert "max_tokens" not in line["body"]  # what the user gave is left alone


@pytest.mark.parametrize(
    ("endpoint", "expected"),
    [
        (None, {"prompt": "Space"}),
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": "Space"}]}),
        ("embeddings", {"input": "Space"}),
        ("/v1/responses", {"input": "Space"}),
    ],
)
def test_a_text_fills_what_the_endpoint_asks(endpoint, expected):
    assert body(RequestBuilder(model="m", endpoint=endpoint), "Space") == expected | {"model": "m"}


def test_fields_tell_the_endpoint():
    build = RequestBuilder(model="m")
    chat, _ = build(1, {"messages": []})
    text, _ = build(1, {"prompt": ""})
    assert (chat.endpoint.url, text.endpoint.url) == ("/v1/chat/completions", "/v1/completions")


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("Translate {{: {text}", {"prompt": "Translate {: Ding"}),
        ({"prompt": "{text}!", "stop": ["{text}"]}, {"prompt": "Ding!", "stop": ["Ding"]}),
        (lambda fields: {"prompt": fields["text"] * 2}, {"prompt": "DingDing"}),
    ],
    ids=["text", "body", "function"],
)
def test_a_template_says_which_fields_go_where(template, expected):
    build = RequestBuilder(model="m", template=template)
    assert body(build, {"text": "Ding", "label": "x"}) == expected | {"model": "m"}


def test_a_template_reads_one_text_under_the_name_text():
    assert body(RequestBuilder(model="m", template="<{text}>"), "Ding")["prompt"] == "<Ding>"


def test_equal_requests_have_equal_keys_wherever_they_stand():
    build = RequestBuilder(model="m")
    assert build(1, "a")[0].key == build(99, "a")[0].key
    assert build(1, "a")[0].key != build(1, "b")[0].key
    assert RequestBuilder(model="other")(1, "a")[0].key != build(1, "a")[0].key


@pytest.mark.parametrize(
    ("options", "data", "message"),
    [
        ({}, "a", r"rows\.jsonl:3 \[model\]: This row has no model"),
        ({"model": "m"}, 7, "A row must be a text or an object, not int"),
        ({"model": "m", "params": {"stream": True}}, "a", r"\[stream\]: .* not streamed"),
        ({"model": "m"}, {"prompt": "a", "label": "b"}, r"\[label\].*with a template"),
        ({"model": "m"}, {"input": "a"}, "endpoint of this row is unknown.*Set the endpoint"),
        ({"model": "m"}, {"url": "/v1/images", "body": {}}, r"\[url\]: Unknown endpoint"),
        ({"model": "m", "template": "{txt}"}, {"text": "a"}, "does not match.*'txt'.*are text"),
        ({"model": "m"}, {"prompt": "a", "custom_id": []}, r"\[custom_id\]: This must be a text"),
        (
            {"model": "m"},
            {"prompt": "a", "logit_bias": {"7": math.nan}},
            r"\[logit_bias\.7\]: This must be a finite number, not nan\. Leave missing",
        ),
        (
            {"endpoint": "embeddings", "template": {"model": "m", "input": [1, -math.inf]}},
            {},
            r"\[input\.1\]: This must be a finite number, not -inf",
        ),
    ],
)
def test_an_invalid_row_is_an_error_that_names_its_place(options, data, message):
    with pytest.raises(DatasetError, match=message):
        RequestBuilder(**options, file="rows.jsonl")(3, data)


def test_an_endpoint_that_batches_do_not_go_to_is_refused_at_once():
    with pytest.raises(InvalidRequestError, match="/v1/completions, /v1/chat/completions"):
        RequestBuilder(endpoint="/v1/images")


def test_a_field_that_is_null_is_missing_and_not_the_word_none():
    build = RequestBuilder(model="m", template="Translate: {text}")
    with pytest.raises(DatasetError, match=r"does not match this row: 'text'; its fields are id"):
        build(1, {"id": 7, "text": None})


def test_a_class_for_answers_needs_chat():
    class Term(BaseModel):
        word: str

    build = RequestBuilder(model="m", response_format=Term)
    with pytest.raises(DatasetError, match="Only chat completions"):
        build(1, {"prompt": "a"})
    assert body(build, "a")["messages"] == [{"role": "user", "content": "a"}]
    asked = body(build, {"messages": []})
    assert asked["response_format"]["json_schema"]["name"] == "Term"


@pytest.mark.parametrize(
    ("url", "asked", "most"),
    [
        ("/v1/completions", {}, 16),
        ("/v1/completions", {"max_tokens": 5, "n": 3}, 15),
        ("/v1/completions", {"max_tokens": 5, "best_of": 4, "n": 2, "prompt": ["a", "b"]}, 40),
        ("/v1/chat/completions", {}, None),
        ("/v1/chat/completions", {"max_tokens": 7}, 7),
        ("/v1/chat/completions", {"max_completion_tokens": 7, "n": 2}, 14),
        ("/v1/embeddings", {}, 0),
        ("/v1/responses", {"max_output_tokens": 9}, 9),
        ("/v1/responses", {}, None),
    ],
)
def test_the_length_of_an_answer_is_bounded_by_what_is_asked(url, asked, most):
    assert endpoint_of(url).max_completion_tokens(asked) == most
