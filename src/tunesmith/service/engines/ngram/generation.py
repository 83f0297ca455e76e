"""Completions of the n-gram engine: texts and finish reasons."""

import codecs
from collections.abc import Callable, Iterator, Sequence

from tunesmith.service.engines.generation import FinishReason, ScoredToken, TokenLogprob
from tunesmith.service.engines.texts import StopTexts


def scored_token(
    choice: TokenLogprob, top: Sequence[TokenLogprob], decoder: codecs.IncrementalDecoder
) -> ScoredToken:
    """Return a token with the text that it completes."""
    return ScoredToken(choice, tuple(top), decoder.decode(choice.token_bytes))


class TextGeneration:
    """Completion of the tokens that a model samples one by one, quickly enough for an event loop.

    Args:
        sample: Samples the next token.
        end_of_text: The token that ends the completion and is left out.
        max_tokens: Maximum number of tokens.
        stop: Texts that end the completion and are left out.
    """

    def __init__(
        self,
        sample: Callable[[], ScoredToken],
        *,
        end_of_text: int,
        max_tokens: int,
        stop: Sequence[str] = (),
    ) -> None:
        self._sample = sample
        self._end_of_text = end_of_text
        self._max_tokens = max_tokens
        self._stop = StopTexts(stop)
        self._tokens = iter(self)
        self.finish_reason: FinishReason | None = None
        """`stop` (end of text, stop text) or `length`; None until the end."""
        self.n_tokens = 0
        """Number of tokens generated so far, including those of a stop text."""

    def __aiter__(self) -> "TextGeneration":
        return self

    async def __anext__(self) -> ScoredToken:
        """Return the next token."""
        try:
            return next(self._tokens)
        except StopIteration:
            raise StopAsyncIteration from None

    async def aclose(self) -> None:
        """Do nothing: tokens are sampled only when they are asked for."""

    def __iter__(self) -> Iterator[ScoredToken]:
        """Yield each token as soon as no stop text can begin in it."""
        while self.n_tokens < self._max_tokens:
            token = self._sample()
            if token.token.id == self._end_of_text:
                self.finish_reason = "stop"
                break
            self.n_tokens += 1
            ready = self._stop.add(token)
            if self._stop.is_stopped:
                self.finish_reason = "stop"
            yield from ready
            if self._stop.is_stopped:
                return
        else:
            self.finish_reason = "length"
        yield from self._stop.flush()
