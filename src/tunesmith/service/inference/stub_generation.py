"""An answer that is given beforehand, as an engine would generate it: token by token, in time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tunesmith.service.engines.base import (
    Engine,
    EngineModel,
    FinishReason,
    GenerationSpec,
    ScoredToken,
    TokenLogprob,
)
from tunesmith.service.inference.stubs import Reply, Token

__all__ = ["StubGeneration", "TokenTiming"]

_NO_ID = -1


class StubGeneration:
    """A reply, as a `Generation`.

    Args:
        engine: Splits the text into tokens, where the reply has none of its own.
        model: Tells how likely they are.
        prompt: The tokens before.
        reply: What is to come out.
        spec: `max_tokens` may cut it off; what else steers sampling does not matter.
    """

    def __init__(
        self,
        engine: Engine,
        model: EngineModel,
        prompt: Sequence[int],
        reply: Reply,
        spec: GenerationSpec,
    ) -> None:
        self._given = [_scored(token, spec.top_logprobs) for token in reply.tokens]
        texts = reply.segments[1:] if reply.tokens else reply.segments
        ids = [token for text in texts for token in engine.encode(text)]
        most = spec.max_tokens
        self._whole = most is None or len(self._given) + len(ids) <= most
        if most is not None:
            self._given = self._given[:most]
            ids = ids[: most - len(self._given)]
        self._ids = ids
        self._prompt = prompt
        self._model = model
        self._top_logprobs = spec.top_logprobs
        self.n_tokens = 0
        self.finish_reason: FinishReason | None = None

    def __iter__(self) -> Iterator[ScoredToken]:
        """Yield each token, with the given probability or the one that the model gives it."""
        for token in [*self._given, *self._computed()]:
            self.n_tokens += 1
            yield token
        self.finish_reason = "stop" if self._whole else "length"

    def _computed(self) -> list[ScoredToken]:
        if not self._ids:
            return []
        scored = self._model.score([*self._prompt, *self._ids], top_logprobs=self._top_logprobs)
        return scored[len(self._prompt) :]


def _scored(token: Token, top_logprobs: int) -> ScoredToken:
    everything = {token.text: token.logprob, **token.top}
    best = sorted(everything.items(), key=lambda item: -item[1])[:top_logprobs]
    return ScoredToken(
        _logprob(token.text, token.logprob), tuple(_logprob(*each) for each in best), token.text
    )


def _logprob(text: str, logprob: float) -> TokenLogprob:
    return TokenLogprob(_NO_ID, text, text.encode(), logprob)


@dataclass(frozen=True, slots=True)
class TokenTiming:
    """How long tokens take.

    Args:
        first_token_s: Seconds until the first one.
        token_s: Seconds until each further one.
    """

    first_token_s: float = 0.0
    token_s: float = 0.0

    @classmethod
    def slowest_of(cls, replies: Sequence[Reply | None]) -> "TokenTiming":
        """Take the slowest of several replies; engines take no time."""
        given = [reply for reply in replies if reply is not None]
        return cls(
            max((reply.first_token_s for reply in given), default=0.0),
            max((reply.token_s for reply in given), default=0.0),
        )

    def delay_before(self, index: int) -> float:
        """Tell the seconds before a token, counted from 0."""
        return self.token_s if index else self.first_token_s

    def total_delay(self, n_tokens: int) -> float:
        """Tell the seconds that so many tokens take."""
        return self.first_token_s + self.token_s * max(n_tokens - 1, 0)
