"""The choice of the next token: temperature, nucleus, bias and penalties."""

import math
from collections import Counter
from collections.abc import Mapping
from random import Random

from tunesmith.service.engines.base import GenerationSpec


def sample_token(
    probabilities: Mapping[int, float], spec: GenerationSpec, generated: Counter[int], rng: Random
) -> int:
    """Draw one of the tokens as the sampling parameters ask.

    Args:
        probabilities: The tokens to choose from; they need not add up to 1.
        spec: The sampling parameters.
        generated: How often each token was generated before.
        rng: Where the chance comes from.
    """
    logits = _adjusted_logits(probabilities, spec, generated)
    ranked = sorted(logits, key=lambda token: (-logits[token], token))
    if spec.temperature == 0:
        return ranked[0]
    best = logits[ranked[0]]
    weights = [math.exp((logits[token] - best) / spec.temperature) for token in ranked]
    # At least one token is always in the nucleus, even for a top_p of 0.
    nucleus = spec.top_p * sum(weights)
    kept, n_kept = 0.0, 0
    while n_kept < len(weights) and (n_kept == 0 or kept < nucleus):
        kept += weights[n_kept]
        n_kept += 1
    return rng.choices(ranked[:n_kept], weights[:n_kept])[0]


def _adjusted_logits(
    probabilities: Mapping[int, float], spec: GenerationSpec, generated: Counter[int]
) -> dict[int, float]:
    logits = {token: math.log(value) for token, value in probabilities.items() if value > 0}
    for token, bias in spec.logit_bias.items():
        if token in logits:
            logits[token] += bias
    if spec.presence_penalty or spec.frequency_penalty:
        for token, count in generated.items():
            if token in logits:
                logits[token] -= spec.presence_penalty + spec.frequency_penalty * count
    return logits
