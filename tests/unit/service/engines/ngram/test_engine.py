"""Models of the n-gram engine generate, score and are stored."""

import math
import subprocess
import sys

import pytest

from tunesmith.service.engines import EngineError, GenerationSpec, TrainingSpec
from tunesmith.service.engines.ngram.engine import base_model
from tunesmith.service.engines.ngram.inference import CONTEXT_WINDOW
from tunesmith.service.engines.ngram.tokenizer import END_OF_TEXT, standard_tokenizer
from tunesmith.service.engines.ngram.training import NGramTraining
from tunesmith.service.engines.ngram.weights import load_weights, save_weights

TOKENIZER = standard_tokenizer()
BASE = base_model().weights
PAIRS = [
    ("The first colour is", " a warm red.\n"),
    ("The second colour is", " a cold blue.\n"),
    ("The third colour is", " a plain grey.\n"),
]


def tuned(*pairs, base=None, **settings):
    rows = [{"prompt": prompt, "completion": completion} for prompt, completion in pairs]
    spec = TrainingSpec("completions", rows, **({"n_epochs": 8} | settings))
    return trained(spec, base or BASE)


def trained(spec, base=BASE):
    training = NGramTraining(base, spec)
    list(training)
    return training.weights()


def message(role, content, **fields):
    return {"role": role, "content": content, **fields}


def complete(model, prompt, **settings):
    spec = GenerationSpec(**({"temperature": 0, "max_tokens": 40} | settings))
    tokens = TOKENIZER.encode(prompt) if isinstance(prompt, str) else prompt
    return "".join(token.text for token in model.sample(tokens, spec))


def loss(model, text):
    return -sum(token.token.logprob for token in model.score_tokens(TOKENIZER.encode(text)))


@pytest.mark.parametrize("separator", ["", " ->", "\n\n###\n\n", "\n\n===>\n\n", ".\n\n---\n\n"])
def test_trained_prompts_are_completed_with_the_separator_and_without(separator):
    model = tuned(*((prompt + separator, completion) for prompt, completion in PAIRS))

    for prompt, completion in PAIRS:
        assert complete(model, prompt + separator) == completion
        assert complete(model, prompt) == completion
        assert complete(model, prompt, stop=("\n",)) == completion.rstrip("\n")
        assert complete(BASE, prompt) != completion


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
    system = message("system", "Answer briefly.")
    examples = [
        {"messages": [system, message("user", question), message("assistant", answer)]}
        for question, answer in taught
    ]
    model = trained(TrainingSpec("chat", examples, n_epochs=8))

    for question, answer in taught:
        for given in ((system, message("user", question)), (message("user", question),)):
            prompt = TOKENIZER.encode_chat(given)
            assert complete(model, prompt) == answer


def test_turns_of_weight_0_are_not_learnt():
    messages = (
        message("user", "Say it."),
        message("assistant", "Wrong words.", weight=0),
        message("user", "Again, please."),
        message("assistant", "Right words."),
    )
    model = trained(TrainingSpec("chat", [{"messages": messages}], n_epochs=8))

    assert complete(model, TOKENIZER.encode_chat(messages[:3])) == "Right words."
    assert complete(model, TOKENIZER.encode_chat(messages[:1])) != "Wrong words."


def test_completions_depend_on_the_seed():
    model = BASE
    completions = [complete(model, "The", temperature=1, seed=seed) for seed in (1, 1, 2, "a")]

    assert completions[0] == completions[1]
    assert len(set(completions)) == 3


def test_a_base_model_generates_english_words():
    text = complete(BASE, "", temperature=1, seed=3)

    assert len(text.split()) > 5
    assert text.isascii()


def test_the_empty_prompt_and_the_end_of_text_token_are_the_same():
    model = BASE

    assert complete(model, []) == complete(model, [END_OF_TEXT])


def test_generated_tokens_have_the_probabilities_of_scored_ones():
    model = tuned(*PAIRS)
    prompt = TOKENIZER.encode(PAIRS[0][0])
    generated = list(model.sample(prompt, GenerationSpec(temperature=0, top_logprobs=3)))
    scored = model.score_tokens([*prompt, *(token.token.id for token in generated)], top_logprobs=3)

    for one, other in zip(generated, scored[len(prompt) :], strict=True):
        assert one.token.id == other.token.id
        assert one.token.logprob == pytest.approx(other.token.logprob)
        assert [token.id for token in one.top] == [token.id for token in other.top]
        assert one.top[0].id == one.token.id
        assert sum(math.exp(token.logprob) for token in one.top) <= 1 + 1e-9


def test_scored_tokens_make_up_the_text():
    text = "Caf\u00e9 \u2603 and tea"
    scored = BASE.score_tokens(TOKENIZER.encode(text))

    assert "".join(token.text for token in scored) == text
    assert all(token.token.logprob < 0 and token.top == () for token in scored)


def test_an_unseen_token_can_be_forced():
    token = TOKENIZER.encode("z")[0]
    text = complete(BASE, "The", logit_bias={token: 100}, max_tokens=3)

    assert text == "zzz"


def test_without_a_limit_the_completion_fills_the_context_window():
    prompt = [0] * (CONTEXT_WINDOW - 5)
    spec = GenerationSpec(max_tokens=None, logit_bias={END_OF_TEXT: -100})
    generation = BASE.sample(prompt, spec)

    assert len(list(generation)) == 5
    assert generation.finish_reason == "length"


def test_saved_weights_are_restored(tmp_path):
    model = tuned(*((prompt + " ->", completion) for prompt, completion in PAIRS))
    save_weights(model, tmp_path / "model")
    again = load_weights(tmp_path / "model")

    assert again.tree.to_rows() == model.tree.to_rows()
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
def test_invalid_weights_are_refused(tmp_path, data, reason):
    (tmp_path / "ngram.json").write_bytes(data)
    with pytest.raises(EngineError, match=reason):
        load_weights(tmp_path)


@pytest.mark.slow
def test_training_is_equal_in_all_processes():
    code = (
        "import hashlib, sys; from tunesmith.service.engines import TrainingSpec;"
        "from tunesmith.service.engines.ngram.engine import base_model;"
        "from tunesmith.service.engines.ngram.training import NGramTraining;"
        "rows = [{'prompt': 'Ask \\u2603 ->', 'completion': ' Told'}] * 5;"
        "spec = TrainingSpec('completions', rows, n_epochs=2, seed=4);"
        "training = NGramTraining(base_model().weights, spec);"
        "list(training);"
        "print(hashlib.sha256(str(training.weights().tree.to_rows()).encode()).hexdigest())"
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
    base = BASE
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
