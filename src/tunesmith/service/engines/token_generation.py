"""Generation of text from token ids that arrive from elsewhere."""

import codecs
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Protocol, Self, TypeAlias

from tunesmith.service.engines.generation import FinishReason, ScoredToken
from tunesmith.service.engines.texts import StopTexts, text_decoder, token_logprob

__all__ = ["ReceivedToken", "TokenGeneration", "scored_token"]

ReceivedToken: TypeAlias = tuple[int, float, Sequence[tuple[int, float]]]
"""Id of a token, its log-probability, and its alternatives."""


class Vocabulary(Protocol):
    """Texts of token ids."""

    def token_bytes(self, token: int, /) -> bytes:
        """Return the bytes of a token."""
        ...


class TokenGeneration(ABC):
    """Completion in progress, whose tokens a subclass receives.

    Args:
        vocabulary: Texts of its tokens.
        stop: Texts that end the completion and are left out.
        max_tokens: Maximum number of tokens; None for no limit.
    """

    def __init__(self, vocabulary: Vocabulary, stop: Sequence[str], max_tokens: int | None) -> None:
        self.finish_reason: FinishReason | None = None
        """`stop` (end of text, stop text) or `length`; None until the end."""
        self.n_tokens = 0
        """Number of tokens generated so far, including those of a stop text."""
        self._vocabulary = vocabulary
        self._max_tokens = max_tokens
        self._stop_texts = StopTexts(stop)
        self._decoder = text_decoder()
        self._ready: deque[ScoredToken] = deque()

    @abstractmethod
    async def _receive(self) -> tuple[Iterable[ReceivedToken], str | None]:
        """Return tokens, and at the end `stop` or `length`; the first call starts to generate."""

    @abstractmethod
    async def aclose(self) -> None:
        """Stop generating."""

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> ScoredToken:
        """Return the next token.

        Raises:
            EngineError: The model cannot generate with these parameters.
        """
        if self._max_tokens is not None and self._max_tokens < 1:
            self.finish_reason = "length"
        while not self._ready and self.finish_reason is None:
            await self._take(*await self._receive())
        if not self._ready:
            raise StopAsyncIteration
        return self._ready.popleft()

    async def _take(self, tokens: Iterable[ReceivedToken], end: str | None) -> None:
        for token in tokens:
            self.n_tokens += 1
            self._add(scored_token(self._vocabulary, token, self._decoder))
            if self._stop_texts.is_stopped:
                end = "stop"
                break
        if end is not None:
            self._flush()
            self.finish_reason = (
                "stop" if end == "stop" or self._stop_texts.is_stopped else "length"
            )
            await self.aclose()

    def _add(self, token: ScoredToken) -> None:
        """Add a token to those that are ready, unless a stop text may begin in it."""
        self._ready.extend(self._stop_texts.add(token))

    def _flush(self) -> None:
        """Add the tokens that wait for a stop text."""
        self._ready.extend(self._stop_texts.flush())


def scored_token(
    vocabulary: Vocabulary,
    received: ReceivedToken,
    decoder: codecs.IncrementalDecoder | None = None,
) -> ScoredToken:
    """Convert a token that was received.

    Args:
        vocabulary: Texts of tokens.
        received: The token.
        decoder: Decoder that holds incomplete characters; None for a token on its own.
    """
    number, logprob, top = received
    token = token_logprob(number, vocabulary.token_bytes(number), logprob)
    text = token.token_bytes.decode("utf-8", "replace")
    if decoder is not None:
        text = decoder.decode(token.token_bytes)
    alternatives = tuple(
        token_logprob(other, vocabulary.token_bytes(other), value) for other, value in top
    )
    return ScoredToken(token, alternatives, text)
