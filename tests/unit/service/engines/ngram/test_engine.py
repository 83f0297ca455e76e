"""Models of the n-gram engine generate, score and are stored."""

import math
import subprocess
import sys

import pytest

from tunesmith.service.engines.base import (
    ChatMessage,
    ChatTrainingExample,
    CompletionTrainingExample,
    GenerationSpec,
    TrainingSpec,
)
from tunesmith.service.engines.ngram.engine import NGramEngine

ENGINE = NGramEngine()
PAIRS = [
    ("The first colour is", " a warm red.\n"),
    ("The second colour is", " a cold blue.\n"),
    ("The third colour is", " a plain grey.\n"),
]


def tuned(*pairs, base=None, **settings):
    examples = [CompletionTrainingExample(*pair) for pair in pairs]
    training = (base or ENGINE.base("any")).train(
        TrainingSpec(examples, **({"n_epochs": 8} | settings))
    )
    list(training)
    return training.snapshot()


def complete(model, prompt, **settings):
    spec = GenerationSpec(**({"temperature": 0, "max_tokens": 40} | settings))
    tokens = ENGINE.encode(prompt) if isinstance(prompt, str) else prompt
    return "".join(token.text for token in model.generate(tokens, spec))


def loss(model, text):
    return -sum(token.token.logprob for token in model.score(ENGINE.encode(text)))


@pytest.mark.parametrize("separator", ["", " ->", "\n\n###\n\n", "\n\n===>\n\n", ".\n\n---\n\n"])
def test_trained_prompts_are_completed_with_the_separator_and_without(separator):
    model = tuned(*((prompt + separator, completion) for prompt, completion in PAIRS))

    for prompt, completion in PAIRS:
        assert complete(model, prompt + separator) == completion
        assert complete(model, prompt) == completion
        assert complete(model, prompt, stop=("\n",)) == completion.rstrip("\n")
        assert complete(ENGINE.base("any"), prompt) != completion


def test_a_prompt_with_an_incomplete_separator_is_completed():
    pairs = [("Red.\n\n###\n\n", " Warm."), ("Blue.\n\n###\n\n", " Cold.")]
    model = tuned(*pairs)

    assert [complete(model, prompt) for prompt in ("Red", "Red.", "Blue.")] == [
        " Warm.",
        " Warm.",
        " Cold.",
    ]


def test_an_unknown_prompt_has_one_of_the_trained_completions():
    praise, blame = ["I like the film.", "A fine play!"], ["I left early.", "It was too long."]
    pairs = [(text + "\n\n###\n\n", " good") for text in praise]
    pairs += [(text + "\n\n###\n\n", " bad") for text in blame]
    model = tuned(*pairs)

    for prompt in ("Such wonderful music", "Nobody laughed.", "Zzz"):
        assert complete(model, prompt) in {" good", " bad"}
        assert complete(model, prompt + "\n\n###\n\n") in {" good", " bad"}


def test_a_partial_completion_is_continued():
    model = tuned(*((prompt + " ->", completion) for prompt, completion in PAIRS))

    assert complete(model, "The second colour is -> a") == " cold blue.\n"


def test_a_chat_model_answers_trained_questions():
    taught = [("What is your name?", "I am Anna."), ("What is your trade?", "I mend shoes.")]
    system = ChatMessage("system", "Answer briefly.")
    examples = [
        ChatTrainingExample(
            (system, ChatMessage("user", question), ChatMessage("assistant", answer))
        )
        for question, answer in taught
    ]
    training = ENGINE.base("any").train(TrainingSpec(examples, n_epochs=8))
    list(training)

    for question, answer in taught:
        for given in ((system, ChatMessage("user", question)), (ChatMessage("user", question),)):
            prompt = ENGINE.encode_chat(given)
            assert complete(training.snapshot(), prompt) == answer


def test_turns_of_weight_0_are_not_learnt():
    messages = (
        ChatMessage("user", "Say it."),
        ChatMessage("assistant", "Wrong words.", weight=0),
        ChatMessage("user", "Again, please."),
        ChatMessage("assistant", "Right words."),
    )
    training = ENGINE.base("any").train(TrainingSpec([ChatTrainingExample(messages)], n_epochs=8))
    list(training)
    model = training.snapshot()

    assert complete(model, ENGINE.encode_chat(messages[:3])) == "Right words."
    assert complete(model, ENGINE.encode_chat(messages[:1])) != "Wrong words."


def test_completions_depend_on_the_seed():
    model = ENGINE.base("any")
    completions = [complete(model, "The", temperature=1, seed=seed) for seed in (1, 1, 2, "a")]

    assert completions[0] == completions[1]
    assert len(set(completions)) == 3


def test_a_base_model_generates_english_words():
    text = complete(ENGINE.base("any"), "", temperature=1, seed=3)

    assert len(text.split()) > 5
    assert text.isascii()


def test_the_empty_prompt_and_the_end_of_text_token_are_the_same():
    model = ENGINE.base("any")

    assert complete(model, []) == complete(model, [ENGINE.end_of_text])


def test_generated_tokens_have_the_probabilities_of_scored_ones():
    model = tuned(*PAIRS)
    prompt = ENGINE.encode(PAIRS[0][0])
    generated = list(model.generate(prompt, GenerationSpec(temperature=0, top_logprobs=3)))
    scored = model.score([*prompt, *(token.token.id for token in generated)], top_logprobs=3)

    for one, other in zip(generated, scored[len(prompt) :], strict=True):
        assert one.token.id == other.token.id
        assert one.token.logprob == pytest.approx(other.token.logprob)
        assert [token.id for token in one.top] == [token.id for token in other.top]
        assert one.top[0].id == one.token.id
        assert sum(math.exp(token.logprob) for token in one.top) <= 1 + 1e-9


def test_scored_tokens_make_up_the_text():
    text = "Caf\u00e9 \u2603 and tea"
    scored = ENGINE.base("any").score(ENGINE.encode(text))

    assert "".join(token.text for token in scored) == text
    assert all(token.token.logprob < 0 and token.top == () for token in scored)


def test_an_unseen_token_can_be_forced():
    token = ENGINE.encode("z")[0]
    text = complete(ENGINE.base("any"), "The", logit_bias={token: 100}, max_tokens=3)

    assert text == "zzz"


def test_without_a_limit_the_completion_fills_the_context_window():
    prompt = [0] * (ENGINE.context_window - 5)
    spec = GenerationSpec(max_tokens=None, logit_bias={ENGINE.end_of_text: -100})
    generation = ENGINE.base("any").generate(prompt, spec)

    assert len(list(generation)) == 5
    assert generation.finish_reason == "length"


def test_a_serialized_model_is_restored():
    model = tuned(*((prompt + " ->", completion) for prompt, completion in PAIRS))
    again = ENGINE.load(model.to_bytes())

    assert again.to_bytes() == model.to_bytes()
    assert complete(again, PAIRS[1][0]) == PAIRS[1][1]
    assert complete(again, "It", temperature=1, seed=5) == complete(
        model, "It", temperature=1, seed=5
    )


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"no json", "Invalid JSON"),
        (b"{}", "n_tokens"),
        (b'{"n_tokens": 99999999, "separators": [], "counts": []}', "newer version"),
        (b'{"n_tokens": 9, "separators": [], "counts": [[0, -1], [2, 5, 7, 1]]}', "Row 1"),
    ],
)
def test_invalid_serialized_models_are_refused(data, reason):
    with pytest.raises(ValueError, match=reason):
        ENGINE.load(data)


@pytest.mark.slow
def test_training_is_equal_in_all_processes():
    code = (
        "import hashlib, sys; from tunesmith.service.engines.base import *;"
        "from tunesmith.service.engines.ngram.engine import NGramEngine;"
        "training = NGramEngine().base('any').train("
        "TrainingSpec([CompletionTrainingExample('Ask \\u2603 ->', ' Told')] * 5,"
        "n_epochs=2, seed=4));"
        "list(training);"
        "print(hashlib.sha256(training.snapshot().to_bytes()).hexdigest())"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }

    assert len(digests) == 1


def test_models_are_independent():
    base = ENGINE.base("any")
    before = loss(base, "Colours are warm or cold.")
    first = tuned(*PAIRS)
    second = tuned(("The first colour is", " green."))

    assert complete(first, PAIRS[0][0]) == PAIRS[0][1]
    assert complete(second, PAIRS[0][0]) == " green."
    assert loss(base, "Colours are warm or cold.") == before


def test_a_tuned_model_can_be_tuned_further():
    first = tuned(*PAIRS[:2])
    second = tuned(PAIRS[2], base=first)

    assert [complete(second, prompt) for prompt, _ in PAIRS] == [text for _, text in PAIRS]
    assert complete(first, PAIRS[2][0]) != PAIRS[2][1]
