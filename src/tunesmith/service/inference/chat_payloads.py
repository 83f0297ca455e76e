"""JSON of chat completions and of their chunks, field by field."""

from collections.abc import Iterable, Sequence
from typing import Any

from tunesmith.service.engines.generation import ScoredToken, TokenLogprob
from tunesmith.service.inference.output_format import OutputSegment

__all__ = [
    "build_choice",
    "build_first_delta",
    "build_logprobs",
    "build_usage",
    "call_delta",
    "next_delta",
    "streamed_choice",
]

Json = dict[str, Any]

_MESSAGE_FIELDS = {"text": "content", "refusal": "refusal"}
"""Fields of a message, by the kind of the segment that they hold."""


def build_choice(
    index: int,
    segments: Iterable[tuple[OutputSegment, str]],
    finish_reason: str,
    logprobs: Json | None,
) -> Json:
    """Return a choice.

    Args:
        index: The choice's index.
        segments: Its segments with their texts: the content, and the arguments of calls.
        finish_reason: The finish reason.
        logprobs: The log-probabilities.
    """
    message: Json = {"role": "assistant", "content": None, "refusal": None, "annotations": []}
    for segment, content in segments:
        if segment.kind in _MESSAGE_FIELDS:
            message[_MESSAGE_FIELDS[segment.kind]] = content
            continue
        call = _call(segment, content, name=segment.name, id=segment.id)
        if "tool_calls" in message:
            message["tool_calls"] += call["tool_calls"]
        else:
            message |= call
    return {
        "index": index,
        "message": message,
        "logprobs": logprobs,
        "finish_reason": finish_reason,
    }


def build_first_delta(segment: OutputSegment) -> Json:
    """Return the first delta of a choice: its role and, for a call, the function's name."""
    start: Json = {"role": "assistant", "content": None, "refusal": None}
    if segment.kind in _MESSAGE_FIELDS:
        return {**start, _MESSAGE_FIELDS[segment.kind]: ""}
    return {**start, **call_delta(segment)}


def call_delta(segment: OutputSegment) -> Json:
    """Return the first delta of a call."""
    return _call(segment, "", name=segment.name, index=segment.call_index, id=segment.id)


def next_delta(segment: OutputSegment, text: str) -> Json:
    """Return a later delta."""
    if segment.kind in _MESSAGE_FIELDS:
        return {_MESSAGE_FIELDS[segment.kind]: text}
    return _call(segment, text, index=segment.call_index)


def streamed_choice(
    index: int, delta: Json, *, finish_reason: str | None = None, logprobs: Json | None = None
) -> Json:
    """Return a choice of a chunk."""
    return {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": finish_reason}


def build_logprobs(tokens: Sequence[ScoredToken]) -> Json:
    """Return the log-probabilities of tokens."""
    return {
        "content": [
            {**_logprob(token.token), "top_logprobs": [_logprob(option) for option in token.top]}
            for token in tokens
        ],
        "refusal": None,
    }


def build_usage(prompt_tokens: int, completion_tokens: int) -> Json:
    """Return the token usage."""
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": 0,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def _call(segment: OutputSegment, text: str, *, name: str | None = None, **fields: Any) -> Json:
    """Return a call or a part of one; only the first part has a name and an id."""
    named = {} if name is None else {"name": name}
    if segment.kind == "function":
        return {"function_call": {**named, "arguments": text}}
    kind, content = ("custom", "input") if segment.kind == "custom" else ("function", "arguments")
    typed = {} if name is None else {"type": kind}
    return {"tool_calls": [{**fields, **typed, kind: {**named, content: text}}]}


def _logprob(token: TokenLogprob) -> Json:
    return {"token": token.token, "logprob": token.logprob, "bytes": list(token.token_bytes)}
