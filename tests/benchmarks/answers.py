"""What the server says: fixed answers of the usual size."""

import json
import re

DOWNLOAD_BYTES = 200_000_000
EVENTS = 10_000
PAGE = 100

CHUNKS = re.compile(rb'"max_(?:output_)?tokens": ?(\d+)')
"""Of how many chunks a stream shall be."""

HEADERS_BACK = {
    "content-type": "application/json",
    "x-request-id": "req-1",
    "openai-processing-ms": "12",
    "x-ratelimit-limit-requests": "3500",
    "x-ratelimit-remaining-requests": "3499",
    "x-ratelimit-reset-requests": "17ms",
    "x-ratelimit-limit-tokens": "90000",
    "x-ratelimit-remaining-tokens": "89984",
    "x-ratelimit-reset-tokens": "10ms",
    "server": "lean",
}


def _completion(text, reason):
    return {
        "id": "cmpl-1",
        "object": "text_completion",
        "created": 1700000000,
        "model": "davinci-002",
        "system_fingerprint": "fp_1",
        "choices": [{"index": 0, "text": text, "logprobs": None, "finish_reason": reason}],
    }


def _response(output, status):
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1700000000,
        "status": status,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "model": "gpt-4o-mini",
        "output": output,
        "parallel_tool_calls": True,
        "temperature": 1.0,
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
    }


def _message(text):
    part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "status": "completed",
        "content": [part],
    }


def _chat(kind, choice):
    return {
        "id": "chatcmpl-1",
        "object": kind,
        "created": 1700000000,
        "model": "gpt-4o-mini",
        "system_fingerprint": "fp_1",
        "choices": [{"index": 0, "logprobs": None, **choice}],
    }


def _event(value):
    return b"data: " + json.dumps(value).encode() + b"\n\n"


def page(after):
    """Write the page of a job's events that follows an event."""
    numbers = range(after + 1, min(after + 1 + PAGE, EVENTS + 1))
    events = [
        {
            "object": "fine_tuning.job.event",
            "id": f"ftevent-{n}",
            "created_at": 1700000000 + n,
            "level": "info",
            "message": f"Step {n}/{EVENTS}: training loss=0.71",
            "type": "metrics",
            "data": {"step": n, "train_loss": 0.71, "total_steps": EVENTS},
        }
        for n in numbers
    ]
    more = numbers.stop <= EVENTS
    return json.dumps({"object": "list", "data": events, "has_more": more}).encode()


COMPLETION = json.dumps(
    _completion(" a philosopher of the Enlightenment, born in Königsberg in 1724.", "stop")
    | {"usage": {"prompt_tokens": 5, "completion_tokens": 16, "total_tokens": 21}}
).encode()

FILE = json.dumps(
    {
        "id": "file-1",
        "object": "file",
        "bytes": DOWNLOAD_BYTES,
        "created_at": 1700000000,
        "filename": "train.jsonl",
        "purpose": "fine-tune",
        "status": "processed",
    }
).encode()

EVENT = _event(_completion(" philosopher", None))
LAST_EVENTS = _event(_completion("", "stop")) + b"data: [DONE]\n\n"

_TEXT = " a philosopher of the Enlightenment, born in Königsberg in 1724."
_USAGE = {"prompt_tokens": 5, "completion_tokens": 16, "total_tokens": 21}
_DELTA = {
    "type": "response.output_text.delta",
    "item_id": "msg_1",
    "output_index": 0,
    "content_index": 0,
    "delta": " philosopher",
    "logprobs": [],
    "sequence_number": 4,
}
_RESPONSE = _response([_message(_TEXT)], "completed") | {
    "usage": {
        "input_tokens": 5,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": 16,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 21,
    }
}
_CHAT = _chat(
    "chat.completion",
    {"message": {"role": "assistant", "content": _TEXT, "refusal": None}, "finish_reason": "stop"},
)


def _chunk(delta, reason):
    return _event(_chat("chat.completion.chunk", {"delta": delta, "finish_reason": reason}))


ANSWERS = {
    "completions": (COMPLETION, EVENT, LAST_EVENTS),
    "chat": (
        json.dumps(_CHAT | {"usage": _USAGE}).encode(),
        _chunk({"content": " philosopher"}, None),
        _chunk({}, "stop") + b"data: [DONE]\n\n",
    ),
    "responses": (
        json.dumps(_RESPONSE).encode(),
        _event(_DELTA),
        _event({"type": "response.completed", "response": _RESPONSE, "sequence_number": 9}),
    ),
}
"""Of each endpoint: the whole answer, an event of its stream, and the last events."""
