"""Requests of a sampler, as the lines of its standard input have them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["SamplingRequest"]


@dataclass(frozen=True, slots=True)
class SamplingRequest:
    """Text to generate.

    Args:
        id: Number by which responses refer to the request.
        prompt: Token ids; at least one.
        max_tokens: Maximum number of tokens to generate.
        adapter: Folder of an adapter; None for the base model.
        temperature: 0 takes the most likely token.
        top_p: Share of the probability from whose most likely tokens to sample.
        top_logprobs: Number of alternatives to return for each token.
        logit_bias: Added to the logits, by token id.
        frequency_penalty: Subtracted from a logit for each time its token was generated.
        presence_penalty: Subtracted once if it was.
        seed: Seed of this text, which does not depend on other requests.
        grammar: Grammar of llguidance that the text must conform to.
    """

    id: int
    prompt: list[int]
    max_tokens: int
    adapter: str | None = None
    temperature: float = 1.0
    top_p: float = 1.0
    top_logprobs: int = 0
    logit_bias: Mapping[int, float] = field(default_factory=dict[int, float])
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    seed: int = 0
    grammar: str | None = None

    @classmethod
    def parse(cls, values: dict[str, Any]) -> "SamplingRequest":
        """Create a request from the values of a line."""
        bias = {int(token): value for token, value in values.pop("logit_bias", {}).items()}
        return cls(**values, logit_bias=bias)
