"""What a tree of counts says about a text: its continuation and its probability."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from heapq import nlargest
from random import Random

from tunesmith.service.engines.base import GenerationSpec, ScoredToken, TokenLogprob
from tunesmith.service.engines.ngram.context_tree import ContextTree
from tunesmith.service.engines.ngram.encoding import Context, Separator
from tunesmith.service.engines.ngram.generation import (
    TextGeneration,
    scored_token,
    text_decoder,
    token_logprob,
)
from tunesmith.service.engines.ngram.sampling import sample_token
from tunesmith.service.engines.ngram.tokenizer import END_OF_TEXT, Tokenizer

CONTEXT_WINDOW = 16_384


@dataclass(frozen=True, slots=True)
class Weights:
    """All that an n-gram model has learnt.

    Args:
        tokenizer: Its vocabulary.
        tree: Its counts.
        separators: What its training prompts ended with.
    """

    tokenizer: Tokenizer
    tree: ContextTree
    separators: tuple[Separator, ...] = ()


def generate(weights: Weights, prompt: Sequence[int], spec: GenerationSpec) -> TextGeneration:
    """Continue a prompt, one token for each call of the iterator."""
    rng = Random(spec.seed)  # noqa: S311 - reproducible, not secret
    context = Context(weights.separators, prompt)
    context.end_prompt()
    biased = [token for token in spec.logit_bias if 0 <= token < len(weights.tokenizer)]
    generated: Counter[int] = Counter()
    decoder = text_decoder()

    def sample() -> ScoredToken:
        probabilities = weights.tree.candidates(context.tokens, biased)
        token = sample_token(probabilities, spec, generated, rng)
        context.append(token)
        generated[token] += 1
        top = _likeliest(weights.tokenizer, probabilities, spec.top_logprobs)
        return scored_token(
            _top_logprobs(weights.tokenizer, token, probabilities[token]), top, decoder
        )

    room = max(0, CONTEXT_WINDOW - len(prompt))
    return TextGeneration(
        sample,
        end_of_text=END_OF_TEXT,
        max_tokens=room if spec.max_tokens is None else min(room, spec.max_tokens),
        stop=spec.stop,
    )


def score(weights: Weights, tokens: Sequence[int], top_logprobs: int) -> list[ScoredToken]:
    """Give each token its probability after those before it."""
    context = Context(weights.separators)
    decoder = text_decoder()
    scored: list[ScoredToken] = []
    for token in tokens:
        before = context.tokens
        top: list[TokenLogprob] = []
        if top_logprobs:
            top = _likeliest(weights.tokenizer, weights.tree.candidates(before), top_logprobs)
        before.append(token)
        probability = weights.tree.probability(before, len(before) - 1)
        before.pop()
        context.append(token)
        scored.append(
            scored_token(_top_logprobs(weights.tokenizer, token, probability), top, decoder)
        )
    return scored


def _likeliest(
    tokenizer: Tokenizer, probabilities: Mapping[int, float], count: int
) -> list[TokenLogprob]:
    best = nlargest(count, probabilities, key=probabilities.__getitem__) if count else []
    return [_top_logprobs(tokenizer, token, probabilities[token]) for token in best]


def _top_logprobs(tokenizer: Tokenizer, token: int, probability: float) -> TokenLogprob:
    return token_logprob(token, tokenizer.token_bytes(token), math.log(probability))
