"""The work of one request is bounded, and other requests are served meanwhile."""

import anyio
import pytest

from tunesmith.clock import VirtualClock
from tunesmith.service.core import http_api
from tunesmith.service.inference import sampling

pytestmark = pytest.mark.anyio

COMPLETION = {"model": "davinci-002", "prompt": "Kant"}
CHAT = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Who was Kant?"}]}
EMBEDDING = {"model": "text-embedding-3-small"}
NEVER_END = {"256": -100}
"""Bans the token that ends a text."""


def schema(value):
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": value}}


def exponential(depth):
    """A schema whose expansion doubles at each level."""
    levels = {
        f"L{level}": {"allOf": [{"$ref": f"#/$defs/L{level + 1}"}] * 2} for level in range(depth)
    }
    return {"$ref": "#/$defs/L0", "$defs": {**levels, f"L{depth}": {"type": "string"}}}


@pytest.mark.parametrize(
    ("path", "body", "message"),
    [
        ("/completions", {**COMPLETION, "prompt": "a" * 1_000_000}, "has 1000000 characters"),
        ("/completions", {**COMPLETION, "prompt": "hello " * 30_000}, "you requested"),
        ("/completions", {**COMPLETION, "prompt": ["a"] * 2048, "n": 2}, "the maximum is 2048"),
        ("/completions", {**COMPLETION, "suffix": "a" * 1_000_000}, "has 1000000 characters"),
        ("/completions", {**COMPLETION, "stop": "a" * 100_000}, "at most 4096 characters"),
        (
            "/completions",
            {**COMPLETION, "logit_bias": {str(token): 1 for token in range(2000)}},
            "at most 1024",
        ),
        (
            "/chat/completions",
            {**CHAT, "messages": [{"role": "user", "content": "a" * 1_000_000}]},
            "has 1000000 characters",
        ),
        (
            "/chat/completions",
            {**CHAT, "tools": [{"type": "function", "function": {"name": "f"}}] * 129},
            "maximum length 128",
        ),
        (
            "/chat/completions",
            {**CHAT, "tools": [{"type": "function", "function": {"name": "f"}}] * 100_000},
            "at most 100000 objects",
        ),
        ("/chat/completions", {**CHAT, "tools": [{}] * 10_001}, "maximum length 10000"),
        ("/chat/completions", {**CHAT, "stop": [5] * 10_001}, "maximum length 10000"),
        (
            "/chat/completions",
            {**CHAT, "messages": [{"role": "user", "content": [{}] * 5000}] * 2},
            "array with length 10002",
        ),
        ("/embeddings", {"model": "m", "input": [1] * 1_000_001}, "1000000 values"),
        (
            "/chat/completions",
            {**CHAT, "response_format": schema(exponential(40))},
            "more than 50000 parts",
        ),
        (
            "/chat/completions",
            {
                **CHAT,
                "response_format": schema(
                    {"type": "object", "properties": {f"p{i}": {} for i in range(60_000)}}
                ),
            },
            "more than 50000 parts",
        ),
        (
            "/chat/completions",
            {**CHAT, "response_format": schema({"type": "string", "pattern": "a" * 2000})},
            "longer than 1000 characters",
        ),
        ("/embeddings", {**EMBEDDING, "input": "a" * 1_000_000}, "has 1000000 characters"),
        ("/embeddings", {**EMBEDDING, "input": [" the" * 8000] * 40}, "more than 300000 tokens"),
    ],
)
async def test_a_request_beyond_a_limit_is_refused_by_its_name(api, path, body, message):
    status, error = await api.fail(path, **body)
    assert status == 400
    assert message in error["message"]


async def test_a_too_large_json_body_is_refused(api, monkeypatch):
    monkeypatch.setattr(http_api, "MAX_JSON_BYTES", 1000)
    status, error = await api.fail("/completions", **{**COMPLETION, "prompt": "a" * 1000})
    assert status == 413
    assert "Maximum content size limit (1000) exceeded" in error["message"]
    await api.post("/completions", **COMPLETION)


@pytest.mark.parametrize(
    "schema_of_text",
    [
        {"type": "string", "pattern": "^(a+)+$", "default": "a" * 40 + "!"},
        {"type": "string", "pattern": "^(a|a)*$", "examples": ["a" * 5000 + "!"]},
    ],
)
async def test_patterns_are_matched_in_linear_time(api, schema_of_text):
    with anyio.fail_after(5):
        status, error = await api.fail(
            "/chat/completions", **CHAT, response_format=schema(schema_of_text)
        )
    assert (status, error["param"]) == (400, "response_format")
    assert "No text is known that matches" in error["message"]


@pytest.mark.parametrize("stream", [False, True])
async def test_the_generated_tokens_of_a_request_are_limited(api, monkeypatch, stream):
    monkeypatch.setattr(sampling, "MAX_GENERATED_TOKENS", 100)
    body = {**COMPLETION, "n": 3, "max_tokens": 50, "logit_bias": NEVER_END, "stream": stream}
    status, _, content = await api.send("POST", "/completions", body)
    assert status == (200 if stream else 400)
    assert b"generates more than 100 tokens" in content


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/completions", {**COMPLETION, "prompt": "Duty is " * 3000}),
        ("/completions", {**COMPLETION, "prompt": "Duty " * 5000, "echo": True, "logprobs": 1}),
        ("/embeddings", {**EMBEDDING, "input": "Duty " * 5000}),
        ("/moderations", {"input": "Duty " * 5000}),
    ],
)
async def test_large_inputs_are_processed_in_worker_threads(api, monkeypatch, path, body):
    calls = []
    run_in_thread = VirtualClock.run_in_thread

    async def record(clock, function):
        calls.append(function)
        return await run_in_thread(clock, function)

    monkeypatch.setattr(VirtualClock, "run_in_thread", record)
    await api.post(path, **body)
    assert calls
