"""Sampling of the next token: temperature, nucleus, bias and penalties."""

import math
from collections import Counter
from collections.abc import Mapping
from random import Random

from tunesmith.service.engines.generation import GenerationSpec


def sample_token(
    probabilities: Mapping[int, float], spec: GenerationSpec, generated: Counter[int], rng: Random
) -> int:
    """Sample one of the tokens by the sampling parameters.

    Args:
        probabilities: Probabilities of the candidates, whose sum may be below 1.
        spec: The sampling parameters.
        generated: Counts of the tokens generated before.
        rng: Random number generator.
    """
    logits = _adjusted_logits(probabilities, spec, generated)
    ranked = sorted(logits, key=lambda token: (-logits[token], token))
    if spec.temperature == 0:
        return ranked[0]
    best = logits[ranked[0]]
    weights = [math.exp((logits[token] - best) / spec.temperature) for token in ranked]
    # The nucleus has at least one token, even for a top_p of 0.
    nucleus = spec.top_p * sum(weights)
    total, size = 0.0, 0
    while size < len(weights) and (size == 0 or total < nucleus):
        total += weights[size]
        size += 1
    return rng.choices(ranked[:size], weights[:size])[0]


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
