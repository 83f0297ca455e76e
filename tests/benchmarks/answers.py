"""What the server says: fixed answers of the usual size."""

import json
import re

DOWNLOAD_BYTES = 200_000_000
EVENTS = 10_000
PAGE = 100

CHUNKS = re.compile(rb'"max_tokens": ?(\d+)')
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
