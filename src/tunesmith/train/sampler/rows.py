# pyright: basic, reportMissingImports=false
"""Texts that are being generated, and the choice of their next tokens."""

from collections import Counter
from typing import Any

import torch

from tunesmith.train.sampler.requests import SamplingRequest

__all__ = ["Row"]

_MIN_TEMPERATURE = 1e-5


class Row:
    """Text that is being generated: a row of the batch.

    Args:
        request: The request.
        matcher: Matcher of the grammar, if any.
        device: Device of the model.
    """

    def __init__(self, request: SamplingRequest, matcher: Any, device: torch.device) -> None:
        self.request = request
        self.tokens = list(request.prompt)
        """The prompt and what was generated."""
        self._matcher = matcher
        self._counts: Counter[int] = Counter()
        self._generator = torch.Generator(device).manual_seed(request.seed)

    @property
    def n_tokens(self) -> int:
        """Number of tokens generated so far."""
        return len(self.tokens) - len(self.request.prompt)

    @property
    def is_greedy(self) -> bool:
        """Whether the next token is simply the most likely one."""
        request = self.request
        is_adjusted = request.logit_bias or request.frequency_penalty or request.presence_penalty
        return not (request.temperature or is_adjusted or self._matcher)

    def choose(self, logits: torch.Tensor) -> int:
        """Return the next token.

        Args:
            logits: Logits of the model, which are not changed.

        Raises:
            ValueError: The grammar is too large to go on.
        """
        request = self.request
        logits = logits.clone()
        for token, bias in request.logit_bias.items():
            if 0 <= token < len(logits):
                logits[token] += bias
        if request.frequency_penalty or request.presence_penalty:
            for token, count in self._counts.items():
                logits[token] -= count * request.frequency_penalty + request.presence_penalty
        if self._matcher is not None:
            self._matcher.mask(logits)
        if request.temperature == 0:
            return int(logits.argmax())
        # Below the minimum all but the most likely tokens have the probability 0.
        temperature = max(request.temperature, _MIN_TEMPERATURE)
        probabilities = torch.softmax(logits / temperature, -1)
        if request.top_p < 1:
            ordered, order = probabilities.sort(descending=True)
            ordered[ordered.cumsum(0) - ordered > request.top_p] = 0
            return int(order[torch.multinomial(ordered, 1, generator=self._generator)])
        return int(torch.multinomial(probabilities, 1, generator=self._generator))

    def append(self, token: int) -> None:
        """Add the chosen token to the text."""
        self.tokens.append(token)
        self._counts[token] += 1
        if self._matcher is not None:
            self._matcher.advance(token)
