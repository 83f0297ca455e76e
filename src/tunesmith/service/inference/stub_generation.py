"""Generation of stubbed replies: token by token, with delays."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from tunesmith.service.engines.base import EngineModel
from tunesmith.service.engines.generation import (
    FinishReason,
    Generation,
    GenerationSpec,
    ScoredToken,
    TokenLogprob,
)
from tunesmith.service.inference.stubs import Reply, Token

__all__ = ["TokenTiming", "start_generation"]

_NO_ID = -1


def start_generation(
    model: EngineModel, prompt: Sequence[int], spec: GenerationSpec, stub: Reply | None
) -> Generation:
    """Start to generate a text: the stub's or, without one, the model's.

    Args:
        model: The model, which tokenizes the stub's text and computes log-probabilities.
        prompt: The tokens of the prompt.
        spec: Sampling parameters; `max_tokens` truncates a stub, the others do not affect it.
        stub: The stubbed reply.
    """
    if stub is None:
        return model.generate(prompt, spec)
    return _StubGeneration(model, prompt, stub, spec)


class _StubGeneration:
    def __init__(
        self, model: EngineModel, prompt: Sequence[int], reply: Reply, spec: GenerationSpec
    ) -> None:
        texts = reply.segments[1:] if reply.tokens else reply.segments
        ids = [token for text in texts for token in model.tokenizer.encode(text)]
        n_tokens = len(reply.tokens) + len(ids)
        limit = n_tokens if spec.max_tokens is None else min(n_tokens, spec.max_tokens)
        self._is_complete = limit == n_tokens
        self._ready = deque(_to_scored(token, spec.top_logprobs) for token in reply.tokens[:limit])
        self._ids = ids[: limit - len(self._ready)]
        self._prompt = prompt
        self._model = model
        self._top_logprobs = spec.top_logprobs
        self.n_tokens = 0
        self.finish_reason: FinishReason | None = None

    def __aiter__(self) -> "_StubGeneration":
        return self

    async def __anext__(self) -> ScoredToken:
        """Return the next token, with the stub's log-probability or the model's."""
        if self._ids:
            tokens = [*self._prompt, *self._ids]
            scored = await self._model.score(tokens, top_logprobs=self._top_logprobs)
            self._ready.extend(scored[len(self._prompt) :])
            self._ids = []
        if not self._ready:
            self.finish_reason = "stop" if self._is_complete else "length"
            raise StopAsyncIteration
        self.n_tokens += 1
        return self._ready.popleft()

    async def aclose(self) -> None:
        """Do nothing."""


def _to_scored(token: Token, top_logprobs: int) -> ScoredToken:
    options = {token.text: token.logprob, **token.top}
    best = sorted(options.items(), key=lambda option: -option[1])[:top_logprobs]
    return ScoredToken(
        _logprob(token.text, token.logprob), tuple(_logprob(*option) for option in best), token.text
    )


def _logprob(text: str, logprob: float) -> TokenLogprob:
    return TokenLogprob(_NO_ID, text, text.encode(), logprob)


@dataclass(frozen=True, slots=True)
class TokenTiming:
    """Delays between tokens.

    Args:
        first_token_delay: Seconds before the first token.
        token_delay: Seconds before each later one.
    """

    first_token_delay: float = 0.0
    token_delay: float = 0.0

    @classmethod
    def slowest_of(cls, replies: Sequence[Reply | None]) -> "TokenTiming":
        """Return the longest delays of several replies; engines have none."""
        stubs = [reply for reply in replies if reply is not None]
        return cls(
            max((stub.first_token_delay for stub in stubs), default=0.0),
            max((stub.token_delay for stub in stubs), default=0.0),
        )

    def delay_before(self, index: int) -> float:
        """Return the seconds before a token, counted from 0."""
        return self.token_delay if index else self.first_token_delay

    def total_delay(self, n_tokens: int) -> float:
        """Return the seconds that a number of tokens take."""
        return self.first_token_delay + self.token_delay * max(n_tokens - 1, 0)
