"""Any text can be written in tokens and read back."""

import pytest
from hypothesis import example, given, strategies as st

from tunesmith.service.engines.ngram.tokenizer import (
    END_OF_TEXT,
    SPECIAL_TOKENS,
    Tokenizer,
    standard_tokenizer,
)

any_text = st.text(st.characters(exclude_categories=()))


@given(any_text)
@example("Several concepts are a priori such as ->")
@example("half a pair: \ud83d")
@example("\r\n\t  \n\u2028x\x00² _a1_")
def test_decoding_restores_encoded_text(text):
    tokenizer = standard_tokenizer()

    assert tokenizer.decode(tokenizer.encode(text)) == text


@given(st.text(), st.sampled_from(SPECIAL_TOKENS))
def test_text_never_becomes_a_special_token(text, special):
    tokens = standard_tokenizer().encode(text + special + text)

    assert not {END_OF_TEXT + number for number in range(len(SPECIAL_TOKENS))} & set(tokens)


def test_a_common_word_is_one_token_with_the_space_before_it():
    tokenizer = standard_tokenizer()

    assert [tokenizer.token_bytes(token) for token in tokenizer.encode("The world is")] == [
        b"The",
        b" world",
        b" is",
    ]


def test_tokens_of_a_prompt_do_not_depend_on_the_separator():
    tokenizer = standard_tokenizer()
    prompt = "Several concepts are a priori such as"

    for separator in (" ->", "\n\n###\n\n", "\n\n===>\n\n"):
        together = tokenizer.encode(prompt + separator + " space")
        assert together == [
            token for part in (prompt, separator, " space") for token in tokenizer.encode(part)
        ]


def test_invalid_bytes_decode_to_the_replacement_character():
    assert standard_tokenizer().decode([0xE2, 0x80]) == "\ufffd"


@pytest.mark.parametrize("token", [-1, 1_000_000])
def test_an_id_outside_the_vocabulary_is_refused(token):
    with pytest.raises(ValueError, match=rf"Token {token} is not in the vocabulary of \d+ tokens"):
        standard_tokenizer().decode([token])


def test_the_longest_token_is_used():
    tokenizer = Tokenizer(["in", "inter", "est"])

    assert [tokenizer.token_bytes(token) for token in tokenizer.encode("interest")] == [
        b"inter",
        b"est",
    ]
