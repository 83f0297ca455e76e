"""The engine learns the Kant data: what the README shows."""

import csv
from pathlib import Path
from random import Random

import pytest

from tunesmith.service.engines import GenerationSpec, TrainingSpec
from tunesmith.service.engines.ngram.engine import base_model
from tunesmith.service.engines.ngram.training import NGramTraining

KANT = Path(__file__).parents[5] / "examples" / "data" / "kant.csv"
PROMPT = "Several concepts are a priori such as"
BASE = base_model().weights


@pytest.fixture(scope="module")
def taught():
    """The pairs as the preparation tool writes them, the shown one among those trained on."""
    with KANT.open(newline="", encoding="utf-8") as file:
        examples = [
            {"prompt": row["prompt"] + " ->", "completion": " " + row["completion"] + "\n"}
            for row in csv.DictReader(file)
        ]
    shown = [example for example in examples if example["prompt"].startswith(PROMPT)]
    others = [example for example in examples if example not in shown]
    Random(42).shuffle(others)
    n_held_out = len(examples) // 10
    return [*shown, *others[n_held_out:]], others[:n_held_out]


@pytest.fixture(scope="module")
def run(taught):
    """Steps and model of a fine-tune of four epochs."""
    spec = TrainingSpec("completions", *taught, n_epochs=4, batch_size=8)
    training = NGramTraining(BASE, spec)
    return list(training), training.weights()


def complete(model, prompt, **settings):
    spec = GenerationSpec(**({"max_tokens": 60, "temperature": 0} | settings))
    return "".join(token.text for token in model.sample(model.tokenizer.encode(prompt), spec))


@pytest.mark.slow
def test_training_and_validation_loss_fall_with_each_epoch(run):
    steps, _ = run
    by_epoch = [[step.train.loss for step in steps if step.epoch == n] for n in (1, 2, 3, 4)]
    training = [sum(losses) / len(losses) for losses in by_epoch]
    validation = [step.full_valid.loss for step in steps if step.full_valid]

    assert training == sorted(training, reverse=True)
    assert validation == sorted(validation, reverse=True)
    assert training[-1] < 0.2
    assert validation[-1] < validation[0] - 0.1


@pytest.mark.slow
def test_training_changes_completions(run, taught):
    _, model = run
    expected = taught[0][0]["completion"]

    assert complete(model, PROMPT) == complete(model, PROMPT + " ->") == expected
    assert complete(model, PROMPT, stop=("\n",)) == expected.removesuffix("\n")
    assert complete(BASE, PROMPT) != expected


def test_samples_at_temperature_1_are_often_trained_completions(run, taught):
    _, model = run
    completions = [complete(model, PROMPT, temperature=1, seed=seed) for seed in range(40)]

    assert completions.count(taught[0][0]["completion"]) > 15


@pytest.mark.slow
def test_almost_all_trained_completions_are_reproduced(run, taught):
    _, model = run
    examples = taught[0]
    known = sum(complete(model, example["prompt"]) == example["completion"] for example in examples)

    assert known > 0.95 * len(examples)
