"""Texts that a sampler generates, token by token."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from tunesmith.service.engines.generation import ScoredToken
from tunesmith.service.engines.token_generation import ReceivedToken, TokenGeneration
from tunesmith.service.engines.transformers.sampler import Sampler, SamplerRequest
from tunesmith.service.engines.transformers.tokenizer import ModelTokenizer
from tunesmith.service.engines.transformers.tool_calls.reader import CallReader

__all__ = ["SamplerGeneration"]


class SamplerGeneration(TokenGeneration):
    """Completion in progress.

    Args:
        sampler: Sampler of the base model.
        tokenizer: Its tokenizer.
        values: Values of the request.
        stop: Texts that end the completion and are left out; not inside of tool calls.
        reader: Reader of tool calls, if there may be any.
    """

    def __init__(
        self,
        sampler: Sampler,
        tokenizer: ModelTokenizer,
        values: Mapping[str, Any],
        stop: Sequence[str],
        reader: CallReader | None = None,
    ) -> None:
        super().__init__(tokenizer, stop, values["max_tokens"])
        self._sampler = sampler
        self._values = values
        self._reader = reader
        self._last: ScoredToken | None = None
        """The last token, to which the reader may add at the end; only with a reader."""
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

    def _add(self, token: ScoredToken) -> None:
        if self._reader is None:
            super()._add(token)
            return
        text, calls = self._reader.feed(token.text)
        self._add_last()
        self._last = replace(token, text=text, tool_calls=calls)

    def _flush(self) -> None:
        if self._reader is not None and self._last is not None:
            text, calls = self._reader.flush()
            calls = (*self._last.tool_calls, *calls)
            self._last = replace(self._last, text=self._last.text + text, tool_calls=calls)
            self._add_last()
        super()._flush()

    def _add_last(self) -> None:
        if self._last is None or self._stop_texts.is_stopped:
            return
        super()._add(self._last)
        if self._last.tool_calls:  # content has ended
            super()._flush()
