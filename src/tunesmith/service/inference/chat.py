"""Chat completions."""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from anyio.lowlevel import checkpoint

from tunesmith.operations.chat import CreateChatCompletion
from tunesmith.service.core.errors import invalid
from tunesmith.service.core.handlers import handles
from tunesmith.service.core.ids import IdKind
from tunesmith.service.core.messages import as_mapping, last_message_text
from tunesmith.service.engines.base import EngineModel
from tunesmith.service.engines.generation import (
    FinishReason,
    Generation,
    GenerationSpec,
    ScoredToken,
)
from tunesmith.service.inference import chat_payloads as payloads
from tunesmith.service.inference.capabilities import require_chat_model, require_tool_calls
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
    system_fingerprint,
)
from tunesmith.service.inference.segments import SegmentPart, SegmentReader
from tunesmith.service.inference.stored_completions import StoredCompletions
from tunesmith.service.inference.stub_generation import TokenTiming, start_generation
from tunesmith.service.inference.stub_matching import InferenceOperation
from tunesmith.service.inference.stubs import Reply
from tunesmith.types.chat import ChatCompletion, ChatCompletionChunk

__all__ = ["ChatCompletionService", "PreparedChat"]

_SCHEMA_SEED_TOKENS = 32


@dataclass(frozen=True, slots=True)
class PreparedChat:
    """Validated chat request, ready to generate."""

    operation: CreateChatCompletion
    template: dict[str, Any]
    """Fields shared by the completion and each chunk of it."""
    weights: EngineModel
    prompt: Sequence[int]
    spec: GenerationSpec
    output_format: OutputFormat
    stub: Reply | None
    new_call_id: Callable[[], str]
    """Function that returns an id for a tool call."""

    @property
    def n(self) -> int:
        """Number of choices."""
        return self.operation.n or 1

    @property
    def timing(self) -> TokenTiming:
        """Delays between tokens."""
        return TokenTiming.slowest_of([self.stub])

    def reader(self) -> SegmentReader:
        """Return a reader of the segments of a choice."""
        return SegmentReader(self.output_format, self.new_call_id)

    def choice(self, index: int, reader: SegmentReader, sampled: SampledText) -> dict[str, Any]:
        """Return a choice."""
        return payloads.build_choice(
            index,
            zip(reader.segments, reader.texts, strict=True),
            self.finish_reason(sampled.finish_reason, reader),
            self.logprobs(sampled.tokens),
        )

    def logprobs(self, tokens: Sequence[ScoredToken]) -> dict[str, Any] | None:
        """Return the log-probabilities of tokens, if requested."""
        return payloads.build_logprobs(tokens) if self.operation.logprobs else None

    def finish_reason(self, reason: FinishReason, reader: SegmentReader) -> str:
        """Return the finish reason to send."""
        sent = finish_reason_for(reason, self.stub)
        is_text = self.output_format.tool_calls is not None and not reader.has_calls
        return sent if sent != "stop" or is_text else self.output_format.finish_reason


class ChatCompletionService:
    """Chat completions by an engine or by stubs.

    Args:
        context: Dependencies shared by all endpoints that run models.
        stored: Collection of completions created with `store`.
    """

    def __init__(self, context: InferenceContext, stored: StoredCompletions) -> None:
        self._context = context
        self._stored = stored

    @handles(CreateChatCompletion)
    async def create(self, operation: CreateChatCompletion) -> ChatCompletion:
        """Create a completion with `n` choices."""
        request = await self._prepare(operation)
        await checkpoint()
        sampled = await self._context.sample(
            [await self.start(request, index) for index in range(request.n)]
        )
        longest = max(text.n_tokens for text in sampled)
        await self._context.pause(request.timing.total_delay(longest), release_clock=True)
        readers = [request.reader().read_all(text.tokens) for text in sampled]
        return self._complete(request, readers, sampled)

    @handles(CreateChatCompletion)
    async def stream(
        self, operation: CreateChatCompletion
    ) -> AsyncGenerator[ChatCompletionChunk, None]:
        """Create a completion token by token, the choices in turn."""
        request = await self._prepare(operation)
        with_usage = bool((operation.stream_options or {}).get("include_usage"))
        fields = {**request.template, "object": "chat.completion.chunk"}
        if with_usage:
            fields["usage"] = None

        def chunk(*choices: dict[str, Any], **extra: Any) -> ChatCompletionChunk:
            return ChatCompletionChunk.model_validate({**fields, "choices": choices, **extra})

        # Errors of the request are raised here, before the stream begins.
        generations = [await self.start(request, index) for index in range(request.n)]
        readers = [request.reader() for _ in generations]
        for index, reader in enumerate(readers):
            for delta in _deltas(reader, reader.start()):
                yield chunk(payloads.streamed_choice(index, delta))
        sampled: list[list[ScoredToken]] = [[] for _ in generations]
        tokens = interleave(generations, self._context, request.timing)
        async with aclosing(tokens):
            async for index, token in tokens:
                reader = readers[index]
                if isinstance(token, str):
                    for delta in _deltas(reader, reader.finish()):
                        yield chunk(payloads.streamed_choice(index, delta))
                    reason = request.finish_reason(token, reader)
                    yield chunk(payloads.streamed_choice(index, {}, finish_reason=reason))
                    continue
                sampled[index].append(token)
                logprobs = request.logprobs([token])
                for delta, own in _with_logprobs(_deltas(reader, reader.read(token)), logprobs):
                    yield chunk(payloads.streamed_choice(index, delta, logprobs=own))
        completion = self._complete(
            request,
            readers,
            [
                SampledText(tuple(tokens), generation.n_tokens, generation.finish_reason or "stop")
                for tokens, generation in zip(sampled, generations, strict=True)
            ],
        )
        if with_usage:
            yield chunk(usage=completion.usage)

    def _complete(
        self,
        request: PreparedChat,
        readers: Sequence[SegmentReader],
        sampled: Sequence[SampledText],
    ) -> ChatCompletion:
        fields = {
            **request.template,
            "object": "chat.completion",
            "choices": [
                request.choice(index, reader, text)
                for index, (reader, text) in enumerate(zip(readers, sampled, strict=True))
            ],
            "usage": payloads.build_usage(
                len(request.prompt), sum(text.n_tokens for text in sampled)
            ),
        }
        if not request.operation.store:
            return ChatCompletion.model_validate(fields)
        metadata = dict(request.operation.metadata or {})
        completion = ChatCompletion.model_validate({**fields, "metadata": metadata})
        self._stored.save(completion, request.operation.messages)
        return completion

    async def _prepare(self, operation: CreateChatCompletion) -> PreparedChat:
        require_chat_model(self._context.models, operation.model)
        if operation.top_logprobs is not None and not operation.logprobs:
            raise invalid(
                "The 'top_logprobs' parameter is only allowed when 'logprobs' is enabled.",
                "top_logprobs",
            )
        if operation.metadata and not operation.store:
            raise invalid(
                "The 'metadata' parameter is only allowed when 'store' is enabled.", "metadata"
            )
        return await self.prepare(operation, operation, "chat_completion")

    async def prepare(
        self, operation: CreateChatCompletion, stubbed: InferenceOperation, id_kind: IdKind
    ) -> PreparedChat:
        """Prepare a request for generation.

        Args:
            operation: The request.
            stubbed: The operation that stubs are matched against.
            id_kind: Kind of the id of the object to create.

        Raises:
            ServiceError: The request is invalid or too large.
        """
        context = self._context
        max_tokens = _max_tokens(operation)
        info = context.models.info_of(operation.model)
        weights, prompt = await self.encode(operation)
        _check_context_length(len(prompt), max_tokens, info.context_window)
        new_id = context.ids.new(id_kind)
        spec = sampling_spec(
            operation, max_tokens=max_tokens, top_logprobs=operation.top_logprobs, id=new_id
        )
        template = {
            "id": new_id,
            "created": int(context.now()),
            "model": operation.model,
            "service_tier": "default",
            "system_fingerprint": system_fingerprint(operation.model),
        }
        output_format = output_format_for(operation)
        stub = context.reply_stubs.find(stubbed, last_message_text(operation.messages))
        if stub is not None:
            output_format = stub_output_format(output_format, stub, operation)
        else:
            require_tool_calls(info, operation)
            is_generated = info.tool_calls == "generated"
            output_format = output_format_for(operation, is_generated=is_generated)
            spec = replace(spec, tool_calls=output_format.tool_calls)
        if stub is None and output_format.schema is not None:
            if info.structured == "refused":
                raise invalid(
                    f"The model '{operation.model}' cannot be made to reply in JSON. Leave out "
                    "'response_format', and leave 'tool_choice' to the model.",
                    "response_format",
                )
            if info.structured == "constrained":
                spec = replace(spec, json_schema=output_format.schema)
        new_call_id = partial(context.ids.new, "tool_call")
        return PreparedChat(
            operation, template, weights, prompt, spec, output_format, stub, new_call_id
        )

    async def encode(self, operation: CreateChatCompletion) -> tuple[EngineModel, list[int]]:
        """Return the model and the prompt of a request.

        Raises:
            ServiceError: The messages are too long, or the model does not support them.
        """
        models = self._context.models
        weights = await self._context.work(models.open(operation.model))
        info = models.info_of(operation.model)
        tools = [as_mapping(tool) for tool in operation.tools or ()]
        if info.tool_calls == "generated":
            functions = [as_mapping(function) for function in operation.functions or ()]
            tools += [{"type": "function", "function": function} for function in functions]
        elif info.tool_calls == "refused":
            tools = []
        window = info.context_window
        return weights, await self._context.encode_chat(weights, operation.messages, tools, window)

    async def start(self, request: PreparedChat, index: int) -> Generation:
        """Start to generate a choice."""
        spec = replace(request.spec, seed=f"{request.spec.seed}/{index}")
        stub = request.stub
        is_json = request.output_format.schema is not None
        if stub is None and is_json and spec.json_schema is None:
            seed_spec = replace(spec, max_tokens=_SCHEMA_SEED_TOKENS)
            (words,) = await self._context.sample(
                [request.weights.generate(request.prompt, seed_spec)]
            )
            stub = Reply(request.output_format.sample_json(words.text))
        # The engine may compile the schemas.
        size = len(str(spec.json_schema)) + len(str(spec.tool_calls))
        start = partial(start_generation, request.weights, request.prompt, spec, stub)
        return await self._context.run(start, size=size)


def _deltas(reader: SegmentReader, parts: Sequence[SegmentPart]) -> list[dict[str, Any]]:
    """Return the deltas of a stream for parts of segments."""
    deltas: list[dict[str, Any]] = []
    for index, text in parts:
        segment = reader.segments[index]
        if text is not None:
            deltas.append(payloads.next_delta(segment, text))
        elif index == 0:
            deltas.append(payloads.build_first_delta(segment))
        else:
            deltas.append(payloads.call_delta(segment))
    return deltas


def _with_logprobs(
    deltas: Sequence[dict[str, Any]], logprobs: dict[str, Any] | None
) -> list[tuple[dict[str, Any], dict[str, Any] | None]]:
    """Return the deltas of a token, the last of which comes with its log-probabilities."""
    if not deltas:
        return [] if logprobs is None else [({}, logprobs)]
    return [*((delta, None) for delta in deltas[:-1]), (deltas[-1], logprobs)]


def _check_context_length(prompt_tokens: int, max_tokens: int | None, window: int) -> None:
    requested = prompt_tokens + (max_tokens or 0)
    if requested <= window:
        return
    parts = ""
    if max_tokens is not None:
        parts = f" ({prompt_tokens} in the messages, {max_tokens} in the completion)"
    raise invalid(
        f"This model's maximum context length is {window} tokens. However, you requested "
        f"{requested} tokens{parts}. Please reduce the length of the messages or completion.",
        "messages",
        "context_length_exceeded",
    )


def _max_tokens(operation: CreateChatCompletion) -> int | None:
    if operation.max_tokens is not None and operation.max_completion_tokens is not None:
        raise invalid(
            "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.",
            "max_tokens",
            "invalid_parameter_combination",
        )
    name = "max_tokens" if operation.max_completion_tokens is None else "max_completion_tokens"
    max_tokens: int | None = getattr(operation, name)
    if max_tokens is not None and max_tokens < 1:
        raise invalid(
            f"Invalid '{name}': integer below minimum value. Expected a value >= 1, but got "
            f"{max_tokens} instead.",
            name,
            "integer_below_min_value",
        )
    return max_tokens
