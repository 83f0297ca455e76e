"""That a stream, put together, is the answer that would have come without one."""

import pytest
from hypothesis import given, strategies as st

from tunesmith.protocol.accumulate import (
    ChatCompletionAccumulator,
    CompletionAccumulator,
    accumulate,
)
from tunesmith.protocol.json import validate_leniently
from tunesmith.types.base import Page
from tunesmith.types.chat import ChatCompletion, ChatCompletionChunk
from tunesmith.types.completions import Completion
from tunesmith.types.fine_tunes import FineTuneEvent
from tunesmith.types.responses import Response, ResponseStreamEvent

FRAME = {"id": "cmpl-1", "created": 1, "model": "davinci-002", "system_fingerprint": "fp_1"}

texts = st.text(max_size=12)
names = st.text("abc_", min_size=1, max_size=5)
numbers = st.integers(0, 99)
usages = st.none() | st.builds(
    lambda a, b: {"completion_tokens": a, "prompt_tokens": b, "total_tokens": a + b},
    numbers,
    numbers,
)
finish_reasons = st.sampled_from(["stop", "length", "tool_calls", "eos_token"])
probabilities = st.floats(-20, 0)


def optional(**fields):
    """Mappings of some of the fields."""
    return st.fixed_dictionaries({}, optional=fields)


token_logprobs = st.fixed_dictionaries({"token": texts, "logprob": probabilities})
function_calls = st.fixed_dictionaries({"name": names, "arguments": texts})
tool_calls = st.one_of(
    st.fixed_dictionaries({"id": names, "type": st.just("function"), "function": function_calls}),
    st.fixed_dictionaries(
        {
            "id": names,
            "type": st.just("custom"),
            "custom": st.fixed_dictionaries({"name": names, "input": texts}),
        }
    ),
)
messages = optional(
    content=texts,
    refusal=texts,
    reasoning_content=texts,
    audio=st.fixed_dictionaries({"id": names, "data": texts, "expires_at": numbers}),
    function_call=function_calls,
    tool_calls=st.lists(tool_calls, min_size=1, max_size=3),
)
chat_choices = st.tuples(
    messages,
    finish_reasons,
    optional(
        logprobs=optional(content=st.lists(token_logprobs), refusal=st.lists(token_logprobs)),
        stop_reason=numbers,
    ),
).map(
    lambda drawn: (
        {"message": {"role": "assistant", **drawn[0]}, "finish_reason": drawn[1]} | drawn[2]
    )
)
completion_choices = st.fixed_dictionaries(
    {"text": texts, "finish_reason": finish_reasons},
    optional={
        "logprobs": st.lists(st.tuples(texts, st.none() | probabilities, numbers)).map(
            lambda tokens: {
                "tokens": [token for token, _, _ in tokens],
                "token_logprobs": [logprob for _, logprob, _ in tokens],
                "top_logprobs": [
                    None if logprob is None else {token: logprob} for token, logprob, _ in tokens
                ],
                "text_offset": [offset for _, _, offset in tokens],
            }
        )
    },
)


def answers(choices):
    def build(drawn, usage):
        numbered = [{**choice, "index": index} for index, choice in enumerate(drawn)]
        return {**FRAME, "choices": numbered, "usage": usage}

    return st.builds(build, st.lists(choices, max_size=3), usages)


def cut(value, chance):
    """Pieces of a text or a list: at least one, some of them empty."""
    places = sorted(chance.randint(0, len(value)) for _ in range(chance.randint(0, 3)))
    return [value[a:b] for a, b in zip([0, *places], [*places, len(value)], strict=True)]


def shuffled(queues, chance):
    """All items of several lists, those of each list in their order."""
    queues = [list(queue) for queue in queues]
    while waiting := [queue for queue in queues if queue]:
        yield chance.choice(waiting).pop(0)


def pieces_of_call(call, chance):
    """A named call: the name comes first, the text in pieces."""
    (text,) = call.keys() - {"name"}
    pieces = [{text: piece} for piece in cut(call[text], chance)]
    return [{"name": call["name"], **pieces[0]}, *pieces[1:]]


def pieces_of_tool_call(index, call, chance):
    kind = call["type"]
    pieces = [{"index": index, kind: each} for each in pieces_of_call(call[kind], chance)]
    return [{**pieces[0], "id": call["id"], "type": kind}, *pieces[1:]]


def deltas(message, chance):
    queues = []
    for name, value in message.items():
        if name == "role":
            queues.append([{"role": value}])
        elif name == "function_call":
            queues.append([{name: piece} for piece in pieces_of_call(value, chance)])
        elif name == "tool_calls":
            calls = [pieces_of_tool_call(i, call, chance) for i, call in enumerate(value)]
            queues.append([{name: [piece]} for piece in shuffled(calls, chance)])
        elif name == "audio":
            start = {key: value[key] for key in ("id", "expires_at")}
            queues.append(
                [{name: start}, *({name: {"data": d}} for d in cut(value["data"], chance))]
            )
        else:
            queues.append([{name: piece} for piece in cut(value, chance)])
    return shuffled(queues, chance)


def pieces_of_lists(lists, chance):
    """Pieces of lists of which all have a part in each piece, or none."""
    length = max(map(len, lists.values()), default=0)
    for indices in cut(range(length), chance):
        yield {name: values[indices.start : indices.stop] for name, values in lists.items()}


def chunks(answer, chance):
    queues = []
    for choice in answer["choices"]:
        index = {"index": choice["index"]}
        pieces = [{"delta": delta} for delta in deltas(choice["message"], chance)]
        scores = choice.get("logprobs")
        if scores is not None:
            scored = pieces_of_lists(scores, chance)
            pieces = shuffled([pieces, [{"delta": {}, "logprobs": s} for s in scored]], chance)
        last = {key: choice[key] for key in ("finish_reason", "stop_reason") if key in choice}
        queues.append([index | piece for piece in [*pieces, {"delta": {}} | last]])
    for choice in shuffled(queues, chance):
        yield FRAME | {"choices": [choice], "usage": None, "obfuscation": "x"}
    yield FRAME | {"choices": [], "usage": answer["usage"], "obfuscation": ""}


def completions(answer, chance):
    queues = []
    for choice in answer["choices"]:
        index = {"index": choice["index"]}
        pieces = [{"text": piece} for piece in cut(choice["text"], chance)]
        if "logprobs" in choice:
            scored = pieces_of_lists(choice["logprobs"], chance)
            pieces = shuffled([pieces, [{"text": "", "logprobs": s} for s in scored]], chance)
        last = {"text": "", "finish_reason": choice["finish_reason"]}
        queues.append([index | piece for piece in [*pieces, last]])
    for choice in shuffled(queues, chance):
        yield FRAME | {"choices": [choice], "usage": None}
    yield FRAME | {"choices": [], "usage": answer["usage"]}


@pytest.mark.slow
@given(answers(chat_choices), st.randoms(use_true_random=False))
def test_however_a_chat_answer_is_cut_it_comes_to_the_same(answer, chance):
    stream = [ChatCompletionChunk.model_validate(each) for each in chunks(answer, chance)]
    assert accumulate(ChatCompletion, stream) == ChatCompletion.model_validate(answer)


@pytest.mark.slow
@given(answers(completion_choices), st.randoms(use_true_random=False))
def test_however_a_completion_is_cut_it_comes_to_the_same(answer, chance):
    stream = [Completion.model_validate(each) for each in completions(answer, chance)]
    assert accumulate(Completion, stream) == Completion.model_validate(answer)


def chat_of(*choices, **frame):
    pieces = ChatCompletionAccumulator()
    for choice in choices:
        pieces.add(validate_leniently(ChatCompletionChunk, FRAME | frame | {"choices": [choice]}))
    return pieces.result()


def message_of(*deltas):
    return chat_of(*({"delta": delta} for delta in deltas)).choices[0].message


def tool_calls_of(*pieces):
    calls = message_of(*({"tool_calls": [piece]} for piece in pieces)).tool_calls
    return [(call.id, call.function.name, call.function.arguments) for call in calls]


def test_a_message_without_content_has_none():
    assert message_of({"role": "assistant", "content": None}).content is None
    assert message_of({"role": "assistant", "content": ""}).content == ""


def test_unknown_fields_of_a_message_are_joined():
    message = message_of(
        {"reasoning_content": "Space ", "notes": [1], "more": {"seen": "a"}},
        {"reasoning_content": "is …", "notes": [2], "more": {"seen": "b", "sum": 3}},
    )
    assert message.reasoning_content == "Space is …"
    assert message.notes == [1, 2]
    assert message.more == {"seen": "ab", "sum": 3}


def test_a_text_that_goes_on_in_parts_becomes_a_list_of_parts():
    content = message_of(
        *({"content": piece} for piece in ("Space ", "is", [{"type": "refusal"}], " …", ["x"], "!"))
    ).content
    assert content == [
        {"type": "text", "text": "Space is"},
        {"type": "refusal"},
        {"type": "text", "text": " …"},
        "x",
        {"type": "text", "text": "!"},
    ]


def test_items_of_a_list_are_joined_by_their_index():
    """As OpenRouter streams what a model thinks."""
    details = [
        {"index": 0, "type": "reasoning.text", "text": "Space "},
        {"index": 1, "type": "reasoning.summary", "summary": "Kant"},
        {"index": 0, "type": "reasoning.text", "text": "is …"},
    ]
    message = message_of(*({"reasoning_details": [detail]} for detail in details))
    assert message.reasoning_details == [details[0] | {"text": "Space is …"}, details[1]]


def test_the_last_text_of_a_choice_that_is_not_empty_counts():
    choice = chat_of(
        *({"delta": {}, "finish_reason": reason} for reason in ("", "length", "stop", "")),
        {"delta": {}, "native_finish_reason": ""},
    ).choices[0]
    assert (choice.finish_reason, choice.native_finish_reason) == ("stop", "")


def test_a_role_that_is_repeated_is_one_role():
    assert message_of({"role": "assistant"}, {"role": "assistant"}).role == "assistant"


def test_an_id_and_a_name_that_are_repeated_are_the_same_call():
    """As llama-cpp-python streams."""
    first = {"index": 0, "id": "call_1", "function": {"name": "weather", "arguments": '{"a'}}
    second = {"index": 0, "id": "call_1", "function": {"name": "weather", "arguments": '":1}'}}
    assert tool_calls_of(first, second) == [("call_1", "weather", '{"a":1}')]


def test_calls_without_an_index_are_told_apart_by_their_ids():
    """As some servers stream that send each call whole."""
    first = {"id": "call_1", "function": {"name": "weather", "arguments": "{}"}}
    second = {"id": "call_2", "function": {"name": "time", "arguments": "{}"}}
    assert tool_calls_of(first, second) == [("call_1", "weather", "{}"), ("call_2", "time", "{}")]


def test_an_id_that_changes_without_a_name_is_the_same_call():
    """As some servers stream that make an id for each piece."""
    first = {"index": 0, "id": "call_1", "function": {"name": "weather", "arguments": "{"}}
    second = {"index": 0, "id": "call_2", "function": {"arguments": "}"}}
    assert tool_calls_of(first, second) == [("call_1", "weather", "{}")]


@pytest.mark.parametrize("names", [("wea", "ther"), ("wea", "weather"), ("", "weather", "")])
def test_a_name_comes_in_pieces_or_grows(names):
    pieces = ({"index": 0, "id": "call_1", "function": {"name": name}} for name in names)
    assert tool_calls_of(*pieces) == [("call_1", "weather", "")]


def test_an_id_that_comes_late_belongs_to_the_call_that_has_none():
    first = {"index": 0, "function": {"name": "weather", "arguments": "{"}}
    rest = {"index": 0, "id": "call_1", "function": {"arguments": "}"}}
    second = {"index": 0, "id": "call_2", "function": {"name": "time", "arguments": "{}"}}
    assert tool_calls_of(first, rest, second) == [
        ("call_1", "weather", "{}"),
        ("call_2", "time", "{}"),
    ]


@pytest.mark.parametrize("kind", ["function", "custom"])
def test_a_tool_call_has_the_fields_of_its_kind(kind):
    text = "arguments" if kind == "function" else "input"
    call = {"id": "call_1", "type": kind, kind: {"name": "weather", text: "{}"}}
    (found,) = message_of({"tool_calls": [{"index": 0, **call}]}).tool_calls
    assert found.model_dump() == call


def test_a_call_that_broke_off_before_its_function_has_an_empty_one():
    assert tool_calls_of({"index": 0, "id": "call_1"}) == [("call_1", "", "")]


def test_calls_stand_in_the_order_of_their_indices():
    later = {"index": 1, "id": "call_2", "function": {"name": "b"}}
    sooner = {"index": 0, "id": "call_1", "function": {"name": "a"}}
    assert tool_calls_of(later, sooner) == [("call_1", "a", ""), ("call_2", "b", "")]


def test_choices_stand_in_the_order_of_their_indices():
    answer = chat_of(
        {"index": 1, "delta": {"content": "b"}}, {"index": 0, "delta": {"content": "a"}}
    )
    assert [choice.message.content for choice in answer.choices] == ["a", "b"]


def test_a_stream_that_broke_off_gives_what_there_was():
    answer = chat_of({"delta": {"content": "Space is"}})
    assert answer.choices[0].message.content == "Space is"
    assert answer.choices[0].finish_reason is None


def test_the_answer_goes_on_growing():
    pieces = CompletionAccumulator()
    seen = []
    for text in ("Space", " is"):
        pieces.add(Completion.model_validate(FRAME | {"choices": [{"text": text}]}))
        seen.append(pieces.result().choices[0].text)
    assert seen == ["Space", "Space is"]


def test_the_first_name_and_the_last_usage_count():
    """Azure begins with an event that has no id, and other servers tell the usage as it grows."""
    pieces = ChatCompletionAccumulator()
    for answer_id, tokens in (("", None), ("chatcmpl-1", 1), ("chatcmpl-2", 2)):
        usage = tokens and {"completion_tokens": tokens}
        pieces.add(
            ChatCompletionChunk(id=answer_id, choices=[], usage=usage, service_tier="default")
        )
    answer = pieces.result()
    assert (answer.id, answer.service_tier) == ("chatcmpl-1", "default")
    assert answer.usage.completion_tokens == 2


def test_padding_is_no_part_of_an_answer():
    assert "obfuscation" not in chat_of({"delta": {}}, obfuscation="xyz").model_dump()


def test_events_that_are_objects_of_their_own_come_to_a_page():
    events = [FineTuneEvent(message=message) for message in ("Created", "Started")]
    assert accumulate(Page[FineTuneEvent], events).data == events


def test_the_last_response_of_a_stream_counts():
    events = [
        ResponseStreamEvent(type="response.created", response=Response(id="resp_1")),
        ResponseStreamEvent(type="response.completed", response=Response(id="resp_1", model="m")),
        ResponseStreamEvent(type="response.output_text.delta"),
    ]
    assert accumulate(Response, events).model == "m"
    assert accumulate(Response, []) == Response(id="")
