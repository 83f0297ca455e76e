"""A training settles its parameters, computes its losses and learns by its method."""

import math

import pytest

from tunesmith.service.engines import EngineError, GenerationSpec, TrainingSpec
from tunesmith.service.engines.ngram.engine import base_model
from tunesmith.service.engines.ngram.tokenizer import END_OF_TEXT, standard_tokenizer
from tunesmith.service.engines.ngram.training import NGramTraining

TOKENIZER = standard_tokenizer()
BASE = base_model().weights


def pair(prompt, completion):
    return {"prompt": prompt, "completion": completion}


EXAMPLES = [
    pair(f"Number {n} is ->", f" {word}.\n")
    for n, word in enumerate(["zero", "one", "two", "three", "four", "five"])
]
QUESTION = [{"role": "user", "content": "Is the house old?"}]


def said(content):
    return {"role": "assistant", "content": content}


def train(examples, validation=(), *, format="completions", model=BASE, **settings):
    return NGramTraining(model, TrainingSpec(format, examples, validation, **settings))


def answer_loss(model, text):
    """Negative log-probability of an answer to the question."""
    prompt = TOKENIZER.encode_chat(QUESTION)
    scored = model.score_tokens([*prompt, *TOKENIZER.encode(text), END_OF_TEXT])
    return -sum(token.token.logprob for token in scored[len(prompt) :])


def preferences(preferred="It is old.", non_preferred="It is new."):
    return [
        {
            "input": {"messages": QUESTION},
            "preferred_output": [said(preferred)],
            "non_preferred_output": [said(non_preferred)],
        }
    ]


def test_steps_are_counted_by_batches_and_epochs():
    training = train(EXAMPLES, n_epochs=2, batch_size=4)
    steps = list(training)

    assert training.total_steps == len(steps) == 4
    assert [step.step for step in steps] == [1, 2, 3, 4]
    assert [step.epoch for step in steps] == [1, 1, 2, 2]
    assert [step.elapsed_examples for step in steps] == [4, 6, 10, 12]
    # Six examples of: Number, a digit, is, ->, a word, a full stop, a line feed, the end.
    assert steps[1].elapsed_tokens * 2 == steps[3].elapsed_tokens
    assert steps[1].elapsed_tokens == sum(
        len(TOKENIZER.encode(row["prompt"])) + len(TOKENIZER.encode(row["completion"])) + 1
        for row in EXAMPLES
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("n_examples", "n_epochs", "batch_size"),
    [(1, 25, 1), (10, 10, 1), (280, 3, 1), (3_000, 3, 6), (200_000, 2, 256)],
)
def test_unset_hyperparameters_depend_on_the_number_of_examples(n_examples, n_epochs, batch_size):
    settled = train(EXAMPLES[:1] * n_examples).hyperparameters

    assert (settled.n_epochs, settled.batch_size) == (n_epochs, batch_size)
    assert settled.learning_rate_multiplier == 1


def test_the_first_loss_is_that_of_the_model_before():
    example = pair("What is it ->", " A small house.")
    prompt, completion = (
        TOKENIZER.encode(example["prompt"]),
        TOKENIZER.encode(example["completion"]),
    )
    scored = BASE.score_tokens([*prompt, *completion, END_OF_TEXT])[len(prompt) :]
    expected = -sum(token.token.logprob for token in scored) / len(scored)

    (step,) = train([example], prompt_loss_weight=0, n_epochs=1)

    assert step.train.loss == pytest.approx(expected)


def test_prompts_have_the_prompt_loss_weight():
    example = pair("What is it ->", " A small house.")

    def loss(weight):
        (step,) = train([example], prompt_loss_weight=weight, n_epochs=1)
        return step.train.loss

    prompt, completion = (
        TOKENIZER.encode(example["prompt"]),
        TOKENIZER.encode(example["completion"]),
    )
    scored = BASE.score_tokens([*prompt, *completion, END_OF_TEXT])
    losses = [-token.token.logprob for token in scored]
    in_prompt, in_completion = sum(losses[: len(prompt)]), sum(losses[len(prompt) :])
    expected = (0.5 * in_prompt + in_completion) / (0.5 * len(prompt) + len(completion) + 1)

    assert loss(0.5) == pytest.approx(expected)
    assert loss(0) == pytest.approx(in_completion / (len(completion) + 1))


def test_losses_fall_and_accuracies_rise():
    steps = list(train(EXAMPLES, n_epochs=6, batch_size=6))
    losses = [step.train.loss for step in steps]

    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < losses[0] / 10
    assert steps[0].train.sequence_accuracy == 0
    assert steps[-1].train.mean_token_accuracy == steps[-1].train.sequence_accuracy == 1


@pytest.mark.parametrize(
    ("less", "more"),
    [({"n_epochs": 2}, {"n_epochs": 4}), ({"learning_rate_multiplier": 0.1}, {})],
)
def test_more_epochs_and_a_higher_rate_learn_more(less, more):
    def last_loss(settings):
        *_, last = train(EXAMPLES, **({"n_epochs": 3, "batch_size": 6} | settings))
        return last.train.loss

    assert last_loss(more) < last_loss(less)


def test_validation_is_scored_at_each_step_and_in_full_after_each_epoch():
    steps = list(train(EXAMPLES, EXAMPLES[:3], n_epochs=2, batch_size=2))

    assert all(step.valid for step in steps)
    assert [step.step for step in steps if step.full_valid] == [3, 6]
    assert steps[5].full_valid.loss < steps[2].full_valid.loss


def test_validation_metrics_are_none_without_validation_data():
    steps = list(train(EXAMPLES, n_epochs=1))

    assert all(step.valid is None and step.full_valid is None for step in steps)


def test_the_order_depends_on_the_seed():
    def losses(seed):
        training = train(EXAMPLES, n_epochs=1, batch_size=1, seed=seed)
        return [step.train.loss for step in training]

    assert losses(1) == losses(1)
    assert losses(1) != losses(2)


def test_a_snapshot_is_not_changed_by_later_steps():
    training = train(EXAMPLES, n_epochs=3, batch_size=6)
    steps = iter(training)
    next(steps)
    early = training.weights()
    before = early.tree.to_rows()
    next(steps)

    assert early.tree.to_rows() == before
    assert training.weights().tree.to_rows() != before


def test_a_snapshot_before_the_first_step_is_the_initial_model():
    training = train(EXAMPLES[:1])

    assert training.weights().tree.to_rows() == BASE.tree.to_rows()


def test_an_empty_list_of_examples_is_refused():
    with pytest.raises(EngineError, match="at least one example"):
        train([])


def test_preference_training_starts_at_ln_2_and_learns_the_preference():
    training = train(preferences(), format="dpo", n_epochs=5)
    losses = [step.train.loss for step in training]
    tuned = training.weights()

    assert losses[0] == pytest.approx(math.log(2))
    assert losses == sorted(losses, reverse=True)
    gain = answer_loss(BASE, "It is old.") - answer_loss(tuned, "It is old.")
    other_gain = answer_loss(BASE, "It is new.") - answer_loss(tuned, "It is new.")
    assert gain > other_gain + 1


def test_preference_training_makes_the_non_preferred_answer_less_likely():
    chat = {"messages": [*QUESTION, said("It is new.")]}
    supervised = train([chat], format="chat", n_epochs=4)
    list(supervised)
    learnt = supervised.weights()
    training = train(preferences(), format="dpo", model=learnt, n_epochs=10)
    list(training)
    tuned = training.weights()
    spec = GenerationSpec(temperature=0)
    prompt = TOKENIZER.encode_chat(QUESTION)

    assert answer_loss(tuned, "It is new.") > answer_loss(learnt, "It is new.")
    assert "".join(token.text for token in learnt.sample(prompt, spec)) == "It is new."
    assert "".join(token.text for token in tuned.sample(prompt, spec)) == "It is old."


GRADED = [{"messages": QUESTION}]


def check(operation, reference):
    text = "{{sample.output_text}}"
    return {
        "type": "string_check",
        "name": "check",
        "operation": operation,
        "input": text,
        "reference": reference,
    }


@pytest.mark.slow
def test_graded_training_increases_the_reward():
    grader = check("like", " the ")
    steps = list(train(GRADED, format="reinforcement", grader=grader, n_epochs=40, seed=1))

    def mean_reward(part):
        return sum(step.train.mean_reward for step in part) / len(part)

    assert mean_reward(steps[-10:]) > mean_reward(steps[:10])
    assert all(step.train.loss == pytest.approx(1 - step.train.mean_reward) for step in steps)


def test_equal_rewards_change_nothing():
    training = train(GRADED, format="reinforcement", grader=check("like", ""), n_epochs=3)
    before = answer_loss(BASE, "It is old.")
    list(training)

    assert answer_loss(training.weights(), "It is old.") == pytest.approx(before)
