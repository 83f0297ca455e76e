"""What the client offers: every operation, under its name, with its own parameters."""

import dataclasses
import inspect
from operator import attrgetter

import pytest

from tunesmith import AsyncClient
from tunesmith.operations.registry import all_operations
from tunesmith.resources.base import Resource
from tunesmith.resources.webhooks import Webhooks

CLIENT = AsyncClient(api_key="sk-1")


@pytest.mark.parametrize("operation", all_operations(), ids=lambda each: each.spec.name)
def test_each_operation_is_a_method_of_its_name(operation):
    method = attrgetter(operation.spec.name)(CLIENT)
    if operation.spec.response_type is bytes:
        return  # a download is more than a call: see FileContent
    assert method.__doc__ == operation.__doc__
    names = [field.name for field in dataclasses.fields(operation)]
    assert sorted(inspect.signature(method).parameters) == sorted(names)


def test_a_signature_reads_as_people_call_it():
    """What the path needs comes first, and can be given by place; options come last."""
    signature = inspect.signature(CLIENT.fine_tuning.jobs.list_events)
    assert list(signature.parameters)[:3] == ["fine_tuning_job_id", "after", "limit"]
    first = signature.parameters["fine_tuning_job_id"]
    assert first.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD
    assert list(signature.parameters)[-1] == "timeout"


@pytest.mark.parametrize(
    ("resource", "param"),
    [(CLIENT.chat.completions, "response_format"), (CLIENT.responses, "text_format")],
)
def test_parse_shows_the_parameters_of_create_and_a_class(resource, param):
    parse = inspect.signature(resource.parse).parameters
    create = inspect.signature(resource.create).parameters
    assert set(parse) == {*create, param}
    assert next(iter(parse)) == param
    assert parse[param].default is inspect.Parameter.empty
    assert f"{param}: The class" in inspect.getdoc(resource.parse)


def public_methods(value, path=""):
    """Yield the path of each public method of a client, resource or result, and the method."""
    for name in dir(type(value)):
        if name.startswith("_") or name in {"backend", "caller", "with_raw_response"}:
            continue
        member = getattr(value, name)
        if isinstance(member, Resource | Webhooks):
            yield from public_methods(member, f"{path}{name}.")
        elif callable(member):
            yield f"{path}{name}", member


METHODS = dict(public_methods(CLIENT))


@pytest.mark.parametrize("path", METHODS)
def test_a_method_shows_its_parameters_and_documents_them(path):
    parameters = inspect.signature(METHODS[path]).parameters
    kinds = {parameter.kind for parameter in parameters.values()}
    assert not kinds & {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD}
    assert "self" not in parameters
    assert inspect.getdoc(METHODS[path])
    resource, _, name = path.rpartition(".")
    if resource and resource != "webhooks":
        raw = getattr(attrgetter(resource)(CLIENT).with_raw_response, name)
        assert inspect.signature(raw) == inspect.signature(METHODS[path])


def test_all_methods_are_found():
    assert {"copy", "files.upload", "fine_tuning.alpha.graders.run", "webhooks.unwrap"} <= {
        *METHODS
    }
    assert len(METHODS) > len(all_operations())
    content = dict(public_methods(CLIENT.files.content("file-1")))
    assert list(inspect.signature(content["write_to"]).parameters) == ["path"]
    options = inspect.signature(AsyncClient).parameters
    assert options["max_retries"].default == 2
