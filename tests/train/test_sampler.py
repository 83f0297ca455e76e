"""A sampler generates many texts at once, each as if it were alone."""

import json
import math

import pytest

torch = pytest.importorskip("torch", reason="needs tunesmith[train]")
transformers = pytest.importorskip("transformers", reason="needs tunesmith[train]")
peft = pytest.importorskip("peft", reason="needs tunesmith[train]")

from tunesmith.train.sampler.model import SamplerModel
from tunesmith.train.sampler.process import Sampler

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning"),
]

ENDLESS = {"256": -100, "258": -100}
PROMPTS = [[60], [60, 61, 62, 63, 64, 65, 66, 67], [70, 71, 72]]


@pytest.fixture(scope="module")
def adapters(tiny, tmp_path_factory):
    """Folders of two random adapters with visible effects."""
    folders = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        model = transformers.AutoModelForCausalLM.from_pretrained(tiny)
        config = peft.LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False)
        folder = tmp_path_factory.mktemp("adapter")
        peft.get_peft_model(model, config).save_pretrained(folder)
        folders.append(str(folder))
    return folders


@pytest.fixture(scope="module")
def model(tiny):
    return SamplerModel(tiny)


@pytest.fixture
def sampler(model):
    return Sampler(model)


def request(id, prompt, **settings):
    values = {"op": "generate", "id": id, "prompt": list(prompt), "max_tokens": 8}
    return values | {"temperature": 0} | settings


def finish(sampler):
    """Generate to the end; return the tokens and the end of each request."""
    texts, ends = {}, {}
    while not sampler.is_idle:
        sampler.advance()
    for response in sampler.output:
        texts.setdefault(response["id"], []).extend(response.get("tokens", ()))
        if "end" in response or "error" in response:
            ends[response["id"]] = response.get("end") or response["error"]
    sampler.output.clear()
    return {key: [token for token, *_ in tokens] for key, tokens in texts.items()}, ends


def generate_alone(tiny, prompt, adapter=None):
    model = transformers.AutoModelForCausalLM.from_pretrained(tiny)
    if adapter:
        model = peft.PeftModel.from_pretrained(model, adapter)
    ids = torch.tensor([prompt])
    output = model.generate(
        ids, attention_mask=torch.ones_like(ids), max_new_tokens=8, do_sample=False, pad_token_id=0
    )
    tokens = output[0, len(prompt) :].tolist()
    return [token for token in tokens if token not in (256, 258)]


def test_adapters_share_a_batch_and_rows_join_later(sampler, tiny, adapters):
    cases = [(prompt, adapter) for adapter in (None, *adapters) for prompt in PROMPTS]
    for number, (prompt, adapter) in enumerate(cases):
        sampler.handle(request(number, prompt, adapter=adapter))
        if number % 2:
            sampler.advance()
    texts, ends = finish(sampler)
    for number, (prompt, adapter) in enumerate(cases):
        assert texts[number] == generate_alone(tiny, prompt, adapter)
    assert set(ends.values()) <= {"length", "stop"}
    assert texts[0] != texts[3]


def test_a_seed_gives_the_same_text_whatever_else_is_sampled(sampler):
    settings = {"temperature": 1.0, "top_p": 0.9, "seed": 5}
    sampler.handle(request(0, PROMPTS[1], **settings))
    alone, _ = finish(sampler)
    for number in range(3):
        sampler.handle(
            request(number, PROMPTS[number], **settings | {"seed": 5 if number == 1 else number})
        )
    together, _ = finish(sampler)
    assert together[1] == alone[0]
    assert together[2] != alone[0]


def test_bias_and_penalties_change_the_choice_but_not_the_logprobs(sampler):
    sampler.handle(request(0, PROMPTS[0], max_tokens=1, top_logprobs=2))
    sampler.advance()
    [[token, logprob, top]] = sampler.output.pop()["tokens"]
    assert top[0] == [token, pytest.approx(logprob)]
    second = top[1]
    sampler.handle(request(1, PROMPTS[0], max_tokens=1, logit_bias={str(token): -100}))
    sampler.advance()
    [[chosen, logprob, _]] = sampler.output.pop()["tokens"]
    assert [chosen, logprob] == [second[0], pytest.approx(second[1], abs=1e-5)]
    bias = {"65": 50}
    for number, penalty in enumerate((0, 60)):
        settings = {"logit_bias": bias, "presence_penalty": penalty}
        sampler.handle(request(number, PROMPTS[0], **settings))
    texts, _ = finish(sampler)
    assert texts[0] == [65] * 8
    assert texts[1].count(65) == 1


def test_a_stop_id_ends_a_text_and_is_left_out(sampler):
    sampler.handle(request(0, PROMPTS[0], logit_bias={"258": 100}))
    assert finish(sampler) == ({0: []}, {0: "stop"})


def test_a_cancelled_request_leaves_the_batch(sampler):
    for number, prompt in enumerate(PROMPTS):
        sampler.handle(request(number, prompt, logit_bias=ENDLESS))
    sampler.advance()
    sampler.handle({"op": "cancel", "id": 1})
    assert [row.request.id for row in sampler._batches[None].rows] == [0, 2]
    texts, ends = finish(sampler)
    assert len(texts[1]) == 1
    assert 1 not in ends


def test_a_request_that_fails_disturbs_no_other(sampler):
    sampler.handle(request(0, PROMPTS[0]))
    sampler.handle(request(1, PROMPTS[0], adapter="/nowhere"))
    texts, ends = finish(sampler)
    assert len(texts[0]) == 8
    assert "nowhere" in ends[1]


def test_scores_are_the_logprobs_of_given_tokens(sampler, tiny):
    sampler.handle({"op": "score", "id": 0, "tokens": PROMPTS[1], "top_logprobs": 1})
    scores = sampler.output.pop()["tokens"]
    model = transformers.AutoModelForCausalLM.from_pretrained(tiny)
    with torch.no_grad():
        logprobs = model(torch.tensor([PROMPTS[1]])).logits[0].log_softmax(-1)
    for position, (token, value, [[_, best]]) in enumerate(scores):
        assert token == PROMPTS[1][position + 1]
        assert value == pytest.approx(float(logprobs[position, token]), abs=1e-4)
        assert best == pytest.approx(float(logprobs[position].max()), abs=1e-4)


def test_an_embedding_is_the_mean_of_the_last_hidden_states(sampler, tiny, adapters):
    for number, adapter in enumerate((None, adapters[0])):
        command = {"op": "embed", "id": number, "tokens": PROMPTS[1], "adapter": adapter}
        sampler.handle(command)
    base, tuned = (response["tokens"] for response in sampler.output)
    model = transformers.AutoModelForCausalLM.from_pretrained(tiny)
    with torch.no_grad():
        output = model(torch.tensor([PROMPTS[1]]), output_hidden_states=True)
    assert base == pytest.approx(output.hidden_states[-1][0].mean(0).tolist(), abs=1e-4)
    assert tuned != pytest.approx(base, abs=1e-4)
    sampler.output.clear()


def test_texts_conform_to_a_json_schema(sampler, model):
    pytest.importorskip("llguidance", reason="needs tunesmith[train]")
    schema = {
        "type": "object",
        "properties": {"color": {"enum": ["red", "blue"]}, "n": {"type": "boolean"}},
        "required": ["color", "n"],
        "additionalProperties": False,
    }
    grammar = f"start: %json {json.dumps(schema)}"
    for number in range(3):
        settings = {"temperature": 1.0, "seed": number, "grammar": grammar, "max_tokens": 200}
        sampler.handle(request(number, PROMPTS[number], **settings))
    texts, ends = finish(sampler)
    for tokens in texts.values():
        value = json.loads(model._tokenizer.decode(tokens))
        assert value["color"] in ("red", "blue")
        assert isinstance(value["n"], bool)
    assert set(ends.values()) == {"stop"}


def test_an_invalid_grammar_is_an_error(sampler):
    pytest.importorskip("llguidance", reason="needs tunesmith[train]")
    sampler.handle(request(0, PROMPTS[0], grammar='start: %json {"type": "poem"}'))
    assert "Invalid type: poem" in sampler.output.pop()["error"]


def test_a_grammar_that_becomes_too_large_fails_only_its_request(sampler):
    pytest.importorskip("llguidance", reason="needs tunesmith[train]")
    grammar = 'start: %json {"type": "object"}'
    sampler.handle(request(0, PROMPTS[0], logit_bias=ENDLESS))
    sampler.handle(request(1, PROMPTS[1], grammar=grammar))
    sampler.advance()
    [row] = [row for row in sampler._batches[None].rows if row.request.id == 1]
    row._matcher.advance(258)  # not a token of JSON: the library's matcher fails from here on
    texts, ends = finish(sampler)
    assert "cannot be constrained" in ends[1]
    assert (len(texts[0]), ends[0]) == (8, "length")


def test_probabilities_are_those_of_the_model(sampler):
    sampler.handle(request(0, PROMPTS[0], max_tokens=1, top_logprobs=259))
    sampler.advance()
    [[_, _, top]] = sampler.output.pop()["tokens"]
    assert sum(math.exp(value) for _, value in top) == pytest.approx(1)


def test_the_smallest_temperature_takes_the_most_likely_tokens(sampler):
    for number, temperature in enumerate((0, 1e-320)):
        sampler.handle(request(number, PROMPTS[1], temperature=temperature))
    texts, _ = finish(sampler)
    assert texts[0] == texts[1]


def test_weights_that_diverged_fail_the_request(tiny):
    model = SamplerModel(tiny)
    with torch.no_grad():
        next(model._model.parameters()).fill_(torch.nan)
    sampler = Sampler(model)
    for number, temperature in enumerate((0, 1)):
        sampler.handle(request(number, PROMPTS[0], temperature=temperature))
    _, ends = finish(sampler)
    assert set(ends.values()) == {"the model's outputs are not numbers: its weights diverged"}


def test_a_token_without_an_embedding_fails_only_its_request(sampler):
    sampler.handle(request(0, PROMPTS[0]))
    sampler.handle(request(1, [60, 9999]))
    sampler.handle({"op": "score", "id": 2, "tokens": [60, 9999], "top_logprobs": 0})
    texts, ends = finish(sampler)
    assert len(texts[0]) == 8
    assert "no embedding of the token id 9999" in ends[1]
    assert ends[2] == ends[1]


@pytest.mark.filterwarnings("ignore:The following .*_pattern keys")
@pytest.mark.parametrize("model_type", ["opt", "mixtral"])
def test_adapters_that_cannot_share_a_batch_get_one_each(model_type, make_model, tmp_path):
    """Layers of experts, and of models that flatten their rows."""
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
    sizes |= {"ffn_dim": 64, "word_embed_proj_dim": 32} if model_type == "opt" else {}
    sizes |= {"num_key_value_heads": 2, "intermediate_size": 64} if model_type == "mixtral" else {}
    base = make_model(transformers.AutoConfig.for_model(model_type, **sizes))
    adapter = str(tmp_path / "adapter")
    config = peft.LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False)
    model = transformers.AutoModelForCausalLM.from_pretrained(base)
    peft.get_peft_model(model, config).save_pretrained(adapter)
    sampler = Sampler(SamplerModel(base))
    sampler.handle(request(0, PROMPTS[0]))
    sampler.advance()  # the first request is in progress when the adapter is loaded
    sampler.handle(request(1, PROMPTS[1], adapter=adapter))
    sampler.handle(request(2, PROMPTS[2]))
    texts, _ = finish(sampler)
    expected = [(PROMPTS[0], None), (PROMPTS[1], adapter), (PROMPTS[2], None)]
    assert [texts[n] for n in range(3)] == [generate_alone(base, *case) for case in expected]


def test_models_with_a_recurrent_state_are_refused(make_model):
    config = transformers.MambaConfig(hidden_size=32, num_hidden_layers=2)
    with pytest.raises(ValueError, match="'mamba' are not supported"):
        SamplerModel(make_model(config))
