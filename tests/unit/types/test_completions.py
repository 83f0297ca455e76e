"""What is borne in completions."""

from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from tunesmith.types import Completion, CompletionUsage

WHOLE = {
    "id": "cmpl-1",
    "object": "text_completion",
    "created": 1_589_478_378,
    "model": "davinci-002",
    "system_fingerprint": "fp_44709d6fcb",
    "choices": [
        {
            "text": " time",
            "index": 0,
            "logprobs": {
                "tokens": ["Space", " and"],
                "token_logprobs": [None, -4.2],
                "top_logprobs": [None, {" is": -2.1}],
                "text_offset": [0, 5],
            },
            "finish_reason": "length",
        }
    ],
    "usage": {
        "completion_tokens": 1,
        "prompt_tokens": 2,
        "total_tokens": 3,
        "completion_tokens_details": {
            "accepted_prediction_tokens": 0,
            "audio_tokens": 0,
            "reasoning_tokens": 0,
            "rejected_prediction_tokens": 0,
            "text_tokens": 1,
        },
        "prompt_tokens_details": {
            "audio_tokens": 0,
            "cache_write_tokens": 0,
            "cached_tokens": 2,
            "image_tokens": 0,
            "text_tokens": 2,
        },
    },
}


def test_a_whole_completion_is_kept_as_it_came():
    completion = Completion.model_validate(WHOLE)
    assert completion.model_dump() == WHOLE
    assert completion.usage.prompt_tokens_details.cached_tokens == 2


def test_the_time_is_a_date_in_utc():
    assert Completion.model_validate(WHOLE).created_datetime == datetime(
        2020, 5, 14, 17, 46, 18, tzinfo=UTC
    )
    assert Completion(choices=[]).created_datetime is None


def test_the_first_token_of_an_echo_has_no_probability():
    logprobs = Completion.model_validate(WHOLE).choices[0].logprobs
    assert logprobs.token_logprobs == [None, -4.2]
    assert logprobs.top_logprobs == [None, {" is": -2.1}]


@pytest.mark.parametrize("name", sorted(WHOLE.keys() - {"choices", "object"}))
def test_what_servers_leave_out_may_be_missing_or_null(name):
    without = {key: value for key, value in WHOLE.items() if key != name}
    for body in (without, {**without, name: None}):
        assert not getattr(Completion.model_validate(body), name)


@pytest.mark.parametrize("choice", [{"index": 0}, {"index": 0, "text": None}, {}])
def test_a_choice_without_text_has_an_empty_one(choice):
    """A proxy ends its streams so."""
    (made,) = Completion.model_validate({"choices": [choice]}).choices
    assert (made.index, made.text) == (0, "")


def test_a_completion_without_choices_is_none():
    with pytest.raises(ValidationError, match="choices"):
        Completion.model_validate({"id": "cmpl-1"})


def test_unknown_fields_and_reasons_are_kept():
    choice = {"text": "", "finish_reason": "eos_token", "stop_reason": 128_001}
    completion = Completion.model_validate({"choices": [choice], "timings": {"ms": 1}})
    assert completion.choices[0].finish_reason == "eos_token"
    assert completion.choices[0].stop_reason == 128_001
    assert completion.timings == {"ms": 1}


@pytest.mark.parametrize("count", [{}, {"completion_tokens": None}])
def test_tokens_that_are_not_counted_are_none(count):
    """With `max_tokens=0` the service sends no `completion_tokens`."""
    usage = CompletionUsage.model_validate({"prompt_tokens": 2, "total_tokens": 2, **count})
    assert usage.completion_tokens == 0
