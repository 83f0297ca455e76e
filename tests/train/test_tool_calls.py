"""Tool calls are generated and read in the spelling of the model's own chat template."""

import json
import random

import pytest
from tests.train.tool_templates import TEMPLATES

pytest.importorskip("tokenizers", reason="needs tunesmith[train]")
llguidance = pytest.importorskip("llguidance", reason="needs tunesmith[train]")

from tunesmith.service.engines import EngineError, GenerationSpec, ToolCallSpec
from tunesmith.service.engines.transformers.chat_template import ChatTemplateError
from tunesmith.service.engines.transformers.tool_calls.grammar import write_grammar
from tunesmith.service.engines.transformers.tool_calls.reader import CallReader
from tunesmith.service.engines.transformers.tool_calls.schemas import value_types

WEATHER = {
    "name": "weather",
    "parameters": {
        "type": "object",
        "properties": {
            "city": {"type": "string"},
            "days": {"type": "integer"},
            "rain": {"type": "boolean"},
            "unit": {"enum": ["C", "F"]},
        },
        "required": ["city"],
        "additionalProperties": False,
    },
}
NESTED = {
    "name": "weather_of",
    "parameters": {
        "type": "object",
        "properties": {
            "cities": {"type": "array", "items": {"type": "string"}},
            "note": {"anyOf": [{"type": "string"}, {"type": "null"}]},
            "place": {"$ref": "#/$defs/place"},
        },
        "$defs": {"place": {"type": "object", "properties": {"x": {"type": "number"}}}},
    },
}
FUNCTIONS = [WEATHER, {"name": "now"}, NESTED]
ONE_CALL_A_TURN = {"llama 3"}
NO_TEXT_BEFORE_CALLS = {"llama 3", "mistral", "deepseek"}
NO_NESTED_ARGUMENTS = {"function gemma"}

CALLS = [
    ("weather", {"city": "Bonn"}),
    ("weather", {"city": 'B"\\ {x}: </y>\n', "days": 12, "rain": False, "unit": "F"}),
    ("now", {}),
]
NESTED_CALLS = [
    ("weather_of", {"cities": ["a<", "b"], "note": None, "place": {"x": 1.5}}),
    ("weather_of", {"note": "none"}),
]


class Model:
    """A tokenizer with the calls of its chat template."""

    def __init__(self, name, tokenizer):
        self.name = name
        self.tokenizer = tokenizer
        self.functions = FUNCTIONS[: 2 if name in NO_NESTED_ARGUMENTS else 3]
        self.format = tokenizer.tool_call_format
        self._vocabulary = llguidance.LLTokenizer(
            tokenizer.path.read_text(), n_vocab=tokenizer.size, eos_token=[*tokenizer.stop_ids]
        )

    def turn(self, content, *calls):
        """Return the text of a turn, as training rows teach it."""
        message = {"role": "assistant", "content": content}
        if calls:
            message["tool_calls"] = [
                {
                    "id": f"call_{number:024d}",
                    "type": "function",
                    "function": {"name": name, "arguments": json.dumps(arguments)},
                }
                for number, (name, arguments) in enumerate(calls)
            ]
        tools = [{"type": "function", "function": function} for function in FUNCTIONS]
        messages = [{"role": "user", "content": "?"}, message]
        conversation = self.tokenizer.begin(messages, tools)
        prompt, text = conversation.render(1, prompt=True), conversation.render(2)
        while not text.startswith(prompt):
            prompt = prompt[:-1]
        return self.tokenizer._cut_end(text.removeprefix(prompt))

    def matcher(self, functions=None, json_schema=None, **settings):
        calls = ToolCallSpec(self.functions if functions is None else functions, **settings)
        grammar = write_grammar(
            GenerationSpec(tool_calls=calls, json_schema=json_schema),
            self.format,
            self.tokenizer.split_special,
            self.tokenizer.special_ids - self.tokenizer.stop_ids,
        )
        matcher = llguidance.LLMatcher(self._vocabulary, grammar, log_level=0)
        assert not matcher.is_error(), matcher.get_error()
        return matcher

    def allows(self, text, **settings):
        matcher = self.matcher(**settings)
        ids = self.tokenizer.encode_rendered(text)
        return matcher.validate_tokens(ids) == len(ids) and (
            matcher.consume_tokens(ids) and matcher.is_accepting()
        )

    def read(self, text, size=1):
        reader = CallReader(self.format, self.functions)
        pieces = [reader.feed(text[start : start + size]) for start in range(0, len(text), size)]
        pieces.append(reader.flush())
        calls = []
        for delta in (delta for _, deltas in pieces for delta in deltas):
            if delta.name is not None:
                calls.append([delta.name, ""])
            calls[-1][1] += delta.arguments
        return "".join(content for content, _ in pieces), [tuple(call) for call in calls]


@pytest.fixture(scope="module")
def make_model(make_tokenizer):
    def make(name):
        template, special_tokens, stop = TEMPLATES[name]
        return Model(name, make_tokenizer(template, special_tokens, stop=(stop,)))

    return make


@pytest.fixture(scope="module", params=TEMPLATES)
def model(request, make_model):
    return make_model(request.param)


def parsed(calls):
    return [(name, json.loads(arguments)) for name, arguments in calls]


def test_learned_calls_are_allowed_and_read(model):
    for call in CALLS + (NESTED_CALLS if model.name not in NO_NESTED_ARGUMENTS else []):
        text = model.turn(None, call)
        for settings in ({}, {"is_required": True}, {"is_parallel": False}):
            assert model.allows(text, **settings)
        assert not model.allows(text, functions=[])
        for size in (1, 7, len(text)):
            content, calls = model.read(text, size)
            assert (content, parsed(calls)) == ("", [call])


def test_several_calls_are_allowed_if_the_template_writes_them(model):
    if model.name in ONE_CALL_A_TURN:
        assert model.format.between is None
        return
    text = model.turn(None, *CALLS, CALLS[2], CALLS[0])
    assert model.allows(text)
    assert not model.allows(text, is_parallel=False)
    content, calls = model.read(text)
    assert (content, parsed(calls)) == ("", [*CALLS, CALLS[2], CALLS[0]])


def test_text_may_come_before_calls_if_the_template_writes_it(model):
    if model.name in NO_TEXT_BEFORE_CALLS:
        assert model.format.gap is None
        return
    text = model.turn("Let me see <b>.", CALLS[0])
    assert model.allows(text)
    assert not model.allows(text, is_required=True)
    content, calls = model.read(text)
    assert content == f"{model.format.prefix}Let me see <b>."
    assert parsed(calls) == CALLS[:1]


def test_text_without_a_call_stays_text(model):
    for text in ("", model.turn("Hello."), "<tool", "{", "\n\n", '{"name": 5}'):
        assert model.allows(text)
        assert model.allows(text, functions=[])
        assert not model.allows(text, is_required=True)
        assert model.read(text) == (text, [])


def test_a_call_fits_the_schema_of_a_given_function(model):
    text = model.turn(None, CALLS[0])
    for old, new in (("weather", "whether"), ("city", "town")):
        assert not model.allows(text.replace(old, new))
    text = model.turn(None, CALLS[1])
    assert not model.allows(text.replace("12", "1.5"))


def test_a_call_that_is_cut_off_in_its_name_is_text(model):
    text = model.turn(None, CALLS[0])
    end = text.index("weather") + 3
    assert model.read(text[:end]) == (text[:end], [])


def test_arguments_that_are_cut_off_are_a_part_of_json(model):
    text = model.turn(None, CALLS[1])
    whole = model.read(text)[1][0][1]
    for end in range(text.index("weather") + len("weather"), len(text)):
        _, calls = model.read(text[:end])
        assert not calls or whole.startswith(calls[0][1])


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_any_allowed_text_is_read(model, seed):
    """Random texts of the grammar: each call is valid JSON for one of the functions."""
    import numpy as np

    rng = random.Random(seed)
    tokenizer, stop = model.tokenizer, model.tokenizer.stop_ids
    likely = [tokenizer.encode(char)[0] for char in '"}]<>/\na']
    for _ in range(10):
        matcher, ids = model.matcher(is_required=True), []
        for _ in range(300):
            bits = np.frombuffer(matcher.compute_bitmask(), dtype=np.uint8)
            allowed = np.flatnonzero(np.unpackbits(bits, bitorder="little")[: tokenizer.size])
            assert len(allowed)
            rest = [int(token) for token in allowed if token not in stop]
            if len(rest) < len(allowed) and (not rest or rng.random() < 0.2):
                _, calls = model.read(tokenizer.decode(ids))
                assert calls
                assert all(isinstance(values, dict) for _, values in parsed(calls))
                break
            preferred = [token for token in rest if token in likely]
            ids.append(rng.choice(preferred if preferred and rng.random() < 0.6 else rest))
            assert matcher.consume_token(ids[-1])


def test_llama_may_write_its_tag_before_a_call(make_model):
    model = make_model("llama 3")
    text = f"<|python_tag|>{model.turn(None, CALLS[0])}"
    assert model.allows(text)
    assert model.read(text)[0] == ""
    assert not model.allows("<|python_tag|>print(1)")


def test_ids_are_shortened_alike_for_calls_and_results(make_model):
    tokenizer = make_model("mistral").tokenizer
    call = {"id": "call_abc", "type": "function", "function": {"name": "now", "arguments": "{}"}}
    messages = [
        {"role": "user", "content": "Time?"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_abc", "content": "noon"},
    ]
    text = tokenizer.decode(tokenizer.encode_chat(messages))
    short = text.partition('"id": "')[2][:9]
    assert text.endswith(
        f'[TOOL_RESULTS] {{"content": "noon", "call_id": "{short}"}}[/TOOL_RESULTS]'
    )
    call["id"] = messages[2]["tool_call_id"] = "abcDEF123"
    assert tokenizer.decode(tokenizer.encode_chat(messages)).count("abcDEF123") == 2


def test_results_have_the_name_of_the_function(make_model):
    tokenizer = make_model("function gemma").tokenizer
    call = {"id": "1", "type": "function", "function": {"name": "now", "arguments": "{}"}}
    messages = [
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "1", "content": "noon"},
    ]
    assert "response:now{value:<escape>noon" in tokenizer.decode(tokenizer.encode_chat(messages))


def test_a_template_without_calls_has_no_format(make_tokenizer):
    template, special_tokens, stop = TEMPLATES["chatml"]
    without_calls = template.replace("m.tool_calls or []", "[]")
    without_tools = template.replace("if tools", "if false")
    for source in (without_calls, without_tools):
        tokenizer = make_tokenizer(source, special_tokens, stop=(stop,))
        assert tokenizer.tool_call_format is None


@pytest.mark.parametrize("expression", ["1 // (messages | length - 2)", "none.x.y", "[1].index(2)"])
def test_a_template_that_fails_has_no_format(make_tokenizer, expression):
    tokenizer = make_tokenizer("{{ " + expression + " }}")
    assert tokenizer.tool_call_format is None
    messages = [{"role": "user", "content": "Hi"}] * 2
    with pytest.raises(ChatTemplateError, match="chat template does not support the messages"):
        tokenizer.encode_chat(messages)


def test_content_of_a_schema_may_stand_in_place_of_calls(make_model):
    model = make_model("chatml")
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
    assert model.allows('{"a": 1}', json_schema=schema)
    assert model.allows(model.turn(None, CALLS[0]), json_schema=schema)
    assert not model.allows("Hello.", json_schema=schema)


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        (
            "chatml",
            {"properties": {"a": {"type": "array", "uniqueItems": True}}},
            r"Invalid schema for function 'f': Unimplemented keys: \[\"uniqueItems\"\]",
        ),
        ("glm", {"properties": {"a": {"not": {}}}}, r"argument 'a' of function 'f': .*\"not\""),
        (
            "chatml",
            {"type": "string"},
            r"function 'f': schema must be a JSON Schema of 'type: \"ob",
        ),
        ("function gemma", {"properties": {"a": {"type": "array"}}}, "does not write lists"),
    ],
)
def test_schemas_that_cannot_be_kept_are_errors(name, parameters, message, make_model):
    with pytest.raises(EngineError, match=message) as caught:
        make_model(name).matcher([{"name": "f", "parameters": parameters}])
    assert caught.value.param == "tools"


ANYTHING = {"array", "boolean", "integer", "null", "number", "object", "string"}
LOOP = {"anyOf": [{"$ref": "#/$defs/loop"}] * 8}


@pytest.mark.parametrize(("schema", "types"), [
    ({}, ANYTHING),
    ({"type": ["string", "null"]}, {"string", "null"}),
    ({"enum": [1, 1.5, None]}, {"integer", "number", "null"}),
    ({"anyOf": [{"type": "string"}, {"const": True}]}, {"string", "boolean"}),
    ({"anyOf": [True, {"type": "string"}]}, ANYTHING),
    ({"oneOf": [False, {"type": "string"}]}, {"string"}),
    ({"allOf": [True, {"type": "string"}]}, {"string"}),
    ({"$ref": "#/$defs/day", "$defs": {"day": {"type": "integer"}}}, {"integer"}),
    ({"$ref": "#/$defs/none"}, ANYTHING),
    ({**LOOP, "$defs": {"loop": LOOP}}, ANYTHING),
])  # fmt: skip
def test_types_of_arguments_are_those_that_their_schema_allows(schema, types):
    assert value_types(schema) == types
