"""Texts that a sampler generates, token by token."""

import codecs
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

from tunesmith.service.engines.generation import FinishReason, ScoredToken
from tunesmith.service.engines.texts import StopTexts, text_decoder, token_logprob
from tunesmith.service.engines.transformers.sampler import Sampler, SamplerRequest
from tunesmith.service.engines.transformers.tokenizer import ModelTokenizer

__all__ = ["SamplerGeneration", "scored_token"]


class SamplerGeneration:
    """Completion in progress.

    Args:
        sampler: Sampler of the base model.
        tokenizer: Its tokenizer.
        values: Values of the request.
        stop: Texts that end the completion and are left out.
    """

    def __init__(
        self,
        sampler: Sampler,
        tokenizer: ModelTokenizer,
        values: Mapping[str, Any],
        stop: Sequence[str],
    ) -> None:
        self.finish_reason: FinishReason | None = None
        """`stop` (end of text, stop text) or `length`; None until the end."""
        self.n_tokens = 0
        """Number of tokens generated so far, including those of a stop text."""
        self._sampler = sampler
        self._tokenizer = tokenizer
        self._values = values
        self._stop_texts = StopTexts(stop)
        self._decoder = text_decoder()
        self._request: SamplerRequest | None = None
        self._ready: deque[ScoredToken] = deque()

    def __aiter__(self) -> "SamplerGeneration":
        return self

    async def __anext__(self) -> ScoredToken:
        """Return the next token.

        Raises:
            EngineError: The model cannot generate with these parameters.
        """
        while not self._ready and self.finish_reason is None:
            if self._values["max_tokens"] < 1:
                self.finish_reason = "length"
                break
            if self._request is None:
                self._request = self._sampler.send("generate", self._values)
            await self._sampler.wait(self._request)
            self._take(self._request)
        if not self._ready:
            raise StopAsyncIteration
        return self._ready.popleft()

    def close(self) -> None:
        """Stop generating; the row of the batch is free for others."""
        if self._request is not None:
            self._sampler.forget(self._request)

    def _take(self, request: SamplerRequest) -> None:
        while request.tokens and not self._stop_texts.is_stopped:
            token = scored_token(self._tokenizer, request.tokens.popleft(), self._decoder)
            self.n_tokens += 1
            self._ready.extend(self._stop_texts.add(token))
        if self._stop_texts.is_stopped:
            self.finish_reason = "stop"
            self.close()
        elif request.end is not None:
            self.finish_reason = "stop" if request.end == "stop" else "length"
            self._ready.extend(self._stop_texts.flush())
            self.close()


def scored_token(
    tokenizer: ModelTokenizer,
    values: Sequence[Any],
    decoder: codecs.IncrementalDecoder | None = None,
) -> ScoredToken:
    """Convert a token of a sampler.

    Args:
        tokenizer: Tokenizer of the model.
        values: Its id, its log-probability, and its alternatives.
        decoder: Decoder that holds incomplete characters; None for a token on its own.
    """
    number, logprob, top = values
    token = token_logprob(number, tokenizer.token_bytes(number), logprob)
    text = token.token_bytes.decode("utf-8", "replace")
    if decoder is not None:
        text = decoder.decode(token.token_bytes)
    alternatives = tuple(
        token_logprob(other, tokenizer.token_bytes(other), value) for other, value in top
    )
    return ScoredToken(token, alternatives, text)
