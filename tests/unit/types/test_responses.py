"""Responses are read leniently: unknown items, parts and fields are kept."""

import pytest

from tunesmith.types.responses import (
    Response,
    ResponseFunctionToolCall,
    ResponseOtherItem,
    ResponseOutputMessage,
    ResponseReasoningItem,
    ResponseStreamEvent,
)

MESSAGE = {
    "type": "message",
    "id": "msg_1",
    "role": "assistant",
    "content": [
        {"type": "output_text", "text": "Yes", "annotations": []},
        {"type": "hologram", "url": "x"},
        {"type": "output_text", "text": "!"},
    ],
}


def test_items_have_the_type_of_their_kind():
    response = Response.model_validate(
        {
            "id": "resp_1",
            "output": [
                {"type": "reasoning", "id": "rs_1", "summary": []},
                MESSAGE,
                {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": "{}"},
                {"type": "web_search_call", "id": "ws_1", "action": {"query": "Kant"}},
            ],
        }
    )
    assert [type(item) for item in response.output] == [
        ResponseReasoningItem,
        ResponseOutputMessage,
        ResponseFunctionToolCall,
        ResponseOtherItem,
    ]
    assert response.output[3].action == {"query": "Kant"}
    assert response.output_text == "Yes!"


def test_a_response_without_output_has_no_text():
    response = Response.model_validate({"id": "resp_1", "created_at": 1.5, "new_field": 5})
    assert (response.output, response.output_text) == ([], "")
    assert response.created_at_datetime.year == 1970
    assert response.model_extra == {"new_field": 5}


@pytest.mark.parametrize(
    ("kind", "is_final"),
    [
        ("response.created", False),
        ("response.output_text.delta", False),
        ("response.completed", True),
        ("response.incomplete", True),
        ("response.failed", True),
        ("response.cancelled", True),
        ("response.image_generation_call.partial_image", False),
    ],
)
def test_an_event_tells_whether_the_stream_is_complete(kind, is_final):
    event = ResponseStreamEvent.model_validate({"type": kind, "partial_image_b64": "x"})
    assert event.is_final is is_final
    assert event.model_extra == {"partial_image_b64": "x"}
