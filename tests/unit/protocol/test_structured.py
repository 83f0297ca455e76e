"""Classes as schemas, and answers as their objects."""

import re
import sys
import typing
from dataclasses import dataclass
from typing import Annotated, Any, Generic, Literal, TypeVar

import pytest
from pydantic import BaseModel, ConfigDict, Field, RootModel
from typing_extensions import TypedDict

from tunesmith.errors import InvalidRequestError, InvalidResponseError
from tunesmith.operations.chat import CreateChatCompletion
from tunesmith.protocol.structured import (
    json_schema_format,
    parse_completion,
    parse_message,
    pydantic_function_tool,
)
from tunesmith.types.base import attach_response
from tunesmith.types.chat import ChatCompletion, ChatCompletionMessage
from tunesmith.types.response import ResponseInfo

T = TypeVar("T")
USER = {"role": "user", "content": "What is a noumenon?"}


class Term(BaseModel):
    """A term of philosophy."""

    word: str
    meaning: str | None = None


class Work(BaseModel):
    title: str = Field(default="Critique", description="As on the title page.")
    main_term: Term = Field(description="The term that it is about.")
    terms: list[Term] = []


class Chapter(BaseModel):
    title: str
    chapters: list["Chapter"]


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")

    default: str


class Cat(BaseModel):
    kind: Literal["cat"]


class Dog(BaseModel):
    kind: Literal["dog"]


class Pet(BaseModel):
    animal: Cat | Dog = Field(discriminator="kind")


class Answer(BaseModel, Generic[T]):
    value: T


class Index(BaseModel):
    pages: dict[str, int]


class Page(BaseModel):
    notes: list[dict[str, Any]]


class Terms(RootModel[list[Term]]):
    pass


def schema_of(model):
    return json_schema_format(model)["json_schema"]["schema"]


def objects_in(schema):
    if isinstance(schema, dict):
        if schema.get("type") == "object":
            yield schema
        for value in schema.values():
            yield from objects_in(value)
    elif isinstance(schema, list):
        for each in schema:
            yield from objects_in(each)


def test_a_class_is_sent_as_a_strict_schema_with_its_name():
    wanted = json_schema_format(Term)
    assert wanted["type"] == "json_schema"
    assert wanted["json_schema"]["name"] == "Term"
    assert wanted["json_schema"]["strict"] is True
    assert wanted["json_schema"]["schema"]["description"] == "A term of philosophy."


@pytest.mark.parametrize("model", [Term, Work, Chapter, Open, Pet, Answer[int]])
def test_objects_have_all_their_fields_and_no_others(model):
    objects = list(objects_in(schema_of(model)))
    assert objects
    for each in objects:
        assert each["required"] == list(each["properties"])
        assert each["additionalProperties"] is False


def test_defaults_are_not_sent_as_every_field_is_answered():
    title = schema_of(Work)["properties"]["title"]
    assert "default" not in title
    assert title["description"] == "As on the title page."


def test_a_field_named_default_stays():
    assert list(schema_of(Open)["properties"]) == ["default"]


def test_a_reference_stands_alone_and_its_description_beside_it():
    term = schema_of(Work)["properties"]["main_term"]
    assert term == {
        "anyOf": [{"$ref": "#/$defs/Term"}],
        "description": "The term that it is about.",
    }


def test_a_class_that_contains_itself_begins_with_the_object():
    schema = schema_of(Chapter)
    assert schema["type"] == "object"
    assert schema["properties"]["chapters"]["items"] == {"$ref": "#/$defs/Chapter"}
    assert schema["$defs"]["Chapter"]["additionalProperties"] is False


def test_alternatives_are_written_the_one_way_that_the_api_knows():
    animal = schema_of(Pet)["properties"]["animal"]
    assert animal["anyOf"] == [{"$ref": "#/$defs/Cat"}, {"$ref": "#/$defs/Dog"}]
    assert not {"oneOf", "discriminator"} & set(animal)


def test_a_name_has_only_characters_that_the_api_takes():
    assert json_schema_format(Answer[int])["json_schema"]["name"] == "Answer_int_"
    long = type("T" * 80, (Term,), {})
    assert json_schema_format(long)["json_schema"]["name"] == "T" * 64


@pytest.mark.parametrize("model", [Term, Work, Chapter])
def test_a_schema_is_a_response_format_that_the_operation_takes(model):
    wanted = json_schema_format(model)
    asked = CreateChatCompletion(model="m", messages=[USER], response_format=wanted)
    assert asked.response_format == wanted


class Box(BaseModel):
    corners: tuple[int, int]


class Loose(BaseModel):
    anything: Any


class Bare(BaseModel):
    items: list


class Boxes(BaseModel):
    boxes: list[Box]


class Flight(BaseModel):
    seat: tuple[int, str] | None


class Nothing(BaseModel):
    values: tuple[()]


USE_A_CLASS = "use a list or another class"
ANNOTATE = "annotate it with a type other than Any"


@pytest.mark.parametrize(
    ("model", "problem", "fix"),
    [
        (Box, "Box.corners is a tuple", USE_A_CLASS),
        (Boxes, "Box.corners is a tuple", USE_A_CLASS),
        (Flight, "Flight.seat is a tuple", USE_A_CLASS),
        (Nothing, "Nothing.values[] has no type", ANNOTATE),
        (Loose, "Loose.anything has no type", ANNOTATE),
        (Bare, "Bare.items[] has no type", ANNOTATE),
        (Index, "Index.pages is a mapping", "use a list of objects with a key and a value"),
        (Page, "Page.notes[] is a mapping", "use a list of objects with a key and a value"),
    ],
)
@pytest.mark.parametrize(
    ("convert", "param"),
    [(json_schema_format, "response_format"), (pydantic_function_tool, "tools")],
)
def test_a_field_that_strict_schemas_cannot_express_is_named(model, problem, fix, convert, param):
    with pytest.raises(InvalidRequestError) as refused:
        convert(model)
    assert str(refused.value) == f"{problem}, which strict schemas cannot express: {fix}"
    assert refused.value.param == param


def test_a_class_without_fields_is_an_object_without_properties():
    """As of a tool without parameters."""

    class Empty(BaseModel):
        pass

    assert json_schema_format(Empty)["json_schema"]["schema"] == {
        "title": "Empty",
        "type": "object",
        "properties": {},
        "required": [],
        "additionalProperties": False,
    }


class Cat(BaseModel):
    kind: Literal["cat"]


class Dog(BaseModel):
    kind: Literal["dog"]


class Zoo(BaseModel):
    animals: list[Annotated[Cat | Dog, Field(discriminator="kind")]]


def test_items_that_are_told_apart_by_a_field_are_any_of_their_classes():
    schema = json_schema_format(Zoo)["json_schema"]["schema"]
    assert schema["properties"]["animals"]["items"] == {
        "anyOf": [{"$ref": "#/$defs/Cat"}, {"$ref": "#/$defs/Dog"}]
    }


@dataclass
class TermRecord:
    word: str


class TermDict(TypedDict):
    word: str


@pytest.mark.parametrize(
    ("model", "value"), [(TermRecord, TermRecord("x")), (TermDict, {"word": "x"})]
)
def test_dataclasses_and_typed_dicts_are_parsed_too(model, value):
    assert json_schema_format(model)["json_schema"]["name"] == model.__name__
    assert parse_message(model, ChatCompletionMessage(content='{"word": "x"}')) == value


class Place(typing.TypedDict):
    name: str


class Journey(typing.TypedDict, total=False):
    """A journey."""

    places: typing.Required[list[Place]]
    start: Place | None
    kind: Annotated[Literal["day", "week"], Field(description="Its length.")]


def test_typed_dicts_of_the_standard_library_are_accepted_on_every_python():
    schema = json_schema_format(Journey)["json_schema"]["schema"]
    assert schema["required"] == ["places", "start", "kind"]
    assert schema["description"] == "A journey."
    assert schema["properties"]["kind"]["description"] == "Its length."
    content = '{"places": [{"name": "Königsberg"}]}'
    parsed = parse_message(Journey, ChatCompletionMessage(content=content))
    assert parsed == {"places": [{"name": "Königsberg"}]}
    with pytest.raises(InvalidResponseError, match=r"places\.0\.name: Field required"):
        parse_message(Journey, ChatCompletionMessage(content='{"places": [{}]}'))


class Tree(typing.TypedDict):
    branches: list["Tree"]


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="pydantic accepts it since Python 3.12")
def test_a_recursive_typed_dict_is_an_error_that_names_the_way_out():
    with pytest.raises(InvalidRequestError, match=r"Tree must be .* `typing_extensions.TypedDict`"):
        json_schema_format(Tree)


class Plain:
    pass


@pytest.mark.parametrize(
    "model", [Plain, {"type": "json_object"}, Term(word="x"), None, list[Term]]
)
def test_other_values_than_classes_of_objects_are_refused(model):
    with pytest.raises(InvalidRequestError, match="must be") as refused:
        json_schema_format(model)
    assert refused.value.param == "response_format"


@pytest.mark.parametrize(
    ("value", "name", "reason"),
    [
        (Plain, "Plain", "Unable to generate pydantic-core schema for .*"),
        (Term(word="x"), "word='x' meaning=None", "unhashable type: 'Term'"),
    ],
)
def test_the_reason_why_a_value_has_no_schema_is_one_line(value, name, reason):
    with pytest.raises(InvalidRequestError) as refused:
        json_schema_format(value)
    assert re.fullmatch(
        f"{name} must be a pydantic model, dataclass or TypedDict: {reason}",
        str(refused.value),
    )


def test_text_parts_are_parsed_without_reasoning():
    message = ChatCompletionMessage()
    parts = [{"type": "thinking", "thinking": "{"}, {"type": "text", "text": '{"word": "x"}'}]
    message.__dict__["content"] = parts
    assert parse_message(Term, message).word == "x"


def test_an_answer_that_is_no_object_is_refused():
    with pytest.raises(InvalidRequestError, match="Terms must be an object") as refused:
        json_schema_format(Terms)
    assert refused.value.param == "response_format"


def test_a_tool_takes_its_name_and_description_from_the_class():
    function = pydantic_function_tool(Term)["function"]
    assert (function["name"], function["description"]) == ("Term", "A term of philosophy.")
    assert function["strict"] is True
    assert function["parameters"]["required"] == ["word", "meaning"]
    assert "description" not in pydantic_function_tool(Cat)["function"]


def test_a_tool_may_have_another_name_and_description():
    tool = pydantic_function_tool(Term, name="explain", description="Explain a term.")
    assert tool["function"]["name"] == "explain"
    assert tool["function"]["description"] == "Explain a term."
    assert CreateChatCompletion(model="m", messages=[USER], tools=[tool]).tools == [tool]


def test_a_message_is_read_as_an_object():
    message = ChatCompletionMessage(content='{"word": "noumenon", "meaning": null}')
    assert parse_message(Term, message) == Term(word="noumenon")


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ({"refusal": "I cannot."}, "refused to answer: I cannot."),
        ({}, "no content to parse as Term"),
        ({"content": "A noumenon is"}, "not a valid Term: the content: Invalid JSON"),
        ({"content": '{"meaning": "x"}'}, "not a valid Term: word: Field required"),
    ],
)
def test_a_message_that_is_no_such_object_is_an_error_that_says_why(message, words):
    with pytest.raises(InvalidResponseError, match=words) as refused:
        parse_message(Term, ChatCompletionMessage(**message))
    assert refused.value.excerpt == (message.get("refusal") or message.get("content", ""))


def completion(**message):
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant"} | message}
    return ChatCompletion.model_validate({"id": "chatcmpl-1", "choices": [choice], "extra": 1})


def test_the_answers_are_read_and_keep_all_that_came_with_them():
    answer = completion(content='{"word": "noumenon"}', reasoning_content="Hm.")
    parsed = parse_completion(Term, answer)
    assert parsed.choices[0].message.parsed == Term(word="noumenon")
    assert parsed.choices[0].message.reasoning_content == "Hm."
    assert (parsed.id, parsed.extra) == ("chatcmpl-1", 1)
    assert parsed.model_dump()["choices"][0]["message"]["parsed"]["word"] == "noumenon"
    assert parsed.model_fields_set == {"id", "choices", "extra"}


def test_the_answers_know_their_response():
    answer = completion(content='{"word": "noumenon"}')
    info = ResponseInfo(status=200, headers={"x-request-id": "req_1"})
    attach_response(answer, info)
    assert parse_completion(Term, answer).response is info


@pytest.mark.parametrize(
    "message",
    [
        {"refusal": "I cannot."},
        {"tool_calls": [{"id": "call_1", "function": {"name": "weather"}}]},
        {"content": None},
    ],
)
def test_refusals_and_calls_are_left_unread(message):
    parsed = parse_completion(Term, completion(**message))
    assert parsed.choices[0].message.parsed is None


@pytest.mark.parametrize("reason", ["length", "content_filter"])
@pytest.mark.parametrize("content", ['{"word": "nou', None])
def test_an_answer_that_was_cut_off_says_so(reason, content):
    answer = completion(content=content)
    answer.choices[0].finish_reason = reason
    with pytest.raises(InvalidResponseError) as caught:
        parse_completion(Term, answer)
    assert str(caught.value) == (
        f"The message is incomplete and cannot be parsed as Term: it ended with '{reason}'"
    )
    assert caught.value.excerpt == (content or "")


def test_a_parsed_message_can_be_sent_back():
    message = parse_completion(Term, completion(content='{"word": "noumenon"}')).choices[0].message
    asked = CreateChatCompletion(model="m", messages=[USER, message])
    assert asked.messages[1] == {"role": "assistant", "content": '{"word": "noumenon"}'}
