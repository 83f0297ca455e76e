"""The OpenAPI document describes all operations by their classes."""

import json
import re

import pytest

from tunesmith.operations.registry import all_operations
from tunesmith.service.http.openapi import openapi_document

DOCUMENT = openapi_document()


def item_of(operation):
    spec = operation.spec
    return DOCUMENT["paths"][spec.path][spec.method.lower()]


def body_of(operation):
    (media,) = item_of(operation)["requestBody"]["content"].items()
    return media


@pytest.mark.parametrize("operation", all_operations(), ids=lambda operation: operation.spec.name)
def test_each_operation_has_its_parameters(operation):
    spec, item = operation.spec, item_of(operation)
    assert item["operationId"] == spec.name
    assert item["summary"] == operation.__doc__.partition("\n")[0]
    named = [each["name"] for each in item["parameters"] if each["name"] != "stream"]
    assert named == [*spec.path_params, *spec.query_params]
    in_body = body_of(operation)[1]["schema"]["properties"] if spec.body_params else {}
    assert set(in_body) - {"stream"} == set(spec.body_params)


def test_the_document_has_no_other_operations():
    methods = [(path, method) for path, each in DOCUMENT["paths"].items() for method in each]
    assert len(methods) == len(list(all_operations()))


def test_streamed_operations_have_an_event_stream():
    streaming = [each for each in all_operations() if each.spec.event_type is not None]
    assert streaming
    for operation in streaming:
        assert "text/event-stream" in item_of(operation)["responses"]["200"]["content"]
        assert '"stream"' in json.dumps(item_of(operation))


def test_files_of_forms_are_binary():
    (create,) = [each for each in all_operations() if each.spec.name == "files.create"]
    media, content = body_of(create)
    assert media == "multipart/form-data"
    assert content["schema"]["properties"]["file"] == {"type": "string", "format": "binary"}
    assert content["schema"]["required"] == ["file", "purpose"]
    assert content["schema"]["additionalProperties"] is False


def test_parameters_have_their_bounds():
    (job,) = [each for each in all_operations() if each.spec.name == "fine_tuning.jobs.create"]
    suffix = body_of(job)[1]["schema"]["properties"]["suffix"]["anyOf"][0]
    assert (suffix["minLength"], suffix["maxLength"]) == (1, 64)


def test_references_are_resolved():
    text = json.dumps(DOCUMENT)
    names = set(re.findall(r'"#/components/schemas/([^"]+)"', text))
    assert names
    assert names == set(DOCUMENT["components"]["schemas"])
