"""Conversion of sampled tokens to text: characters and stop texts."""

import codecs
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace

from tunesmith.service.engines.generation import ScoredToken, TokenLogprob

__all__ = ["StopTexts", "text_decoder", "token_logprob"]


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


class StopTexts:
    """Buffer of tokens in which a stop text may begin.

    Args:
        stop: Texts that end the completion.
    """

    def __init__(self, stop: Sequence[str]) -> None:
        self._stop = tuple(text for text in stop if text)
        self._held: deque[ScoredToken] = deque()
        self._text = ""  # of the tokens held
        self.is_stopped = False
        """Whether a stop text has occurred."""

    def add(self, token: ScoredToken) -> list[ScoredToken]:
        """Add a token; return the tokens in which no stop text can begin any more."""
        self._held.append(token)
        self._text += token.text
        cut = self._stop_position()
        if cut is not None:
            self.is_stopped = True
            last = list(_truncate(self._held, cut))
            self._held.clear()
            return last
        safe = len(self._text) - self._possible_stop_length()
        ready: list[ScoredToken] = []
        while self._held and len(self._held[0].text) <= safe:
            first = self._held.popleft()
            safe -= len(first.text)
            self._text = self._text[len(first.text) :]
            ready.append(first)
        return ready

    def flush(self) -> list[ScoredToken]:
        """Return all tokens that are left at the end of the completion."""
        ready = list(self._held)
        self._held.clear()
        return ready

    def _stop_position(self) -> int | None:
        positions = [position for stop in self._stop if (position := self._text.find(stop)) >= 0]
        return min(positions, default=None)

    def _possible_stop_length(self) -> int:
        """Return the length of the longest suffix of the text that may begin a stop text."""
        return max(
            (
                length
                for stop in self._stop
                for length in range(1, min(len(stop), len(self._text) + 1))
                if self._text.endswith(stop[:length])
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
