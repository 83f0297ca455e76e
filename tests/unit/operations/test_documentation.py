"""That every operation tells what it does and what its parameters mean."""

import dataclasses
import inspect
import re

import pytest

from tunesmith.operations.base import Operation
from tunesmith.operations.registry import all_operations

CALL_OPTIONS = {field.name for field in dataclasses.fields(Operation)}


def arguments(docstring):
    """The names under `Args:`."""
    section = re.search(r"^Args:\n((?:    .*\n|\n)+)", docstring + "\n", re.MULTILINE)
    return re.findall(r"^    (\w+): \S", section[1], re.MULTILINE) if section else []


@pytest.mark.parametrize("operation", all_operations(), ids=lambda each: each.spec.name)
def test_every_parameter_is_documented_in_its_place(operation):
    parameters = [f.name for f in dataclasses.fields(operation) if f.name not in CALL_OPTIONS]
    assert arguments(inspect.getdoc(operation)) == parameters


@pytest.mark.parametrize("operation", all_operations(), ids=lambda each: each.spec.name)
def test_every_operation_begins_with_a_sentence_and_names_its_source(operation):
    documentation = inspect.getdoc(operation)
    assert documentation.splitlines()[0].endswith(".")
    assert re.search(r"^Source: https://\S+$", documentation, re.MULTILINE)


@pytest.mark.parametrize("operation", all_operations(), ids=lambda each: each.spec.name)
def test_only_the_name_of_the_object_is_positional(operation):
    positional = [f.name for f in dataclasses.fields(operation) if not f.kw_only and f.name != "_"]
    assert set(positional) <= set(operation.spec.path_params)
    assert len(positional) == min(1, len(operation.spec.path_params))
