"""Models of the engine whose texts and embeddings vLLM computes."""

import math
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from operator import itemgetter
from typing import Any, Protocol

from tunesmith.errors import BackendError
from tunesmith.protocol.message import Response
from tunesmith.protocol.sse import SSEDecoder
from tunesmith.service.core.errors import ServiceError
from tunesmith.service.engines.base import EngineModel
from tunesmith.service.engines.generation import GenerationSpec
from tunesmith.service.engines.token_generation import ReceivedToken, TokenGeneration
from tunesmith.service.inference.upstream import connection_error, json_fields, read_response

__all__ = ["VllmGeneration", "VllmModel", "VllmServer", "error_message"]

_BAD_GATEWAY = 502
_ID_PREFIX = "token_id:"


class VllmServer(Protocol):
    """vLLM server that has loaded the model of each request, or loads it."""

    async def post(
        self, path: str, values: Mapping[str, Any], stack: AsyncExitStack, /
    ) -> Response:
        """Send a request to its API; raises `ServiceError` unless it succeeds."""
        ...

    async def max_length(self) -> int:
        """Return the maximum number of tokens of a prompt and its completion together."""
        ...


class VllmModel:
    """Weights with which vLLM generates and embeds; the engine trains them.

    Args:
        name: Name of the model.
        weights: The same weights in the engine.
        server: Access to vLLM.
    """

    def __init__(self, name: str, weights: EngineModel, server: VllmServer) -> None:
        self.tokenizer = weights.tokenizer
        self.score = weights.score
        self.train = weights.train
        self._name = name
        self._server = server

    def generate(self, prompt: Sequence[int], spec: GenerationSpec, /) -> "VllmGeneration":
        """Complete a prompt of token ids."""
        return VllmGeneration(self._server, self._name, self, prompt, spec)

    async def embed(self, text: str, /, *, dimensions: int) -> list[float]:
        """Return the embedding of a text, cut to some dimensions, as a unit vector.

        Raises:
            ServiceError: vLLM serves the model for texts only, or cannot be reached.
        """
        async with AsyncExitStack() as stack:
            values = {"model": self._name, "input": text}
            response = await self._server.post("/embeddings", values, stack)
            fields: Any = json_fields(await read_response(response))
        vector: list[float] = fields["data"][0]["embedding"][:dimensions]
        length = math.hypot(*vector) or 1.0
        return [value / length for value in vector]


class VllmGeneration(TokenGeneration):
    """Completion that vLLM streams.

    Args:
        server: Access to vLLM.
        name: Name of the model.
        model: The model.
        prompt: Ids of the prompt.
        spec: Sampling parameters.
    """

    def __init__(
        self,
        server: VllmServer,
        name: str,
        model: EngineModel,
        prompt: Sequence[int],
        spec: GenerationSpec,
    ) -> None:
        super().__init__(model.tokenizer, spec.stop, spec.max_tokens)
        self._server = server
        self._stop_ids = model.tokenizer.stop_ids
        self._spec = spec
        self._stack = AsyncExitStack()
        self._chunks: AsyncIterator[bytes] | None = None
        self._decoder_of_events = SSEDecoder()
        self._prompt = list(prompt)
        self._values: dict[str, Any] = {
            "model": name,
            "prompt": self._prompt,
            "stream": True,
            "temperature": spec.temperature,
            "top_p": spec.top_p,
            "logprobs": spec.top_logprobs,
            "logit_bias": {str(token): bias for token, bias in spec.logit_bias.items()},
            "frequency_penalty": spec.frequency_penalty,
            "presence_penalty": spec.presence_penalty,
            "seed": spec.seed_number,
            "return_tokens_as_token_ids": True,
            "stop_token_ids": sorted(self._stop_ids),
        }
        if spec.json_schema is not None:
            schema = {"name": "response", "schema": spec.json_schema}
            self._values["response_format"] = {"type": "json_schema", "json_schema": schema}

    async def aclose(self) -> None:
        """Close the connection, which stops vLLM."""
        await self._stack.aclose()

    async def _receive(self) -> tuple[Sequence[ReceivedToken], str | None]:
        try:
            if self._chunks is None:
                self._chunks = aiter((await self._open()).stream)
            chunk = await anext(self._chunks, None)
        except BackendError as error:
            raise connection_error(error) from error
        if chunk is None:
            raise ServiceError(_BAD_GATEWAY, "vLLM ended the stream early", type="server_error")
        tokens: list[ReceivedToken] = []
        end: str | None = None
        for event in self._decoder_of_events.feed(chunk):
            fields: Any = json_fields(event.data)
            if "error" in fields:
                raise ServiceError(_BAD_GATEWAY, error_message(event.data), type="server_error")
            for choice in fields.get("choices") or ():
                received = list(_read_tokens(choice, self._spec.top_logprobs))
                tokens += [token for token in received if token[0] not in self._stop_ids]
                end = end or choice["finish_reason"]
        return tokens, end

    async def _open(self) -> Response:
        max_tokens = self._spec.max_tokens
        if max_tokens is None:  # which vLLM takes for 16
            max_tokens = max(await self._server.max_length() - len(self._prompt), 1)
        values = {**self._values, "max_tokens": max_tokens}
        return await self._server.post("/completions", values, self._stack)


def _read_tokens(choice: Any, n_top: int) -> Iterator[ReceivedToken]:
    logprobs = choice["logprobs"]
    if logprobs is None:  # at the end
        return
    tokens: list[str] = logprobs["tokens"]
    tops: list[dict[str, float] | None] = logprobs["top_logprobs"] or [None] * len(tokens)
    for token, logprob, top in zip(tokens, logprobs["token_logprobs"], tops, strict=True):
        options = sorted((top or {}).items(), key=itemgetter(1), reverse=True)[:n_top]
        yield _id(token), logprob, [(_id(other), value) for other, value in options]


def _id(token: str) -> int:
    if not token.startswith(_ID_PREFIX):
        raise ServiceError(
            _BAD_GATEWAY,
            f"the server of --vllm returned the token {token!r} without its id; is it vLLM?",
            type="server_error",
        )
    return int(token.removeprefix(_ID_PREFIX))


def error_message(content: bytes) -> str:
    """Return the message of an error of vLLM."""
    fields: Any = json_fields(content)
    fields = fields["error"] if isinstance(fields.get("error"), dict) else fields
    message = fields.get("message") or fields.get("detail")
    return message if isinstance(message, str) else content.decode("utf-8", "replace")
