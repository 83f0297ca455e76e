"""The document of the API says of each operation what its class says, and nothing else."""

import json
import re

import pytest

from tunesmith.operations import all_operations
from tunesmith.service.http.openapi import openapi_document

DOCUMENT = openapi_document()


def described(operation):
    spec = operation.spec
    return DOCUMENT["paths"][spec.path][spec.method.lower()]


def body_of(operation):
    (media,) = described(operation)["requestBody"]["content"].items()
    return media


@pytest.mark.parametrize("operation", all_operations(), ids=lambda each: each.spec.name)
def test_each_operation_is_there_with_its_parameters(operation):
    spec, found = operation.spec, described(operation)
    assert found["operationId"] == spec.name
    assert found["summary"] == operation.__doc__.partition("\n")[0]
    named = [each["name"] for each in found["parameters"] if each["name"] != "stream"]
    assert named == [*spec.path_params, *spec.query_params]
    in_body = body_of(operation)[1]["schema"]["properties"] if spec.body_params else {}
    assert set(in_body) - {"stream"} == set(spec.body_params)


def test_there_is_nothing_else():
    methods = [(path, method) for path, each in DOCUMENT["paths"].items() for method in each]
    assert len(methods) == len(list(all_operations()))


def test_what_can_be_streamed_says_so():
    streaming = [each for each in all_operations() if each.spec.event_type is not None]
    assert streaming
    for operation in streaming:
        assert "text/event-stream" in described(operation)["responses"]["200"]["content"]
        assert '"stream"' in json.dumps(described(operation))


def test_forms_have_their_files_as_bytes():
    (create,) = [each for each in all_operations() if each.spec.name == "files.create"]
    media, about = body_of(create)
    assert media == "multipart/form-data"
    assert about["schema"]["properties"]["file"] == {"type": "string", "format": "binary"}
    assert about["schema"]["required"] == ["file", "purpose"]
    assert about["schema"]["additionalProperties"] is False


def test_bounds_and_choices_of_parameters_are_told():
    (job,) = [each for each in all_operations() if each.spec.name == "fine_tuning.jobs.create"]
    suffix = body_of(job)[1]["schema"]["properties"]["suffix"]["anyOf"][0]
    assert (suffix["minLength"], suffix["maxLength"]) == (1, 64)


def test_all_that_it_refers_to_is_there():
    text = json.dumps(DOCUMENT)
    names = set(re.findall(r'"#/components/schemas/([^"]+)"', text))
    assert names
    assert names == set(DOCUMENT["components"]["schemas"])
