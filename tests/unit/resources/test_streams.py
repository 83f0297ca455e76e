"""Streams: complete or an error, whatever services send."""

import json
from itertools import pairwise

import pytest
from tests.unit.calls.conftest import Script, answer

from tunesmith import errors
from tunesmith.errors import BackendError

pytestmark = pytest.mark.anyio

DONE = b"data: [DONE]\n\n"
MESSAGES = [{"role": "user", "content": "Hello?"}]


def sse(*events):
    return [
        event if isinstance(event, bytes) else b"data: " + json.dumps(event).encode() + b"\n\n"
        for event in events
    ]


def chunk(content=None, finish_reason=None, index=0, **fields):
    delta = {} if content is None else {"content": content}
    choice = {"index": index, "delta": delta, "finish_reason": finish_reason}
    return {
        "id": "c",
        "object": "chat.completion.chunk",
        "model": "m",
        "choices": [choice],
    } | fields


BEGIN, END = chunk("Hel"), chunk("lo", "stop")


async def read(*events, **headers):
    """The events of a stream and the final response."""
    backend = Script(answer(sse(*events), **headers))
    completions = backend.client(max_retries=0).chat.completions
    async with completions.stream(model="m", messages=MESSAGES) as stream:
        received = [event async for event in stream]
        return received, await stream.final_response()


async def text(*events, **headers):
    _, completion = await read(*events, **headers)
    return completion.choices[0].message.content


@pytest.mark.parametrize(
    "event",
    [
        chunk("", "error", error={"code": 502, "message": "Disconnected"}),
        {"id": "c", "choices": [], "error": {"code": 502, "message": "Disconnected"}},
        {"id": "c", "choices": [], "error": "Disconnected"},
        {"error": {"message": "Disconnected"}},
        {"choices": [{"index": 0, "error": {"message": "Disconnected"}}]},
        b'event: error\ndata: {"choices": [], "message": "Disconnected"}\n\n',
        b"event: error\ndata: Disconnected\n\n",
        b"event: Error\ndata: Disconnected\n\n",
        {"object": "error", "message": "Disconnected", "code": 502},
        [{"error": {"message": "Disconnected"}}],
        b'{"error": {"message": "Disconnected"}}\n\n',
    ],
)
@pytest.mark.parametrize("done", [DONE, b""])
async def test_an_event_with_an_error_is_an_error_whatever_else_it_holds(event, done):
    with pytest.raises(errors.StreamError, match="Disconnected") as caught:
        await read(BEGIN, event, done, x_request_id="req_1")
    error = caught.value
    assert (error.operation, error.attempts) == ("chat.completions.create", 1)
    assert error.request_id == "req_1"


async def test_a_finish_reason_of_error_is_an_error():
    with pytest.raises(errors.StreamError, match="ended with an error"):
        await read(BEGIN, chunk("", "error"), DONE)


async def test_null_is_no_error():
    assert await text(BEGIN, chunk("lo", "stop", error=None)) == "Hello"
    assert await text(BEGIN, chunk(' said "error"', "stop")) == 'Hel said "error"'


@pytest.mark.parametrize(
    "keep_alive",
    [
        b"data:\n\n",
        b"data: \n\n",
        b"data: {}\n\n",
        b"data: []\n\n",
        b"data: null\n\n",
        b'data: ""\n\n',
        b"data: ping\n\n",
        b": ping\n\n",
        b"event: ping\ndata:\n\n",
        b"event: ping\ndata: {}\n\n",
        b'event: ping\ndata: {"type": "ping"}\n\n',
        b'data: {"type": "ping"}\n\n',
        b"data: : OPENROUTER PROCESSING\n\n",
        b"data: [PING]\n\n",
        b"data: keep-alive\n\n",
    ],
)
@pytest.mark.parametrize("position", [0, 1, 2])
async def test_events_that_carry_nothing_are_skipped(keep_alive, position):
    events = [BEGIN, END]
    events.insert(position, keep_alive)
    for chunks in ([*events, DONE], [b"".join(sse(*events))]):
        received, completion = await read(*chunks)
        assert len(received) == 2
        assert completion.choices[0].message.content == "Hello"
        assert completion.response.status == 200


@pytest.mark.parametrize(
    "end",
    [
        {"choices": [{"index": 0, "delta": None, "finish_reason": "stop"}]},
        {"choices": [{"index": 0, "finish_reason": "stop"}]},
        {"choices": [{"index": None, "delta": {}, "finish_reason": "stop"}]},
    ],
)
async def test_a_chunk_may_lack_what_it_does_not_change(end):
    _, completion = await read(chunk("Hello"), end)
    (choice,) = completion.choices
    assert (choice.message.content, choice.finish_reason) == ("Hello", "stop")


async def test_a_stream_without_terminator_is_complete_when_all_choices_ended():
    usage = {"id": "c", "choices": [], "usage": {"total_tokens": 3}}
    assert await text(chunk("Hello"), chunk("", "stop"), usage) == "Hello"
    assert await text(chunk("Hello", "stop"), chunk("", None)) == "Hello"


@pytest.mark.parametrize(
    "events",
    [
        [chunk("Yes.", index=0), chunk("The", index=1), chunk("", "stop", index=0)],
        [BEGIN],
        [{"id": "c", "choices": [], "usage": {"total_tokens": 3}}],
    ],
)
async def test_a_stream_without_terminator_is_interrupted_while_a_choice_is_open(events):
    with pytest.raises(errors.StreamInterruptedError, match=r"it ended before the response was"):
        await read(*events)


async def test_a_terminator_ends_a_stream_whatever_is_open():
    assert await text(BEGIN, DONE, END) == "Hel"


async def test_events_of_a_fine_tune_need_a_terminator():
    event = {"object": "fine-tune-event", "message": "Created"}
    for end, is_complete in ((DONE, True), (b"", False)):
        backend = Script(answer(sse(event, end)))
        async with backend.client().fine_tunes.stream_events("ft-1") as stream:
            if is_complete:
                assert [event.message async for event in stream] == ["Created"]
            else:
                with pytest.raises(errors.StreamInterruptedError):
                    [event async for event in stream]


@pytest.mark.parametrize(
    ("events", "kind"),
    [
        ([BEGIN], errors.StreamInterruptedError),
        ([BEGIN, {"error": {"message": "overloaded"}}], errors.StreamError),
        ([BEGIN, b"data: <html>\n\n"], errors.InvalidResponseError),
        ([BEGIN, BackendError("reset", phase="read")], errors.StreamInterruptedError),
        ([BEGIN, BackendError("late", phase="timeout")], errors.APITimeoutError),
    ],
)
async def test_there_is_no_final_response_after_an_error(events, kind):
    steps = [event if isinstance(event, BackendError) else sse(event)[0] for event in events]
    backend = Script(answer(steps))
    async with backend.client().chat.completions.stream(model="m", messages=MESSAGES) as stream:
        with pytest.raises(kind):
            [event async for event in stream]
        with pytest.raises(kind):
            await stream.final_response()
        assert [event async for event in stream] == []


@pytest.mark.parametrize("events", [[DONE], [{"id": "c", "choices": [], "usage": {}}, DONE]])
async def test_a_stream_without_content_has_no_final_response(events):
    with pytest.raises(errors.InvalidResponseError, match="without content") as caught:
        await read(*events, x_request_id="req_1")
    error = caught.value
    assert (error.operation, error.attempts) == ("chat.completions.create", 1)
    assert (error.status, error.request_id) == (200, "req_1")


@pytest.mark.parametrize("content_type", ["application/json", "text/event-stream"])
async def test_the_words_of_a_plain_json_error_are_raised(content_type):
    body = b'{"error": {"message": "The model is overloaded", "type": "server_error"}}'
    with pytest.raises(errors.StreamError, match="overloaded"):
        await read(body, content_type=content_type)


@pytest.mark.parametrize("cuts", [[], [1, 40]])
async def test_a_plain_json_response_is_one_event(cuts):
    call = {"id": "t1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    message = {"role": "assistant", "content": "Kant.", "tool_calls": [call, call | {"id": "t2"}]}
    choice = {"index": 0, "finish_reason": "stop", "message": message}
    body = json.dumps({"id": "c", "object": "chat.completion", "choices": [choice]}).encode()
    edges = [0, *cuts, len(body)]
    pieces = [body[begin:end] for begin, end in pairwise(edges)]
    (event,), completion = await read(b" \n", *pieces)
    assert event.choices[0].delta.content == "Kant."
    assert [call.index for call in event.choices[0].delta.tool_calls] == [0, 1]
    assert completion.choices[0].message.content == "Kant."
    assert [call.id for call in completion.choices[0].message.tool_calls] == ["t1", "t2"]


async def test_a_plain_json_page_is_an_event_for_each_object():
    body = b'{"object": "list", "data": [{"message": "Created"}, {"message": "Done"}]}'
    async with Script(answer(body)).client().fine_tunes.stream_events("ft-1") as stream:
        assert [event.message async for event in stream] == ["Created", "Done"]


async def test_a_plain_json_response_is_the_last_event():
    body = b'{"id": "r", "object": "response", "status": "completed", "output": []}'
    async with Script(answer(body)).client().responses.stream(model="m", input="Hi") as stream:
        assert [event.type async for event in stream] == ["response.completed"]
        assert (await stream.final_response()).id == "r"


async def test_an_event_may_hold_a_whole_response():
    message = {"role": "assistant", "content": "Kant."}
    choices = [{"index": 0, "finish_reason": "stop", "message": message}]
    (event,), completion = await read({"id": "c", "choices": choices}, DONE)
    assert event.choices[0].delta.content == "Kant."
    assert completion.choices[0].message.content == "Kant."


async def test_a_terminator_may_be_a_json_text():
    assert await text(BEGIN, END, b'data: "[DONE]"\n\n') == "Hello"


@pytest.mark.parametrize("content_type", ["application/json", "text/event-stream"])
@pytest.mark.parametrize("name", ["detail", "message", "msg"])
async def test_plain_json_without_a_response_is_an_error_with_the_words_of_the_service(
    name, content_type
):
    body = json.dumps({"code": 1, name: "Overloaded"}).encode()
    with pytest.raises(errors.InvalidResponseError, match="the service responds: Overloaded"):
        await read(body, content_type=content_type)


async def test_a_page_in_place_of_a_stream_is_an_error_with_an_excerpt():
    with pytest.raises(errors.InvalidResponseError) as caught:
        await read(b"<html>Sign in</html>", content_type="text/html")
    assert caught.value.excerpt == "<html>Sign in</html>"


async def test_broken_plain_json_is_an_error_with_an_excerpt():
    with pytest.raises(errors.InvalidResponseError) as caught:
        await read(b'{"choices": [')
    assert caught.value.excerpt == '{"choices": ['


@pytest.mark.parametrize("character", ["\U00010000", "\N{GRINNING FACE}", "\U0010ffff"])
@pytest.mark.parametrize("field", ["content", "reasoning_content"])
@pytest.mark.parametrize("spell", [str.lower, str.upper])
async def test_halves_of_a_character_in_two_events_are_joined(character, field, spell):
    first, second = (
        "\\u" + spell(code) for code in json.dumps(character).strip('"').split("\\u")[1:]
    )

    def event(text, index):
        delta = f'{{"{field}":"{text}"}}'
        data = f'data: {{"choices":[{{"index":{index},"delta":{delta}}}]}}\n\n'
        return data.encode()

    received, completion = await read(
        event(f"good {first}", 0),
        event(f"bad {first}", 1),
        event("", 0),
        event(f"{second} day", 0),
        event(f"{second} night", 1),
        chunk("", "stop"),
        chunk("", "stop", index=1),
    )
    texts = [getattr(event.choices[0].delta, field, None) for event in received[:5]]
    assert texts == ["good ", "bad ", "", f"{character} day", f"{character} night"]
    joined = [getattr(choice.message, field) for choice in completion.choices]
    assert joined == [f"good {character} day", f"bad {character} night"]


async def test_events_without_choices_may_hold_half_a_character():
    delta = rb'data: {"type":"response.output_text.delta","delta":"good \ud83d"}' + b"\n\n"
    end = {"type": "response.completed", "response": {"id": "r", "output": []}}
    responses = Script(answer(sse(delta, end))).client().responses
    async with responses.stream(model="m", input="Hi") as stream:
        assert [event.type async for event in stream] == [
            "response.output_text.delta",
            "response.completed",
        ]


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        ('{"message": "Hm"', errors.InvalidResponseError),
        ('{"message": "Hm", "choices": 7}', errors.StreamInterruptedError),
        ('{"choices": ["message"]}', errors.StreamInterruptedError),
        ('{"choices": [7], "message": "Hm"}', errors.StreamInterruptedError),
        ('{"choices": [{"index": 0, "message": "Hm"}]}', errors.StreamInterruptedError),
    ],
)
async def test_an_event_that_only_resembles_a_whole_response_is_an_error(data, kind):
    with pytest.raises(kind) as caught:
        await read(f"data: {data}\n\n".encode())
    assert caught.value.operation == "chat.completions.create"


async def test_only_what_is_not_parsed_yet_counts_toward_the_size_limit():
    events = sse(*[chunk("good day " * 10)] * 20, chunk("", "stop"))
    backend = Script(answer(events))
    completions = backend.client(max_response_bytes=400).chat.completions
    async with completions.stream(model="m", messages=MESSAGES) as stream:
        assert len([event async for event in stream]) == 21


@pytest.mark.parametrize(
    "pieces",
    [
        [b"data: " + b"x" * 100, *[b"x" * 100] * 3, b"\n\n"],
        [b"{" + b" " * 100, *[b" " * 100] * 3, b"}"],
    ],
    ids=["event", "plain json"],
)
async def test_an_event_and_a_plain_response_have_a_longest_length(pieces):
    backend = Script(answer([*sse(BEGIN), *pieces] if pieces[0][:1] == b"d" else pieces))
    completions = backend.client(max_retries=0, max_response_bytes=400).chat.completions
    async with completions.stream(model="m", messages=MESSAGES) as stream:
        with pytest.raises(errors.InvalidResponseError, match="400 bytes"):
            [event async for event in stream]


async def test_a_stream_that_ends_early_is_an_error_that_says_so():
    with pytest.raises(
        errors.StreamInterruptedError, match=r"it ended before the response was complete"
    ):
        await read(BEGIN)


async def test_an_event_of_another_shape_is_an_error_of_the_call():
    with pytest.raises(errors.InvalidResponseError, match=r"^chat\.completions\.create: an event"):
        await read(BEGIN, b"data: {broken\n\n")


async def test_content_may_be_a_list_of_parts():
    parts = [{"type": "thinking", "thinking": "Hm"}, {"type": "text", "text": "Okay"}]
    received, completion = await read(chunk(parts[:1]), chunk(parts[1:]), chunk(None, "stop"))
    assert [event.choices[0].delta.content for event in received] == [parts[:1], parts[1:], None]
    assert completion.choices[0].message.content == parts


@pytest.mark.parametrize("end", [b"[DONE]", b'"[DONE]"', b"[done]", b"DONE"])
async def test_terminators_of_other_spellings_end_a_stream(end):
    assert await text(chunk("Hello"), b"data: " + end + b"\n\n") == "Hello"


@pytest.mark.parametrize("prefix", [b"", b"data: "])
async def test_events_without_blank_lines_between_them_are_told_apart(prefix):
    lines = [json.dumps(event).encode() for event in (BEGIN, END)] + [b"[DONE]"]
    assert await text(b"\n".join(prefix + line for line in lines) + b"\n") == "Hello"
    with pytest.raises(errors.StreamInterruptedError):
        await text(b"\n".join(prefix + json.dumps(chunk(c)).encode() for c in "ab") + b"\n")


async def test_an_event_of_several_lines_is_one():
    lines = json.dumps(chunk("Hello", "stop"), indent=1).encode().splitlines()
    assert await text(b"\n".join(b"data: " + line for line in lines) + b"\n\n") == "Hello"


async def test_odd_indices_and_tool_calls_do_not_stop_a_stream():
    call = {"id": "a", "function": {"name": "f", "arguments": "{}"}}
    values = ["none", [None, "x"], call, [{**call, "index": "first"}, {"index": [], "id": None}]]
    odd = [
        {"choices": [{"index": index, "delta": {"tool_calls": value}}]}
        for index, value in zip(["a", None, [], 0], values, strict=True)
    ]
    empty = [{"choices": [None]}, {"choices": ["x"]}, {"choices": "none"}]
    _, completion = await read(BEGIN, *odd, *empty, END)
    (choice,) = completion.choices
    assert choice.message.content == "Hello"
    (found,) = choice.message.tool_calls
    assert (found.id, found.function.name) == ("a", "f")


async def test_events_that_arrive_together_are_given_one_by_one():
    together = b"".join(sse(b": ping\n\n", b"data: {}\n\n", BEGIN, {"id": "c"}, END, DONE))
    received, completion = await read(together, x_request_id="req_1")
    assert [event.choices[0].delta.content for event in received] == ["Hel", "lo"]
    assert completion.response.request_id == "req_1"


async def test_the_last_event_may_lack_its_blank_line():
    assert await text(BEGIN, sse(END)[0].rstrip()) == "Hello"


async def test_an_event_may_have_an_empty_message_beside_its_delta():
    begin = chunk("Hel")
    begin["choices"][0]["message"] = None
    assert await text(begin, END, DONE) == "Hello"


async def test_halves_of_a_character_in_two_texts_are_joined():
    first = rb'data: {"id":"c","choices":[{"index":0,"text":"good \ud83d"}]}' + b"\n\n"
    second = rb'data: {"id":"c","choices":[{"index":0,"text":"\ude00 day"}]}' + b"\n\n"
    completions = Script(answer([first, second, DONE])).client().completions
    async with completions.stream(model="m", prompt="a") as stream:
        texts = [event.choices[0].text async for event in stream]
        assert texts == ["good ", "\N{GRINNING FACE} day"]
        completion = await stream.final_response()
    assert completion.choices[0].text == "good \N{GRINNING FACE} day"
