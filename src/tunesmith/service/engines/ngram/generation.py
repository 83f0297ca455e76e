"""Conversion of sampled tokens to text: characters, stop texts, finish reason."""

import codecs
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from tunesmith.service.engines.generation import FinishReason, ScoredToken, TokenLogprob


def scored_token(
    choice: TokenLogprob, top: Sequence[TokenLogprob], decoder: codecs.IncrementalDecoder
) -> ScoredToken:
    """Return a token with the text that it completes."""
    return ScoredToken(choice, tuple(top), decoder.decode(choice.token_bytes))


def token_logprob(token: int, raw: bytes, logprob: float) -> TokenLogprob:
    """Return a token in the API's notation, as bytes if it is not a text."""
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        text = "bytes:" + "".join(f"\\x{byte:02x}" for byte in raw)
    return TokenLogprob(token, text, raw, logprob)


def text_decoder() -> codecs.IncrementalDecoder:
    """Return a decoder that holds incomplete characters until their next bytes."""
    return codecs.getincrementaldecoder("utf-8")("replace")


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
        self._stop = tuple(text for text in stop if text)
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

    def close(self) -> None:
        """Do nothing: tokens are sampled only when they are asked for."""

    def __iter__(self) -> Iterator[ScoredToken]:
        """Yield each token as soon as no stop text can begin in it."""
        held: deque[ScoredToken] = deque()
        text = ""  # of the tokens held
        while self.n_tokens < self._max_tokens:
            token = self._sample()
            if token.token.id == self._end_of_text:
                self.finish_reason = "stop"
                break
            self.n_tokens += 1
            held.append(token)
            text += token.text
            cut = self._stop_position(text)
            if cut is not None:
                self.finish_reason = "stop"
                yield from _truncate(held, cut)
                return
            safe = len(text) - self._possible_stop_length(text)
            while held and len(held[0].text) <= safe:
                ready = held.popleft()
                safe -= len(ready.text)
                text = text[len(ready.text) :]
                yield ready
        else:
            self.finish_reason = "length"
        yield from held

    def _stop_position(self, text: str) -> int | None:
        positions = [position for stop in self._stop if (position := text.find(stop)) >= 0]
        return min(positions, default=None)

    def _possible_stop_length(self, text: str) -> int:
        """Return the length of the longest suffix of a text that may begin a stop text."""
        return max(
            (
                length
                for stop in self._stop
                for length in range(1, min(len(stop), len(text) + 1))
                if text.endswith(stop[:length])
            ),
            default=0,
        )


def _truncate(
    tokens: Sequence[ScoredToken] | deque[ScoredToken], length: int
) -> Iterator[ScoredToken]:
    for token in tokens:
        if length <= 0:
            return
        yield replace(token, text=token.text[:length])
        length -= len(token.text)
