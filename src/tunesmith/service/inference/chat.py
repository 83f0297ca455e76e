"""The room of chat: models answer to conversations."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any

from anyio.lowlevel import checkpoint

from tunesmith.operations.chat import CreateChatCompletion
from tunesmith.service.core.errors import invalid
from tunesmith.service.engines.base import (
    EngineModel,
    FinishReason,
    Generation,
    GenerationSpec,
    ScoredToken,
)
from tunesmith.service.inference import chat_payloads as shapes
from tunesmith.service.inference.capabilities import require_chat_model
from tunesmith.service.inference.messages import to_chat_messages
from tunesmith.service.inference.output_format import (
    OutputFormat,
    output_format_for,
    stub_output_format,
)
from tunesmith.service.inference.sampling import (
    InferenceContext,
    SampledText,
    finish_reason_for,
    interleave,
    sampling_spec,
    start_generation,
    system_fingerprint,
)
from tunesmith.service.inference.stored_completions import StoredCompletions
from tunesmith.service.inference.stub_generation import TokenTiming
from tunesmith.service.inference.stub_matching import last_message_text
from tunesmith.service.inference.stubs import Reply
from tunesmith.types.chat import ChatCompletion, ChatCompletionChunk

__all__ = ["ChatCompletionService"]

_SCHEMA_SEED_TOKENS = 32


@dataclass(frozen=True, slots=True)
class _PreparedRequest:
    operation: CreateChatCompletion
    template: dict[str, Any]
    """What the answer and each chunk of it begin with."""
    weights: EngineModel
    prompt: Sequence[int]
    spec: GenerationSpec
    output_format: OutputFormat
    given: Reply | None
    """What to answer, where it does not come from the engine."""
    call_ids: Sequence[Sequence[str]]
    """For each choice, an id for each call of a tool."""

    @property
    def n(self) -> int:
        return len(self.call_ids)

    def choice(self, index: int, drawn: SampledText) -> dict[str, Any]:
        return shapes.build_choice(
            index,
            drawn.text,
            self.output_format,
            self.call_ids[index],
            self.finish_reason(drawn.finish_reason),
            self.logprobs(drawn.tokens),
        )

    def logprobs(self, tokens: Sequence[ScoredToken]) -> dict[str, Any] | None:
        return shapes.build_logprobs(tokens) if self.operation.logprobs else None

    def finish_reason(self, reason: FinishReason) -> str:
        why = finish_reason_for(reason, self.given)
        return self.output_format.finish_reason if why == "stop" else why

    def usage(self, completion_tokens: int) -> dict[str, Any]:
        return shapes.build_usage(len(self.prompt), completion_tokens)


class ChatCompletionService:
    """Answers to conversations.

    Args:
        sources: What answers come from.
        stored: Keeps what was asked to be kept.
    """

    def __init__(self, sources: InferenceContext, stored: StoredCompletions) -> None:
        self._sources = sources
        self._stored = stored

    async def create(self, operation: CreateChatCompletion) -> ChatCompletion:
        """Answer `n` times."""
        call = self._prepare(operation)
        await checkpoint()
        drawn = [SampledText.from_generation(self._start(call, index)) for index in range(call.n)]
        longest = max(each.n_tokens for each in drawn)
        await self._sources.pause(
            TokenTiming.slowest_of([call.given]).total_delay(longest), working=True
        )
        return self._finish(call, drawn)

    async def stream(
        self, operation: CreateChatCompletion
    ) -> AsyncGenerator[ChatCompletionChunk, None]:
        """Answer token by token, the choices in turn."""
        call = self._prepare(operation)
        with_usage = bool((operation.stream_options or {}).get("include_usage"))
        usage: dict[str, Any] = {"usage": None} if with_usage else {}

        def chunk(*choices: dict[str, Any], **more: Any) -> ChatCompletionChunk:
            fields = {**call.template, "object": "chat.completion.chunk", "choices": choices}
            return ChatCompletionChunk.model_validate({**fields, **usage, **more})

        parts = call.output_format.parts
        # What is wrong with the request shows here, before the stream has begun.
        generations = [self._start(call, index) for index in range(call.n)]
        for index, ids in enumerate(call.call_ids):
            yield chunk(shapes.streamed_choice(index, shapes.build_first_delta(parts[0], ids[0])))
        tokens: list[list[ScoredToken]] = [[] for _ in generations]
        begun = [1 for _ in generations]
        chars = [0 for _ in generations]
        turns = interleave(generations, self._sources, TokenTiming.slowest_of([call.given]))
        async with aclosing(turns):
            async for index, token in turns:
                while begun[index] < call.output_format.started_segments(chars[index]):
                    ids = call.call_ids[index]
                    delta = shapes.call_delta(parts[begun[index]], ids[begun[index]])
                    yield chunk(shapes.streamed_choice(index, delta))
                    begun[index] += 1
                if isinstance(token, str):
                    reason = call.finish_reason(token)
                    yield chunk(shapes.streamed_choice(index, {}, finish_reason=reason))
                    continue
                tokens[index].append(token)
                scores = call.logprobs([token])
                if token.text or scores:
                    chars[index] += len(token.text)
                    delta = shapes.next_delta(parts[begun[index] - 1], token.text)
                    yield chunk(shapes.streamed_choice(index, delta, scores=scores))
        drawn = [
            SampledText(tuple(seen), each.n_tokens, each.finish_reason or "stop")
            for seen, each in zip(tokens, generations, strict=True)
        ]
        answer = self._finish(call, drawn)
        if with_usage:
            yield chunk(usage=answer.usage)

    def _finish(self, call: _PreparedRequest, drawn: Sequence[SampledText]) -> ChatCompletion:
        fields = {
            **call.template,
            "object": "chat.completion",
            "choices": [call.choice(index, each) for index, each in enumerate(drawn)],
            "usage": call.usage(sum(each.n_tokens for each in drawn)),
        }
        if not call.operation.store:
            return ChatCompletion.model_validate(fields)
        metadata = dict(call.operation.metadata or {})
        answer = ChatCompletion.model_validate({**fields, "metadata": metadata})
        self._stored.save(answer, call.operation.messages)
        return answer

    def _prepare(self, asked: CreateChatCompletion) -> _PreparedRequest:
        require_chat_model(self._sources.models, asked.model)
        if asked.top_logprobs is not None and not asked.logprobs:
            raise invalid(
                "The 'top_logprobs' parameter is only allowed when 'logprobs' is enabled.",
                "top_logprobs",
            )
        if asked.metadata and not asked.store:
            raise invalid(
                "The 'metadata' parameter is only allowed when 'store' is enabled.", "metadata"
            )
        max_tokens = _max_tokens(asked)
        prompt = self._sources.engine.encode_chat(to_chat_messages(asked.messages))
        self._require_room(len(prompt), max_tokens)
        completion_id = self._sources.ids.new("chat_completion")
        spec = sampling_spec(
            asked, max_tokens=max_tokens, top_logprobs=asked.top_logprobs, id=completion_id
        )
        head = {
            "id": completion_id,
            "created": int(self._sources.now()),
            "model": asked.model,
            "service_tier": "default",
            "system_fingerprint": system_fingerprint(asked.model),
        }
        form = output_format_for(asked)
        given = self._sources.replies.find(asked, last_message_text(asked))
        if given is not None:
            form = stub_output_format(form, given, asked)
        new_id = self._sources.ids.new
        call_ids = [[new_id("tool_call") for _ in form.parts] for _ in range(asked.n or 1)]
        weights = self._sources.models.resolve(asked.model)
        return _PreparedRequest(asked, head, weights, prompt, spec, form, given, call_ids)

    def _require_room(self, prompt_tokens: int, max_tokens: int | None) -> None:
        window = self._sources.engine.context_window
        if prompt_tokens + (max_tokens or 0) <= window:
            return
        parts = (
            ""
            if max_tokens is None
            else (f" ({prompt_tokens} in the messages, {max_tokens} in the completion)")
        )
        raise invalid(
            f"This model's maximum context length is {window} tokens. However, you requested "
            f"{prompt_tokens + (max_tokens or 0)} tokens{parts}. Please reduce the length of the "
            "messages or completion.",
            "messages",
            "context_length_exceeded",
        )

    def _start(self, call: _PreparedRequest, index: int) -> Generation:
        spec = replace(call.spec, seed=f"{call.spec.seed}/{index}")
        given = call.given
        if given is None and call.output_format.schema is not None:
            said = call.weights.generate(call.prompt, replace(spec, max_tokens=_SCHEMA_SEED_TOKENS))
            given = Reply(call.output_format.fill(SampledText.from_generation(said).text))
        return start_generation(self._sources.engine, call.weights, call.prompt, spec, given)


def _max_tokens(asked: CreateChatCompletion) -> int | None:
    if asked.max_tokens is not None and asked.max_completion_tokens is not None:
        raise invalid(
            "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.",
            "max_tokens",
            "invalid_parameter_combination",
        )
    name = "max_tokens" if asked.max_completion_tokens is None else "max_completion_tokens"
    max_tokens: int | None = getattr(asked, name)
    if max_tokens is not None and max_tokens < 1:
        raise invalid(
            f"Invalid '{name}': integer below minimum value. Expected a value >= 1, but got "
            f"{max_tokens} instead.",
            name,
            "integer_below_min_value",
        )
    return max_tokens
