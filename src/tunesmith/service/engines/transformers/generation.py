"""Texts that a sampler generates, token by token."""

from collections.abc import Mapping, Sequence
from typing import Any

from tunesmith.service.engines.token_generation import ReceivedToken, TokenGeneration
from tunesmith.service.engines.transformers.sampler import Sampler, SamplerRequest
from tunesmith.service.engines.transformers.tokenizer import ModelTokenizer

__all__ = ["SamplerGeneration"]


class SamplerGeneration(TokenGeneration):
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
        super().__init__(tokenizer, stop, values["max_tokens"])
        self._sampler = sampler
        self._values = values
        self._request: SamplerRequest | None = None

    async def _receive(self) -> tuple[Sequence[ReceivedToken], str | None]:
        if self._request is None:
            self._request = self._sampler.send("generate", self._values)
        await self._sampler.wait(self._request)
        tokens = list(self._request.tokens)
        self._request.tokens.clear()
        return tokens, self._request.end

    async def aclose(self) -> None:
        """Stop generating; the row of the batch is free for others."""
        if self._request is not None:
            self._sampler.forget(self._request)
