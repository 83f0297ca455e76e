"""Completions have the format and the rules of the API."""

import math
from itertools import pairwise

import pytest

from tunesmith.service.engines.ngram.tokenizer import standard_tokenizer

pytestmark = pytest.mark.anyio

PROMPT = "The sky is"


@pytest.fixture
def complete(api):
    """Complete a prompt by davinci-002."""

    async def send(prompt=PROMPT, **parameters):
        return await api.post("/completions", model="davinci-002", prompt=prompt, **parameters)

    return send


async def test_an_answer_has_the_format_of_the_api(complete, service):
    answer = await complete()
    assert answer["id"].startswith("cmpl-")
    assert answer["object"] == "text_completion"
    assert answer["created"] == int(service.clock.time())
    assert answer["model"] == "davinci-002"
    assert answer["system_fingerprint"].startswith("fp_")
    (choice,) = answer["choices"]
    assert set(choice) == {"text", "index", "logprobs", "finish_reason"}
    assert choice["logprobs"] is None


async def test_the_default_limit_is_sixteen_tokens(complete):
    answer = await complete(seed=1, n=8)
    usage = answer["usage"]
    assert usage["prompt_tokens"] > 0
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert usage["completion_tokens"] <= 8 * 16
    assert {choice["finish_reason"] for choice in answer["choices"]} <= {"stop", "length"}


async def test_a_truncated_completion_has_the_finish_reason_length(complete):
    answer = await complete(max_tokens=1)
    assert answer["choices"][0]["finish_reason"] == "length"
    assert answer["usage"]["completion_tokens"] == 1


async def test_only_a_seed_makes_a_completion_repeatable(complete):
    texts = [(await complete(seed=5, max_tokens=40))["choices"][0]["text"] for _ in range(2)]
    assert texts[0] == texts[1]
    others = {(await complete(max_tokens=40))["choices"][0]["text"] for _ in range(4)}
    assert len(others) > 1


async def test_choices_at_temperature_zero_are_equal(complete):
    answer = await complete(n=3, temperature=0)
    assert len({choice["text"] for choice in answer["choices"]}) == 1


async def test_each_prompt_has_n_choices_in_the_order_of_the_prompts(complete):
    prompts = ["The sky", "Water", "A stone"]
    answer = await complete(prompts, n=2, echo=True, max_tokens=1)
    assert [choice["index"] for choice in answer["choices"]] == list(range(6))
    for choice, prompt in zip(
        answer["choices"], sorted(prompts * 2, key=prompts.index), strict=True
    ):
        assert choice["text"].startswith(prompt)


async def test_token_ids_are_a_prompt_like_their_text(complete, service):
    ids = standard_tokenizer().encode(PROMPT)
    by_text = await complete(seed=1)
    by_ids = await complete(ids, seed=1)
    by_lists = await complete([ids, ids], seed=1)
    assert by_ids["choices"] == by_text["choices"]
    assert by_ids["usage"] == by_text["usage"]
    assert by_lists["choices"][0]["text"] == by_text["choices"][0]["text"]
    assert by_lists["usage"]["prompt_tokens"] == 2 * len(ids)


async def test_unknown_token_ids_are_refused(api):
    status, error = await api.fail("/completions", model="davinci-002", prompt=[10**9])
    assert (status, error["param"]) == (400, "prompt")


@pytest.mark.parametrize("token", ["abc", "-1", "", "1.5", "9" * 5000])
async def test_a_bias_must_be_for_a_token_id(api, token):
    status, error = await api.fail(
        "/completions", model="davinci-002", prompt="Kant", logit_bias={token: 1}
    )
    assert (status, error["param"]) == (400, "logit_bias")
    assert error["message"].startswith("Invalid key in 'logit_bias': ")


@pytest.mark.parametrize("prompt", [[], [[]]])
async def test_an_empty_list_of_prompts_is_refused(api, prompt):
    status, error = await api.fail("/completions", model="davinci-002", prompt=prompt)
    assert (status, error["message"]) == (400, "[] is too short - 'prompt'")


@pytest.mark.parametrize("prompt", ["", None])
async def test_an_empty_prompt_is_the_beginning_of_a_text(complete, prompt):
    answer = await complete(prompt, echo=True, max_tokens=5)
    assert answer["usage"]["prompt_tokens"] == 1
    assert "<|endoftext|>" not in answer["choices"][0]["text"]


async def test_a_stop_text_ends_a_completion_and_is_left_out(complete):
    whole = (await complete(temperature=0, max_tokens=30))["choices"][0]["text"]
    stop = whole.split()[2]
    answer = await complete(temperature=0, max_tokens=30, stop=[stop])
    (choice,) = answer["choices"]
    assert choice["finish_reason"] == "stop"
    assert choice["text"] == whole[: whole.index(stop)]


# Log-probabilities.


async def test_logprobs_have_the_probability_and_the_alternatives_of_each_token(complete):
    answer = await complete(logprobs=2, max_tokens=6)
    (choice,) = answer["choices"]
    logprobs = choice["logprobs"]
    assert "".join(logprobs["tokens"]) == choice["text"]
    assert len(logprobs["tokens"]) == answer["usage"]["completion_tokens"]
    for token, logprob, top in zip(
        logprobs["tokens"], logprobs["token_logprobs"], logprobs["top_logprobs"], strict=True
    ):
        assert logprob <= 0
        assert top[token] == logprob
        assert 2 <= len(top) <= 3
        assert sum(math.exp(each) for each in top.values()) <= 1 + 1e-9


async def test_offsets_count_from_the_beginning_of_the_prompt(complete):
    (choice,) = (await complete(logprobs=1, max_tokens=6))["choices"]
    offsets, tokens = choice["logprobs"]["text_offset"], choice["logprobs"]["tokens"]
    assert offsets[0] == len(PROMPT)
    assert [b - a for a, b in pairwise(offsets)] == [len(token) for token in tokens[:-1]]


async def test_zero_logprobs_have_no_alternatives(complete):
    (choice,) = (await complete(logprobs=0, max_tokens=3))["choices"]
    assert choice["logprobs"]["top_logprobs"] is None
    assert all(each < 0 for each in choice["logprobs"]["token_logprobs"])


async def test_an_echoed_first_token_has_no_probability(complete, service):
    answer = await complete(echo=True, logprobs=2, max_tokens=2)
    (choice,) = answer["choices"]
    logprobs = choice["logprobs"]
    assert "".join(logprobs["tokens"]) == choice["text"]
    assert logprobs["token_logprobs"][0] is None
    assert logprobs["top_logprobs"][0] is None
    assert all(each is not None for each in logprobs["token_logprobs"][1:])
    assert logprobs["text_offset"][0] == 0
    assert len(logprobs["tokens"]) == answer["usage"]["total_tokens"]


async def test_echo_without_tokens_to_generate_scores_the_prompt(complete):
    answer = await complete(echo=True, logprobs=0, max_tokens=0)
    (choice,) = answer["choices"]
    assert choice["text"] == PROMPT
    assert choice["finish_reason"] == "length"
    assert answer["usage"]["completion_tokens"] == 0


# Choosing among candidates.


async def test_best_of_returns_the_most_likely_candidates_and_counts_all(complete):
    answer = await complete(n=2, best_of=6, logprobs=0, max_tokens=8, seed=3)

    def mean(choice):
        values = choice["logprobs"]["token_logprobs"]
        return sum(values) / len(values)

    one, two = map(mean, answer["choices"])
    assert one >= two
    assert answer["usage"]["completion_tokens"] > 2 * 8
    alone = await complete(n=6, logprobs=0, max_tokens=8, seed=3)
    assert one == pytest.approx(max(map(mean, alone["choices"])))


async def test_best_of_below_n_is_refused(api):
    status, error = await api.fail("/completions", model="davinci-002", prompt="x", n=3, best_of=2)
    assert status == 400
    assert "(currently 3) to be at most 'best_of' (currently 2)" in error["message"]


async def test_best_of_cannot_be_streamed(api):
    status, error = await api.fail(
        "/completions", model="davinci-002", prompt="x", best_of=2, stream=True
    )
    assert status == 400
    assert "best_of" in error["message"]


async def test_the_candidate_that_fits_the_suffix_best_is_chosen(complete, service):
    """Of four candidates the one is returned after which the suffix is most likely."""
    suffix = " the river."
    model = await service.models.open("davinci-002")

    async def fits(text):
        before = standard_tokenizer().encode(PROMPT + text)
        after = standard_tokenizer().encode(suffix)
        scored = await model.score([*before, *after])
        return sum(t.token.logprob for t in scored[len(before) :])

    candidates = (await complete(n=4, seed=2))["choices"]
    answer = await complete(suffix=suffix, seed=2)
    scores = {choice["text"]: await fits(choice["text"]) for choice in candidates}
    best = max(scores, key=scores.__getitem__)
    assert answer["choices"][0]["text"] == best
    echoed = await complete(suffix=suffix, seed=2, echo=True)
    assert echoed["choices"][0]["text"] == PROMPT + best + suffix


# What is refused.


async def test_a_prompt_that_leaves_no_room_is_refused_in_the_words_of_the_service(api, service):
    window = service.models.info_of("davinci-002").context_window
    status, error = await api.fail(
        "/completions", model="davinci-002", prompt="The sky", max_tokens=window
    )
    assert status == 400
    assert error["code"] == "context_length_exceeded"
    tokens = len(standard_tokenizer().encode("The sky"))
    assert error["message"] == (
        f"This model's maximum context length is {window} tokens, however you requested "
        f"{window + tokens} tokens ({tokens} in your prompt; {window} for the completion). Please "
        "reduce your prompt; or completion length."
    )


async def test_an_unknown_model_is_404(api):
    status, error = await api.fail("/completions", model="unknown", prompt="x")
    assert status == 404
    assert error == {
        "message": "The model 'unknown' does not exist",
        "type": "invalid_request_error",
        "param": "model",
        "code": "model_not_found",
    }


async def test_a_chat_model_does_not_complete(api):
    status, error = await api.fail("/completions", model="gpt-4o-mini", prompt="x")
    assert (status, error["param"], error["code"]) == (404, "model", None)
    assert error["message"].startswith(
        "This is a chat model and not supported in the v1/completions endpoint."
    )


async def test_an_embedding_model_does_not_complete(api):
    status, error = await api.fail("/completions", model="text-embedding-3-small", prompt="x")
    assert status == 403
    assert error["message"] == "You are not allowed to sample from this model"


# Streams.


async def test_a_stream_brings_the_text_of_the_whole_answer(api, complete):
    whole = await complete(seed=4, max_tokens=12)
    events = await api.stream(
        "/completions", model="davinci-002", prompt=PROMPT, seed=4, max_tokens=12
    )
    assert "".join(event["choices"][0]["text"] for event in events) == whole["choices"][0]["text"]
    assert len({event["id"] for event in events}) == 1
    assert all("usage" not in event for event in events)
    reasons = [event["choices"][0]["finish_reason"] for event in events]
    assert reasons == [None] * (len(events) - 1) + [whole["choices"][0]["finish_reason"]]


async def test_choices_of_a_stream_are_interleaved(api, complete):
    prompts = ["The sky", "Water"]
    whole = await complete(prompts, n=2, seed=4, echo=True, max_tokens=5, logprobs=1)
    events = await api.stream(
        "/completions",
        model="davinci-002",
        prompt=prompts,
        n=2,
        seed=4,
        echo=True,
        max_tokens=5,
        logprobs=1,
    )
    assert [event["choices"][0]["index"] for event in events][:8] == [0, 1, 2, 3] * 2
    for choice in whole["choices"]:
        own = [e["choices"][0] for e in events if e["choices"][0]["index"] == choice["index"]]
        assert "".join(each["text"] for each in own) == choice["text"]
        scored = [each["logprobs"] for each in own if each["logprobs"]]
        for key, values in choice["logprobs"].items():
            assert [value for each in scored for value in each[key]] == values


async def test_include_usage_adds_a_last_event_with_the_usage(api, complete):
    whole = await complete(seed=4)
    *events, last = await api.stream(
        "/completions",
        model="davinci-002",
        prompt=PROMPT,
        seed=4,
        stream_options={"include_usage": True},
    )
    assert all(event["usage"] is None for event in events)
    assert last["choices"] == []
    assert last["usage"] == whole["usage"]


# Replies.


async def test_a_stub_takes_precedence_over_the_engine(complete, service):
    service.stub_reply("blue, as far as we know.")
    (choice,) = (await complete(max_tokens=50, logprobs=1))["choices"]
    assert choice["text"] == "blue, as far as we know."
    assert choice["finish_reason"] == "stop"
    assert all(each < 0 for each in choice["logprobs"]["token_logprobs"])


async def test_a_reply_is_cut_off_by_max_tokens(complete, service):
    service.stub_reply("blue, as far as we know.")
    answer = await complete(max_tokens=2)
    assert "blue, as far as we know.".startswith(answer["choices"][0]["text"])
    assert answer["choices"][0]["finish_reason"] == "length"
    assert answer["usage"]["completion_tokens"] == 2


async def test_a_function_may_reply_or_leave_it_to_the_engine(complete, service):
    unscripted = await complete(seed=1)
    service.stub_reply(lambda operation: "wet" if operation.prompt == "Water is" else None)
    assert (await complete("Water is"))["choices"][0]["text"] == "wet"
    assert (await complete(seed=1))["choices"] == unscripted["choices"]


async def test_the_last_reply_comes_first(complete, service):
    service.stub_reply("one")
    service.stub_reply("two")
    assert (await complete())["choices"][0]["text"] == "two"
