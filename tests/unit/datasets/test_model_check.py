"""A model that cannot be fine-tuned on the rows is an error, and another one is named."""

import pytest

from tunesmith.datasets import Dataset, diagnose
from tunesmith.datasets.checks.model import ModelCheck, checks_for_model
from tunesmith.datasets.tokens import ESTIMATE
from tunesmith.known_models import custom_model, find_model

USER = {"role": "user", "content": "Hello"}
ANSWER = {"role": "assistant", "content": "Hi."}
PICTURE = {
    "role": "user",
    "content": [{"type": "image_url", "image_url": {"url": "https://example.com/cat.png"}}],
}
ROWS = {
    "completions": {"prompt": "Hello", "completion": " Hi."},
    "chat": {"messages": [USER, ANSWER]},
    "dpo": {
        "input": {"messages": [USER]},
        "preferred_output": [ANSWER],
        "non_preferred_output": [{"role": "assistant", "content": "No."}],
    },
    "reinforcement": {"messages": [USER], "answer": "Hi."},
    "images": {"messages": [PICTURE, ANSWER]},
}


def findings(model, kind):
    dataset = Dataset.open([ROWS[kind]] * 12)
    check = ModelCheck(find_model(model) or custom_model(model), dataset.format())
    return {
        finding.code: finding.message
        for finding in diagnose(dataset, checks=[check]).findings
        if finding.code in {"unsuitable-model", "images-for-model"}
    }


@pytest.mark.parametrize(
    ("model", "kinds"),
    [
        ("babbage-002", {"completions"}),
        ("gpt-3.5-turbo", {"chat"}),
        ("gpt-4.1", {"chat", "dpo"}),
        ("ft:gpt-4o-2024-08-06:acme::7p4lURel", {"chat", "dpo", "images"}),
        ("o4-mini", {"reinforcement"}),
        ("gpt-6-luna", set()),
        ("llama-3", {*ROWS}),
    ],
)
def test_a_model_suits_the_rows_that_it_can_be_tuned_on(model, kinds):
    assert {kind for kind in ROWS if not findings(model, kind)} == kinds


@pytest.mark.parametrize(
    ("model", "kind", "message"),
    [
        ("gpt-6-luna", "chat", "gpt-6-luna cannot be fine-tuned. Use one of gpt-4.1, "),
        (
            "gpt-3.5-turbo",
            "dpo",
            "gpt-3.5-turbo cannot be fine-tuned by the method dpo. Use one of",
        ),
        ("gpt-4.1", "completions", "Convert the rows: target_format='chat'."),
        ("babbage-002", "chat", "Convert the rows: target_format='completions'."),
        ("gpt-4.1", "images", "12 rows: gpt-4.1 cannot be fine-tuned on images. Use one of gpt-4o"),
    ],
)
def test_the_error_names_what_to_do(model, kind, message):
    assert any(message in found for found in findings(model, kind).values())


@pytest.mark.parametrize(
    ("model", "advice"),
    [
        ("gpt-4o-mni-2024-07-18", "Did you mean gpt-4o-mini-2024-07-18?"),
        ("llama-3-mine", "Add it to the service: --model NAME."),
    ],
)
def test_an_unknown_model_is_named_with_a_near_one(model, advice):
    dataset = Dataset.open([ROWS["chat"]] * 12)
    checks = checks_for_model(model, "chat", ESTIMATE)
    (finding,) = [f for f in diagnose(dataset, checks=checks).findings if "model" in f.code]
    assert (finding.code, finding.severity) == ("unknown-model", "warning")
    assert finding.message.endswith(advice)
