"""Text is handed out in whole characters and ends before a stop text."""

import pytest
from hypothesis import example, given, strategies as st

from tunesmith.service.engines.ngram.generation import (
    TextGeneration,
    scored_token,
)
from tunesmith.service.engines.ngram.tokenizer import END_OF_TEXT, standard_tokenizer
from tunesmith.service.engines.texts import text_decoder, token_logprob


def recite(text, *, stop=(), max_tokens=1_000):
    """Generate a given text, token by token."""
    tokenizer, decoder = standard_tokenizer(), text_decoder()
    tokens = iter([*tokenizer.encode(text), END_OF_TEXT])

    def sample():
        token = next(tokens)
        return scored_token(token_logprob(token, tokenizer.token_bytes(token), 0.0), [], decoder)

    return TextGeneration(sample, end_of_text=END_OF_TEXT, max_tokens=max_tokens, stop=stop)


def text_of(generation):
    return "".join(token.text for token in generation)


@pytest.mark.slow
@given(st.text(), st.lists(st.text(min_size=1, max_size=3), max_size=4))
@example("0T0", ["T", "0T0"])
def test_the_text_ends_before_the_first_stop_text(text, stop):
    """Where two overlap, the one that is complete first counts, which is up to the tokens."""
    generation = recite(text, stop=tuple(stop))
    told = text_of(generation)

    assert not any(found in told for found in stop)
    rest = text.removeprefix(told)
    assert text == told + rest
    assert not rest or rest.startswith(tuple(stop))
    assert generation.finish_reason == "stop"


def test_a_stop_text_may_span_tokens():
    generation = recite("One. Two. Three.", stop=(" Two. Th",))

    assert text_of(generation) == "One."
    assert generation.finish_reason == "stop"


def test_a_token_is_yielded_as_soon_as_no_stop_text_can_begin_in_it():
    generation = recite("One two three four", stop=(" two four",))
    tokens = iter(generation)

    assert next(tokens).text == "One"
    assert generation.n_tokens == 1
    assert next(tokens).text == " two"
    assert generation.n_tokens == 3  # " two" might have begun it, " three" shows it did not


def test_tokens_are_not_held_without_stop_texts():
    generation = recite("One two three")
    tokens = iter(generation)

    assert next(tokens).text == "One"
    assert generation.n_tokens == 1
    assert generation.finish_reason is None


def test_a_truncated_completion_has_the_finish_reason_length():
    generation = recite("One two three four", max_tokens=2)

    assert text_of(generation) == "One two"
    assert generation.finish_reason == "length"
    assert generation.n_tokens == 2


def test_zero_tokens_have_the_finish_reason_length():
    generation = recite("One", max_tokens=0)

    assert text_of(generation) == ""
    assert generation.finish_reason == "length"


def test_a_character_of_several_tokens_is_the_text_of_the_last_one():
    tokens = list(recite("\u2603"))

    assert [token.text for token in tokens] == ["", "", "\u2603"]
    assert tokens[0].token.token == "bytes:\\xe2"
    assert b"".join(token.token.token_bytes for token in tokens).decode() == "\u2603"


@pytest.mark.parametrize("stop", [(), ("",)])
def test_an_empty_stop_text_is_ignored(stop):
    assert text_of(recite("One two", stop=stop)) == "One two"
