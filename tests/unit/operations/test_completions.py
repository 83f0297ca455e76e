"""What can be asked of models that go on from a prompt, against the API's reference."""

import pytest
from pydantic import ValidationError

from tunesmith.operations.completions import CreateCompletion
from tunesmith.types import Completion

REFERENCE = """
model prompt best_of echo frequency_penalty logit_bias logprobs max_tokens n presence_penalty
seed stop stream_options suffix temperature top_p user
"""
"""All parameters of createCompletion but `stream`, which is a method of its own here."""


def ask(**parameters):
    return CreateCompletion(model="davinci-002", **parameters)


def test_all_parameters_of_the_reference_are_known_and_no_others():
    spec = CreateCompletion.spec
    assert set(spec.body_params) == set(REFERENCE.split())
    assert (spec.name, spec.method, spec.path) == ("completions.create", "POST", "/completions")
    assert (spec.response_type, spec.event_type) == (Completion, Completion)


@pytest.mark.parametrize(
    "prompt", ["Kant was", "", ["Kant was", "Hume was"], [1, 2], [[1, 2], [3]], None]
)
def test_a_prompt_has_one_of_four_forms(prompt):
    assert ask(prompt=prompt).prompt == prompt


@pytest.mark.parametrize("prompt", [{"text": "Kant"}, 1, ["Kant", 1], [["Kant"]], [1.5]])
def test_a_prompt_of_another_form_is_refused(prompt):
    with pytest.raises(ValidationError, match="prompt"):
        ask(prompt=prompt)


def test_a_text_in_a_list_stays_a_text_and_is_not_taken_for_a_number():
    assert ask(prompt=["1", "2"]).prompt == ["1", "2"]


def test_parameters_at_their_limits_are_taken():
    parameters = {
        "best_of": 20,
        "echo": True,
        "frequency_penalty": -2,
        "logit_bias": {"50256": -100},
        "logprobs": 5,
        "max_tokens": 0,
        "n": 128,
        "presence_penalty": 2,
        "seed": -1,
        "stop": ["a", "b", "c", "d"],
        "stream_options": {"include_usage": True},
        "suffix": ".",
        "temperature": 2,
        "top_p": 0,
        "user": "u",
    }
    asked = ask(**parameters)
    assert {name: getattr(asked, name) for name in parameters} == parameters


@pytest.mark.parametrize(
    "parameters",
    [
        {"best_of": 21},
        {"frequency_penalty": -2.1},
        {"presence_penalty": 2.1},
        {"logprobs": 6},
        {"max_tokens": -1},
        {"n": 0},
        {"stop": ["a", "b", "c", "d", "e"]},
        {"temperature": 2.1},
        {"top_p": 1.1},
        {"stream": True},
    ],
)
def test_a_wrong_parameter_is_refused_by_name(parameters):
    with pytest.raises(ValidationError) as refused:
        ask(**parameters)
    assert refused.value.errors()[0]["loc"][0] == next(iter(parameters))
