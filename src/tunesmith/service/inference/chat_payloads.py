"""How chat answers look, whole and in pieces: the API's JSON, field by field."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tunesmith.service.engines.base import ScoredToken, TokenLogprob
from tunesmith.service.inference.output_format import OutputFormat, OutputSegment

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


def build_choice(
    index: int,
    text: str,
    form: OutputFormat,
    call_ids: Sequence[str],
    finish_reason: str,
    scores: Json | None,
) -> Json:
    """Give a whole choice.

    Args:
        index: Its place.
        text: What was generated: the answer, or the arguments of calls.
        form: What it is made of.
        call_ids: An id for each part, should it be a tool's call.
        finish_reason: Why it ends.
        scores: The log-probabilities.
    """
    message: Json = {"role": "assistant", "content": None, "refusal": None, "annotations": []}
    for (part, said), new_id in zip(form.split(text), call_ids, strict=False):
        if part.kind == "text":
            message["content"] = said
            continue
        call = _call(part, said, name=part.name, id=part.id or new_id)
        if "tool_calls" in message:
            message["tool_calls"] += call["tool_calls"]
        else:
            message |= call
    return {
        "index": index,
        "message": message,
        "logprobs": scores,
        "finish_reason": finish_reason,
    }


def build_first_delta(part: OutputSegment, call_id: str) -> Json:
    """Give what a stream begins a choice with: the role, and the name of a function."""
    start: Json = {"role": "assistant", "content": "", "refusal": None}
    if part.kind == "text":
        return start
    return {**start, "content": None, **call_delta(part, call_id)}


def call_delta(part: OutputSegment, call_id: str) -> Json:
    """Give what a stream begins a call with."""
    return _call(part, "", name=part.name, index=part.call_index, id=part.id or call_id)


def next_delta(part: OutputSegment, text: str) -> Json:
    """Give what a stream goes on with."""
    return {"content": text} if part.kind == "text" else _call(part, text, index=part.call_index)


def streamed_choice(
    index: int, delta: Json, *, finish_reason: str | None = None, scores: Json | None = None
) -> Json:
    """Give a piece of a choice."""
    return {"index": index, "delta": delta, "logprobs": scores, "finish_reason": finish_reason}


def build_logprobs(tokens: Sequence[ScoredToken]) -> Json:
    """Give the log-probabilities of tokens."""
    return {
        "content": [
            {**_scored(token.token), "top_logprobs": [_scored(each) for each in token.top]}
            for token in tokens
        ],
        "refusal": None,
    }


def build_usage(prompt_tokens: int, completion_tokens: int) -> Json:
    """Give the counts of tokens."""
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
        "prompt_tokens_details": _zeros(("cached_tokens", "audio_tokens")),
        "completion_tokens_details": _zeros(
            (
                "reasoning_tokens",
                "audio_tokens",
                "accepted_prediction_tokens",
                "rejected_prediction_tokens",
            )
        ),
    }


def _call(part: OutputSegment, text: str, *, name: str | None = None, **fields: Any) -> Json:
    """Give a call, or a piece of one; a name and an id come with the first piece only."""
    named = {} if name is None else {"name": name}
    if part.kind == "function":
        return {"function_call": {**named, "arguments": text}}
    kind, content = ("custom", "input") if part.kind == "custom" else ("function", "arguments")
    typed = {} if name is None else {"type": kind}
    return {"tool_calls": [{**fields, **typed, kind: {**named, content: text}}]}


def _scored(token: TokenLogprob) -> Json:
    return {"token": token.token, "logprob": token.logprob, "bytes": list(token.token_bytes)}


def _zeros(names: Iterable[str]) -> Mapping[str, int]:
    return dict.fromkeys(names, 0)
