"""Tokens: exact with an encoding, estimated without, and clear about which."""

import builtins
import random

import pytest
import tiktoken
from hypothesis import given, strategies as st

from tunesmith.datasets import Dataset, Row, diagnose
from tunesmith.datasets.token_limit import TokenLimit, token_limit
from tunesmith.datasets.tokens import (
    ESTIMATE,
    ExampleTokens,
    default_counter,
    estimated_tokens,
    exact_counter,
)

# A token a byte, but for two pairs that are one.
TINY = tiktoken.Encoding(
    "tiny",
    pat_str=r"\s?\w+|\W",
    mergeable_ranks={**{bytes([b]): b for b in range(256)}, b"ab": 256, b" a": 257},
    special_tokens={"<|endoftext|>": 258},
)


@pytest.fixture
def tiny():
    return exact_counter(encoding=TINY)


def count(counter, data):
    (tokens,) = counter.rows([Row(1, data)])
    return tokens


def test_an_encoding_counts_exactly(tiny):
    assert (tiny.exact, tiny.name) == (True, "tiny")
    assert tiny.texts(["abab", "a", ""]) == [2, 1, 0]


def test_control_tokens_in_a_text_are_text(tiny):
    assert tiny.texts(["<|endoftext|>"]) == [13]


def test_a_prompt_and_its_completion(tiny):
    assert count(tiny, {"prompt": "ab", "completion": "abc"}) == ExampleTokens(total=3, trained=2)


def test_a_conversation_costs_three_a_message_one_a_name_and_three_in_all(tiny):
    row = {
        "messages": [
            {"role": "user", "name": "x", "content": "ab"},
            {"role": "assistant", "content": "abc"},
        ]
    }
    texts = len("user") + len("x") + 1 + len("assistant") + 2
    assert count(tiny, row) == ExampleTokens(total=texts + 2 * 3 + 1 + 3, trained=2)


def test_answers_of_weight_0_are_not_learned(tiny):
    def row(weight):
        return {"messages": [{"role": "assistant", "content": "abc", "weight": weight}]}

    assert count(tiny, row(1)).trained == 2
    assert count(tiny, row(0)).trained == 0
    assert count(tiny, row(0)).total == count(tiny, row(1)).total


def test_calls_are_learned_and_tools_are_told(tiny):
    call = {"id": "1", "type": "function", "function": {"name": "ab", "arguments": "{}"}}
    row = {
        "messages": [{"role": "assistant", "tool_calls": [call]}],
        "tools": [{"a": 1}],
    }
    told = len("assistant") + len('[{"a":1}]')
    assert count(tiny, row) == ExampleTokens(total=told + 1 + 2 + 3 + 3, trained=1 + 2)


def test_images_do_not_count_and_parts_do(tiny):
    parts = [{"type": "text", "text": "ab"}, {"type": "image_url", "image_url": {"url": "x" * 99}}]
    with_image = count(tiny, {"messages": [{"role": "user", "content": parts}]})
    assert with_image == count(tiny, {"messages": [{"role": "user", "content": "ab"}]})


def test_both_answers_of_a_pair_are_learned(tiny):
    def answer(text):
        return [{"role": "assistant", "content": text}]

    row = {
        "input": {"messages": [{"role": "user", "content": "ab"}]},
        "preferred_output": answer("ab"),
        "non_preferred_output": answer("abc"),
    }
    roles = len("user") + 2 * len("assistant")
    assert count(tiny, row) == ExampleTokens(total=roles + 1 + 1 + 2 + 3 * 3 + 3, trained=3)


@pytest.mark.parametrize(
    "row",
    [
        {"messages": None},
        {"messages": ["text", {"role": 3, "content": [None, {"text": 1}]}]},
        {"input": [], "preferred_output": "text"},
        {"messages": [{"role": "assistant", "tool_calls": [{"function": None}, 7]}]},
    ],
)
def test_rows_that_are_wrong_are_counted_as_far_as_they_go(row):
    assert count(ESTIMATE, row).trained == 0


def test_the_estimate_is_a_token_for_every_four_bytes():
    assert estimated_tokens(["", "a", "abcd", "abcde", "éééé", "\ud800"]) == [0, 1, 1, 2, 2, 1]
    assert not ESTIMATE.exact


@pytest.mark.slow
@given(st.lists(st.tuples(st.text(), st.text()), min_size=1))
def test_rows_together_count_as_each_alone(pairs):
    chunk = [Row(i, {"prompt": p, "completion": c}) for i, (p, c) in enumerate(pairs, 1)]
    together = ESTIMATE.rows(chunk)
    assert together == [ESTIMATE.rows([row])[0] for row in chunk]


def test_a_vocabulary_that_cannot_be_fetched_is_an_error_that_says_what_to_do(monkeypatch):
    def offline(_):
        raise ConnectionError("no network")

    monkeypatch.setattr(tiktoken, "get_encoding", offline)
    with pytest.raises(Exception, match="TIKTOKEN_CACHE_DIR") as caught:
        exact_counter("babbage-002")
    assert type(caught.value).__name__ == "ConfigurationError"
    assert "cl100k_base" in str(caught.value)


def test_without_a_vocabulary_the_best_counter_estimates_and_says_why(monkeypatch):
    def offline(_):
        raise ConnectionError("no network")

    monkeypatch.setattr(tiktoken, "get_encoding", offline)
    counter = default_counter("babbage-002")
    assert not counter.exact
    assert "TIKTOKEN_CACHE_DIR" in counter.note
    assert "name the model" in default_counter().note


def test_without_tiktoken_the_error_says_what_to_install(monkeypatch):
    really = builtins.__import__

    def without(name, *args, **kwargs):
        if name == "tiktoken":
            raise ImportError(name)
        return really(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(Exception, match=r"pip install 'tunesmith\[tokens\]'"):
        exact_counter("babbage-002")


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"model": "llama"}, "name it, for example encoding="),
        ({"encoding": "no_base"}, "no encoding"),
    ],
)
def test_unknown_models_and_encodings_are_named(asked, said):
    with pytest.raises(Exception, match=said):
        exact_counter(**asked)


def test_limits_are_those_of_the_base_model():
    assert token_limit("ft:gpt-4o-mini-2024-07-18:org::id") == 65_536
    assert token_limit("babbage-002") == 16_384
    assert token_limit("babbage") == 2048
    assert token_limit("my-own-model") is None


def test_rows_over_the_limit_are_found_and_can_be_removed(tiny):
    lengths = [5, 50, 7, 51, *[6] * 20]
    random.Random(1).shuffle(lengths)
    rows = [{"prompt": "q" * n, "completion": "a" * n} for n in lengths]
    diagnosis = diagnose(Dataset.open(rows), checks=[TokenLimit(tiny, limit=100)])
    (found,) = [f for f in diagnosis.findings if f.code == "too-many-tokens"]

    assert found.lines == (lengths.index(51) + 1,)
    assert found.excerpt == "102 tokens"
    assert "estimate" not in found.message
    plan = diagnosis.plan(lambda f: f is found)
    assert sum(map(len, plan.transformed_chunks()())) == len(rows) - 1


def test_by_an_estimate_the_finding_says_so():
    rows = [{"prompt": "q" * 900, "completion": f"a{n}"} for n in range(2)]
    check = TokenLimit(ESTIMATE, limit=100)
    found = {f.code: f for f in diagnose(Dataset.open(rows), checks=[check]).findings}
    assert "(by estimate)" in found["too-many-tokens"].message
