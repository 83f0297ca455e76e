# pyright: basic, reportMissingImports=false
"""Constrained decoding by llguidance: only tokens that keep a text valid are chosen."""

from typing import Any

import llguidance
import numpy as np
import torch

from tunesmith.service.engines.transformers.tokenizer import ModelTokenizer

__all__ = ["Grammars"]


class Grammars:
    """Vocabulary for which matchers of grammars are made.

    Args:
        tokenizer: Tokenizer of the model.
        size: Number of logits, which may be larger than the vocabulary.
    """

    def __init__(self, tokenizer: ModelTokenizer, size: int) -> None:
        stop = sorted(tokenizer.stop_ids)
        self._tokenizer = llguidance.LLTokenizer(
            tokenizer.path.read_text("utf-8"), n_vocab=max(size, tokenizer.size), eos_token=stop
        )

    def match(self, grammar: str) -> "_Matcher":
        """Return a matcher of a grammar.

        Args:
            grammar: The grammar, in the syntax of llguidance.

        Raises:
            ValueError: The grammar is invalid or too large.
        """
        matcher = llguidance.LLMatcher(self._tokenizer, grammar, log_level=0)
        if matcher.is_error():
            raise ValueError(f"the JSON schema is not supported: {matcher.get_error()}")
        return _Matcher(matcher)


class _Matcher:
    def __init__(self, matcher: Any) -> None:
        self._matcher = matcher

    def mask(self, logits: torch.Tensor) -> None:
        """Set the logits of all tokens that would make the text invalid to -inf.

        Raises:
            ValueError: The grammar is too large to go on.
        """
        bits = np.frombuffer(self._matcher.compute_bitmask(), dtype=np.uint8)
        if self._matcher.is_error():
            raise ValueError(f"the text cannot be constrained: {self._matcher.get_error()}")
        allowed = torch.from_numpy(np.unpackbits(bits, bitorder="little")[: len(logits)]).bool()
        logits[~allowed.to(logits.device)] = -torch.inf

    def advance(self, token: int) -> None:
        """Move past a chosen token."""
        self._matcher.consume_token(token)
