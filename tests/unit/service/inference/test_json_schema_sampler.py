"""Values sampled from a JSON schema fit it."""

import math
import re
from itertools import islice
from typing import Annotated, Literal

import pytest
from annotated_types import Ge, Gt, Le, Lt, MaxLen, MinLen
from hypothesis import given, strategies as st
from pydantic import BaseModel, Field

from tunesmith.service.core.errors import ServiceError
from tunesmith.service.inference.json_schema_sampler import sample_value, word_cycle


def make(schema):
    return sample_value(schema, word_cycle("Duty is the necessity of an action"))


class Author(BaseModel):
    """Part of a book."""

    name: str
    born: int | None


class Book(BaseModel):
    """One of every kind."""

    title: Annotated[str, MinLen(30)]
    short: Annotated[str, MaxLen(4)]
    author: Author
    others: Annotated[list[Author], MinLen(2)]
    kind: Literal["essay", "critique"]
    price: Annotated[float, Gt(2), Lt(3)]
    pages: Annotated[int, Ge(5), Le(5)]
    even: Annotated[int, Field(multiple_of=4)]
    pair: tuple[int, str]
    in_print: bool
    missing: None
    sequel: "Book | None"
    tags: dict[str, str]
    note: str = "optional"


def test_a_pydantic_model_accepts_the_sample_of_its_schema():
    book = Book.model_validate(make(Book.model_json_schema()))
    assert book.title.startswith("Duty is the")
    assert book.kind == "essay"
    assert book.sequel is not None


def test_recursive_schemas_end():
    book = Book.model_validate(make(Book.model_json_schema()))
    depth = 0
    while book is not None:
        book, depth = book.sequel, depth + 1
    assert 1 < depth < 10


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "string"}, "Duty is the"),
        ({}, "Duty is the"),
        ({"type": "string", "default": "x"}, "x"),
        ({"type": "string", "examples": [3, "y"]}, "y"),
        ({"type": "string", "format": "date"}, "2024-04-22"),
        ({"type": "string", "pattern": "^k", "examples": ["Kant", "kant"]}, "kant"),
        ({"const": 4}, 4),
        ({"enum": [None, "a"]}, "a"),
        ({"type": ["null", "integer"]}, 1),
        ({"type": "null"}, None),
        ({"type": "number", "maximum": -2.5}, -2.5),
        ({"type": "integer", "exclusiveMinimum": 1}, 2),
        ({"type": "integer", "exclusiveMaximum": 1}, 0),
        ({"anyOf": [{"type": "null"}, {"type": "boolean"}, {"type": "string"}]}, True),
        ({"type": "array", "items": {"type": "integer"}, "maxItems": 0}, []),
        ({"type": "object"}, {}),
        ({"properties": {"a": {"type": "integer"}}}, {"a": 1}),
        ({"required": ["a"]}, "Duty is the"),
        ({"type": "object", "required": ["a"]}, {"a": "Duty is the"}),
        (
            {
                "allOf": [
                    {"type": "object", "properties": {"a": {"const": 1}}, "required": ["a"]},
                    {"properties": {"b": {"const": 2}}, "required": ["b"]},
                ]
            },
            {"a": 1, "b": 2},
        ),
        ({"$ref": "#/$defs/a", "$defs": {"a": {"const": 5}}}, 5),
    ],
)
def test_values_are_predictable(schema, value):
    assert make(schema) == value


@given(
    least=st.integers(-1000, 1000),
    spread=st.integers(1, 50),
    step=st.sampled_from([None, 1, 2, 5]),
)
def test_numbers_lie_between_their_bounds(least, spread, step):
    schema = {"type": "integer", "minimum": least, "maximum": least + spread}
    if step and spread >= step:
        schema["multipleOf"] = step
    value = make(schema)
    assert least <= value <= least + spread
    assert value % schema.get("multipleOf", 1) == 0


def test_a_pattern_without_an_example_is_refused():
    with pytest.raises(ServiceError, match="example"):
        make({"type": "string", "pattern": "^[0-9]{4}$"})


@pytest.mark.parametrize("reference", ["#/$defs/unknown", "#/$defs/loop"])
def test_a_reference_that_leads_nowhere_is_refused(reference):
    with pytest.raises(ServiceError, match="Invalid schema"):
        make({"$ref": reference, "$defs": {"loop": {"$ref": "#/$defs/loop"}}})


@pytest.mark.parametrize(
    ("schema", "part"),
    [
        ({"properties": 5}, '{"properties": 5}'),
        ({"properties": {"a": {"type": "array", "items": 3}}}, "3"),
        ({"enum": 3}, '{"enum": 3}'),
        ({"type": 5}, '{"type": 5}'),
        ({"anyOf": [5]}, '{"anyOf": [5]}'),
        ({"$ref": 5}, '{"$ref": 5}'),
        ({"type": "integer", "minimum": "a"}, '"minimum": "a"'),
        ({"type": "integer", "minimum": math.inf}, "Infinity"),
        ({"type": "number", "multipleOf": 1e-320}, "1e-320"),
        ({"type": "string", "minLength": "3"}, '"minLength": "3"'),
        ({"type": "string", "pattern": "("}, '"pattern": "("'),
        ({"type": "string", "format": [1]}, '"format": [1]'),
    ],
)
def test_an_invalid_schema_is_refused_with_its_invalid_part(schema, part):
    with pytest.raises(ServiceError, match=re.escape(part)):
        make(schema)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]},
        {"type": "array", "items": {"$ref": "#"}, "minItems": 1},
        {"type": "array", "minItems": 10**12},
        {"type": "array", "items": {"type": "array", "minItems": 1000}, "minItems": 1000},
        {"type": "string", "minLength": 10**12},
    ],
)
def test_an_endless_or_too_large_value_is_refused(schema):
    with pytest.raises(ServiceError, match=r"Invalid schema: .*(infinitely deep|more than)"):
        make(schema)


def test_words_repeat_endlessly_and_there_is_always_one():
    assert list(islice(word_cycle("one two"), 3)) == ["one", "two", "one"]
    assert next(word_cycle("…")) == "text"
