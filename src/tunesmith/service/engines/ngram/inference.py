"""Completion and scoring of texts by a context tree."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from heapq import nlargest
from random import Random

from tunesmith.service.engines.generation import GenerationSpec, ScoredToken, TokenLogprob
from tunesmith.service.engines.ngram.context_tree import ContextTree
from tunesmith.service.engines.ngram.encoding import Context, Separator
from tunesmith.service.engines.ngram.generation import (
    TextGeneration,
    scored_token,
)
from tunesmith.service.engines.ngram.sampling import sample_token
from tunesmith.service.engines.ngram.tokenizer import END_OF_TEXT, Tokenizer
from tunesmith.service.engines.texts import text_decoder, token_logprob

CONTEXT_WINDOW = 16_384


@dataclass(frozen=True, slots=True)
class Weights:
    """Weights of an n-gram model.

    Args:
        tokenizer: Its vocabulary.
        tree: Its counts.
        separators: Separators of its training prompts.
    """

    tokenizer: Tokenizer
    tree: ContextTree
    separators: tuple[Separator, ...] = ()

    def sample(self, prompt: Sequence[int], spec: GenerationSpec) -> TextGeneration:
        """Complete a prompt; each step of the iterator samples one token."""
        rng = Random(spec.seed)  # noqa: S311 - reproducible, not secret
        context = Context(self.separators, prompt)
        context.end_prompt()
        biased = [token for token in spec.logit_bias if 0 <= token < len(self.tokenizer)]
        generated: Counter[int] = Counter()
        decoder = text_decoder()

        def next_token() -> ScoredToken:
            probabilities = self.tree.candidates(context.tokens, biased)
            token = sample_token(probabilities, spec, generated, rng)
            context.append(token)
            generated[token] += 1
            top = self._most_likely(probabilities, spec.top_logprobs)
            return scored_token(self._scored(token, probabilities[token]), top, decoder)

        available = max(0, CONTEXT_WINDOW - len(prompt))
        return TextGeneration(
            next_token,
            end_of_text=END_OF_TEXT,
            max_tokens=available if spec.max_tokens is None else min(available, spec.max_tokens),
            stop=spec.stop,
        )

    def score_tokens(self, tokens: Sequence[int], top_logprobs: int = 0) -> list[ScoredToken]:
        """Return the log-probability of each token after those before it."""
        context = Context(self.separators)
        decoder = text_decoder()
        scored: list[ScoredToken] = []
        for token in tokens:
            before = context.tokens
            top: list[TokenLogprob] = []
            if top_logprobs:
                top = self._most_likely(self.tree.candidates(before), top_logprobs)
            before.append(token)
            probability = self.tree.probability(before, len(before) - 1)
            before.pop()
            context.append(token)
            scored.append(scored_token(self._scored(token, probability), top, decoder))
        return scored

    def _most_likely(self, probabilities: Mapping[int, float], count: int) -> list[TokenLogprob]:
        best = nlargest(count, probabilities, key=probabilities.__getitem__) if count else []
        return [self._scored(token, probabilities[token]) for token in best]

    def _scored(self, token: int, probability: float) -> TokenLogprob:
        return token_logprob(token, self.tokenizer.token_bytes(token), math.log(probability))
