"""Responses of models: the API that succeeds chat completions."""

from collections.abc import Mapping
from dataclasses import KW_ONLY
from typing import Annotated, Any, Literal, TypeAlias

from annotated_types import Ge, Le, MaxLen, MinLen
from pydantic import BaseModel, BeforeValidator
from typing_extensions import TypedDict

from tunesmith.operations.base import Operation, StreamOperation, operation
from tunesmith.operations.chat_params import (
    ChatCompletionStreamOptionsParam,
    ModerationOptionsParam,
    PromptCacheOptionsParam,
    reject_class,
)
from tunesmith.operations.param_types import MetadataParam, SequenceParam
from tunesmith.types.base import Page
from tunesmith.types.responses import (
    Response,
    ResponseDeleted,
    ResponseInputTokens,
    ResponseItem,
    ResponseStreamEvent,
)


def _dump_item(value: Any) -> Any:
    # Output items of earlier responses can be sent back as they are.
    return (
        value.model_dump(mode="json", exclude_unset=True) if isinstance(value, BaseModel) else value
    )


ResponseInputItemParam: TypeAlias = Annotated[Mapping[str, Any], BeforeValidator(_dump_item)]
"""Input item: a message, an output item of an earlier response, or the output of a tool call."""

ResponseToolParam: TypeAlias = Annotated[
    Mapping[str, Any],
    reject_class(
        "to pass a class as a tool, write "
        '{"type": "function", **tunesmith.pydantic_function_tool(…)["function"]}'
    ),
]
"""Function, custom tool or built-in tool."""

ResponseInputParam: TypeAlias = str | Annotated[SequenceParam[ResponseInputItemParam], MinLen(1)]
"""Text of the user, or input items."""


class ReasoningParam(TypedDict, total=False):
    """Effort of a reasoning model, and whether its reasoning is summarized."""

    effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None
    summary: Literal["auto", "concise", "detailed"] | None
    generate_summary: Literal["auto", "concise", "detailed"] | None


class ResponseTextParam(TypedDict, total=False):
    """Format of the text, such as `{"type": "json_schema", "name": …, "schema": …}`; verbosity."""

    format: Mapping[str, Any]
    verbosity: Literal["low", "medium", "high"] | None


@operation("responses.create", "POST", "/responses")
class CreateResponse(StreamOperation[Response, ResponseStreamEvent]):
    """Create a response of a model.

    Args:
        input: Text of the user, or input items: messages, output items of earlier responses, and
            outputs of tool calls.
        model: Name of the model.
        access_programs: Access programs of special domains, such as `{"cyber": "standard"}`.
        background: Whether to respond at once and generate in the background.
        background_options: Options of background mode, such as a completion window.
        context_management: When to compact the context, such as
            `[{"type": "compaction", "compact_threshold": 200_000}]`.
        conversation: ID of the conversation to continue, instead of `previous_response_id`.
        image: Options of images.
        include: Additional output, such as `reasoning.encrypted_content`.
        instructions: System message; not carried over to later responses.
        max_output_tokens: Maximum number of tokens, including those of reasoning.
        max_tool_calls: Maximum number of calls of built-in tools.
        metadata: Up to 16 key-value pairs stored with the response: keys of up to 64, values of up
            to 512 characters.
        moderation: Model to moderate input and output with, and policy for flagged content.
        parallel_tool_calls: Whether several tools may be called at once.
        previous_response_id: ID of the stored response to continue.
        prompt: Reference to a stored prompt, with variables.
        prompt_cache_key: Key shared by requests with a common beginning.
        prompt_cache_options: Mode and duration of prompt caching.
        prompt_cache_retention: Duration; deprecated in favor of `prompt_cache_options`.
        reasoning: Effort of a reasoning model, and whether its reasoning is summarized.
        safety_identifier: Identifier of the end user, of up to 64 characters.
        service_tier: Processing tier, which determines latency and price.
        store: Whether the service stores the response; by default it does.
        stream_options: Options of streaming.
        temperature: Sampling temperature, from 0 to 2.
        text: Format of the text, such as a JSON schema, and verbosity.
        tool_choice: Whether tools may, must or must not be called, or a specific tool.
        tools: Functions, custom tools and built-in tools.
        top_logprobs: Number of most likely tokens to report at each position, 0 to 20.
        top_p: Share of the probability from whose most likely tokens to sample.
        truncation: Whether to drop the beginning of a conversation that is too long.
        user: Identifier of the end user; deprecated.

    Source: https://platform.openai.com/docs/api-reference/responses/create
    """

    _: KW_ONLY
    input: ResponseInputParam | None = None
    model: str
    access_programs: Mapping[str, str] | None = None
    background: bool | None = None
    background_options: Mapping[str, Any] | None = None
    context_management: SequenceParam[Mapping[str, Any]] | None = None
    conversation: str | Mapping[str, Any] | None = None
    image: Mapping[str, Any] | None = None
    include: SequenceParam[str] | None = None
    instructions: str | None = None
    max_output_tokens: Annotated[int, Ge(1)] | None = None
    max_tool_calls: int | None = None
    metadata: MetadataParam | None = None
    moderation: ModerationOptionsParam | None = None
    parallel_tool_calls: bool | None = None
    previous_response_id: str | None = None
    prompt: Mapping[str, Any] | None = None
    prompt_cache_key: str | None = None
    prompt_cache_options: PromptCacheOptionsParam | None = None
    prompt_cache_retention: Literal["in_memory", "24h"] | None = None
    reasoning: ReasoningParam | None = None
    safety_identifier: Annotated[str, MaxLen(64)] | None = None
    service_tier: Literal["auto", "default", "flex", "scale", "priority"] | None = None
    store: bool | None = None
    stream_options: ChatCompletionStreamOptionsParam | None = None
    temperature: Annotated[float, Ge(0), Le(2)] | None = None
    text: ResponseTextParam | None = None
    tool_choice: str | Mapping[str, Any] | None = None
    tools: SequenceParam[ResponseToolParam] | None = None
    top_logprobs: Annotated[int, Ge(0), Le(20)] | None = None
    top_p: Annotated[float, Ge(0), Le(1)] | None = None
    truncation: Literal["auto", "disabled"] | None = None
    user: str | None = None


@operation("responses.retrieve", "GET", "/responses/{response_id}")
class RetrieveResponse(StreamOperation[Response, ResponseStreamEvent]):
    """Retrieve a stored response.

    Args:
        response_id: ID of the response.
        include: Additional output.
        include_obfuscation: Whether the events of a stream are padded to a random length.
        starting_after: Sequence number of the event after which a stream begins.

    Source: https://platform.openai.com/docs/api-reference/responses/get
    """

    response_id: str
    _: KW_ONLY
    include: SequenceParam[str] | None = None
    include_obfuscation: bool | None = None
    starting_after: int | None = None


@operation("responses.cancel", "POST", "/responses/{response_id}/cancel")
class CancelResponse(Operation[Response]):
    """Cancel a response that is generated in the background.

    Args:
        response_id: ID of the response.

    Source: https://platform.openai.com/docs/api-reference/responses/cancel
    """

    response_id: str


@operation("responses.delete", "DELETE", "/responses/{response_id}")
class DeleteResponse(Operation[ResponseDeleted]):
    """Delete a stored response.

    Args:
        response_id: ID of the response.

    Source: https://platform.openai.com/docs/api-reference/responses/delete
    """

    response_id: str


@operation("responses.input_items.list", "GET", "/responses/{response_id}/input_items")
class ListResponseInputItems(Operation[Page[ResponseItem]]):
    """List the input items of a stored response.

    Args:
        response_id: ID of the response.
        after: ID of the last item of the previous page.
        include: Additional output.
        limit: Number of items per page, 20 by default.
        order: Order of creation; newest first by default.

    Source: https://platform.openai.com/docs/api-reference/responses/input-items
    """

    response_id: str
    _: KW_ONLY
    after: str | None = None
    include: SequenceParam[str] | None = None
    limit: Annotated[int, Ge(1)] | None = None
    order: Literal["asc", "desc"] | None = None


@operation("responses.input_tokens.count", "POST", "/responses/input_tokens")
class CountResponseInputTokens(Operation[ResponseInputTokens]):
    """Count the tokens of an input without generating a response.

    Args:
        input: Text of the user, or input items.
        model: Name of the model.
        conversation: ID of the conversation to continue.
        instructions: System message.
        personality: Style of the model, such as `friendly`.
        parallel_tool_calls: Whether several tools may be called at once.
        previous_response_id: ID of the stored response to continue.
        reasoning: Effort of a reasoning model.
        text: Format of the text.
        tool_choice: Whether tools may, must or must not be called, or a specific tool.
        tools: Functions, custom tools and built-in tools.
        truncation: Whether to drop the beginning of a conversation that is too long.

    Source: https://platform.openai.com/docs/api-reference/responses/input-tokens
    """

    _: KW_ONLY
    input: ResponseInputParam | None = None
    model: str
    conversation: str | Mapping[str, Any] | None = None
    instructions: str | None = None
    personality: Annotated[str, MaxLen(64)] | None = None
    parallel_tool_calls: bool | None = None
    previous_response_id: str | None = None
    reasoning: ReasoningParam | None = None
    text: ResponseTextParam | None = None
    tool_choice: str | Mapping[str, Any] | None = None
    tools: SequenceParam[ResponseToolParam] | None = None
    truncation: Literal["auto", "disabled"] | None = None
