"""Operations on chat completions."""

from collections.abc import Mapping
from dataclasses import KW_ONLY
from typing import Annotated, Literal

from annotated_types import Ge, Le, MaxLen, MinLen

from tunesmith.operations.base import Operation, StreamOperation, operation
from tunesmith.operations.chat_messages import MessageInput
from tunesmith.operations.chat_params import (
    ChatCompletionAudioParam,
    ChatCompletionFunctionCallOptionParam,
    ChatCompletionPredictionContentParam,
    ChatCompletionStreamOptionsParam,
    ChatCompletionToolChoiceOptionParam,
    ChatCompletionToolParam,
    FunctionDefinition,
    ModerationOptionsParam,
    PromptCacheOptionsParam,
    ResponseFormatParam,
    WebSearchOptionsParam,
)
from tunesmith.operations.param_types import MetadataParam, SequenceParam
from tunesmith.types.base import Page
from tunesmith.types.chat import (
    ChatCompletion,
    ChatCompletionChunk,
    ChatCompletionDeleted,
    ChatCompletionStoreMessage,
)


@operation("chat.completions.create", "POST", "/chat/completions")
class CreateChatCompletion(StreamOperation[ChatCompletion, ChatCompletionChunk]):
    """Create a completion of a conversation.

    Args:
        messages: The conversation so far. Messages of earlier completions can be passed unchanged.
        model: Name of the model.
        audio: Format and voice of the audio, if `modalities` contains `audio`.
        frequency_penalty: Penalty for frequent tokens, -2 to 2.
        function_call: Function to call; deprecated in favor of `tool_choice`.
        functions: Up to 128 functions; deprecated in favor of `tools`.
        logit_bias: Bias by token ID, -100 to 100, added to the token's logit.
        logprobs: Whether to return log probabilities of the output tokens.
        max_completion_tokens: Maximum number of tokens, including reasoning.
        max_tokens: Maximum number of tokens; deprecated in favor of `max_completion_tokens`.
        metadata: Up to 16 key-value pairs to store with the completion.
        modalities: Output modalities: `text`, `audio` or both.
        moderation: Model to moderate the conversation with, and policy for flagged content.
        n: Number of completions.
        parallel_tool_calls: Whether several tools may be called at once.
        prediction: Text that most of the output will equal, for faster responses.
        presence_penalty: Penalty for tokens that are already present, -2 to 2.
        prompt_cache_key: Cache key of requests with a common prefix.
        prompt_cache_options: Mode and duration of prompt caching.
        prompt_cache_retention: Duration; deprecated in favor of `prompt_cache_options`.
        reasoning_effort: Effort of reasoning models.
        response_format: Text, JSON, or JSON with a schema. To parse the response into a class,
            use `client.chat.completions.parse`.
        safety_identifier: Identifier of the end user, preferably a hash of at most 64 characters,
            for the service's abuse monitoring.
        seed: Seed for mostly deterministic sampling; deprecated.
        service_tier: Service tier, which determines latency and price.
        stop: Up to 4 texts that end the completion and are not part of it.
        store: Whether the service stores the completion.
        stream_options: Whether a stream ends with the usage, and whether its chunks are padded.
        temperature: Sampling temperature, 0 to 2.
        tool_choice: Whether the model may, must or must not call tools, or a specific tool.
        tools: The tools that the model may call.
        top_logprobs: Number of most likely tokens to return at each position, 0 to 20.
        top_p: Cumulative probability of the tokens to sample from.
        user: Identifier of the end user; deprecated in favor of `safety_identifier` and
            `prompt_cache_key`.
        verbosity: Verbosity of the output.
        web_search_options: Options of web search, for models that support it.

    Source: https://platform.openai.com/docs/api-reference/chat/create
    """

    _: KW_ONLY
    messages: Annotated[SequenceParam[MessageInput], MinLen(1)]
    model: str
    audio: ChatCompletionAudioParam | None = None
    frequency_penalty: Annotated[float, Ge(-2), Le(2)] | None = None
    function_call: Literal["none", "auto"] | ChatCompletionFunctionCallOptionParam | None = None
    functions: Annotated[SequenceParam[FunctionDefinition], MinLen(1), MaxLen(128)] | None = None
    logit_bias: Mapping[str, float] | None = None
    logprobs: bool | None = None
    max_completion_tokens: int | None = None
    max_tokens: int | None = None
    metadata: MetadataParam | None = None
    modalities: SequenceParam[Literal["text", "audio"]] | None = None
    moderation: ModerationOptionsParam | None = None
    n: Annotated[int, Ge(1), Le(128)] | None = None
    parallel_tool_calls: bool | None = None
    prediction: ChatCompletionPredictionContentParam | None = None
    presence_penalty: Annotated[float, Ge(-2), Le(2)] | None = None
    prompt_cache_key: str | None = None
    prompt_cache_options: PromptCacheOptionsParam | None = None
    prompt_cache_retention: Literal["in_memory", "24h"] | None = None
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = (
        None
    )
    response_format: ResponseFormatParam | None = None
    safety_identifier: Annotated[str, MaxLen(64)] | None = None
    seed: Annotated[int, Ge(-(2**63)), Le(2**63 - 1)] | None = None
    service_tier: Literal["auto", "default", "flex", "scale", "priority", "fast"] | None = None
    stop: str | Annotated[SequenceParam[str], MinLen(1), MaxLen(4)] | None = None
    store: bool | None = None
    stream_options: ChatCompletionStreamOptionsParam | None = None
    temperature: Annotated[float, Ge(0), Le(2)] | None = None
    tool_choice: ChatCompletionToolChoiceOptionParam | None = None
    tools: SequenceParam[ChatCompletionToolParam] | None = None
    top_logprobs: Annotated[int, Ge(0), Le(20)] | None = None
    top_p: Annotated[float, Ge(0), Le(1)] | None = None
    user: str | None = None
    verbosity: Literal["low", "medium", "high"] | None = None
    web_search_options: WebSearchOptionsParam | None = None


@operation("chat.completions.retrieve", "GET", "/chat/completions/{completion_id}")
class RetrieveChatCompletion(Operation[ChatCompletion]):
    """Retrieve a completion that was created with `store=True`.

    Args:
        completion_id: ID of the completion.

    Source: https://platform.openai.com/docs/api-reference/chat/get
    """

    completion_id: str


@operation("chat.completions.list", "GET", "/chat/completions")
class ListChatCompletions(Operation[Page[ChatCompletion]]):
    """List completions that were created with `store=True`.

    Args:
        after: ID of the last completion of the previous page.
        limit: Maximum number of completions per page; the service's default is 20.
        metadata: Filter by these key-value pairs.
        model: Filter by model.
        order: Order by time of creation: `asc` or `desc`.

    Source: https://platform.openai.com/docs/api-reference/chat/list
    """

    _: KW_ONLY
    after: str | None = None
    limit: Annotated[int, Ge(1)] | None = None
    metadata: MetadataParam | None = None
    model: str | None = None
    order: Literal["asc", "desc"] | None = None


@operation("chat.completions.update", "POST", "/chat/completions/{completion_id}")
class UpdateChatCompletion(Operation[ChatCompletion]):
    """Replace the metadata of a stored completion.

    Args:
        completion_id: ID of the completion.
        metadata: Up to 16 key-value pairs that replace the stored ones.

    Source: https://platform.openai.com/docs/api-reference/chat/update
    """

    completion_id: str
    _: KW_ONLY
    metadata: MetadataParam


@operation("chat.completions.delete", "DELETE", "/chat/completions/{completion_id}")
class DeleteChatCompletion(Operation[ChatCompletionDeleted]):
    """Delete a stored completion.

    Args:
        completion_id: ID of the completion.

    Source: https://platform.openai.com/docs/api-reference/chat/delete
    """

    completion_id: str


@operation("chat.completions.messages.list", "GET", "/chat/completions/{completion_id}/messages")
class ListChatCompletionMessages(Operation[Page[ChatCompletionStoreMessage]]):
    """List the input messages of a stored completion.

    Args:
        completion_id: ID of the completion.
        after: ID of the last message of the previous page.
        limit: Maximum number of messages per page; the service's default is 20.
        order: Order by time of creation: `asc` or `desc`.

    Source: https://platform.openai.com/docs/api-reference/chat/getMessages
    """

    completion_id: str
    _: KW_ONLY
    after: str | None = None
    limit: Annotated[int, Ge(1)] | None = None
    order: Literal["asc", "desc"] | None = None
