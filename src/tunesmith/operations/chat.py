"""What can be asked of a model that answers to conversations."""

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
from tunesmith.operations.lists import SequenceParam
from tunesmith.operations.metadata import MetadataParam
from tunesmith.types.base import Page
from tunesmith.types.chat import (
    ChatCompletion,
    ChatCompletionChunk,
    ChatCompletionDeleted,
    ChatCompletionStoreMessage,
)


@operation("chat.completions.create", "POST", "/chat/completions")
class CreateChatCompletion(StreamOperation[ChatCompletion, ChatCompletionChunk]):
    """Let a model answer to a conversation.

    Args:
        messages: The conversation so far; messages of earlier answers can be put in as they are.
        model: The model's name.
        audio: How the answer is spoken, where `modalities` has `audio`.
        frequency_penalty: From -2 to 2; above 0 makes tokens rarer the more often they came.
        function_call: Whether to call a function, or which; deprecated for `tool_choice`.
        functions: Up to 128 functions to call; deprecated for `tools`.
        logit_bias: From token ids to -100 … 100, added to the token's logit.
        logprobs: Whether to report how probable the answer's tokens were.
        max_completion_tokens: At most so many tokens, those of reasoning included.
        max_tokens: At most so many tokens; deprecated for `max_completion_tokens`.
        metadata: Up to 16 pairs to keep with a stored answer: keys to 64 characters, values to 512.
        modalities: What to answer in: `text`, `audio` or both.
        moderation: By which model to judge the conversation, and what to do about it.
        n: How many answers to give.
        parallel_tool_calls: Whether several tools may be called at once.
        prediction: A text that most of the answer will equal, which makes it come faster.
        presence_penalty: From -2 to 2; above 0 makes tokens rarer once they came.
        prompt_cache_key: What requests with a common beginning share, so that a cache finds it.
        prompt_cache_options: How the prompt is cached, and for how long.
        prompt_cache_retention: How long to cache; deprecated for `prompt_cache_options`.
        reasoning_effort: How long a reasoning model may think.
        response_format: Whether the answer is text, JSON, or JSON by a schema. For a class of
            one's own see `client.chat.completions.parse`.
        safety_identifier: A name of the end user of up to 64 characters, best a hash, for the
            service's abuse monitoring.
        seed: Makes sampling repeatable, as far as the service can; deprecated.
        service_tier: How quickly, and for which price, to answer.
        stop: Up to 4 texts at which to end; they are not part of the answer.
        store: Whether the service keeps the answer, to be looked up and listed.
        stream_options: Whether a stream ends with the usage, and whether its chunks are padded.
        temperature: From 0, always the most probable token, to 2.
        tool_choice: Whether the model may, must or must not call tools, or which one it must.
        tools: The tools that the model may call.
        top_logprobs: How many of the most probable tokens to report at each place, 0 to 20.
        top_p: Sample from the most probable tokens that together have this probability.
        user: A name of the end user; deprecated for `safety_identifier` and `prompt_cache_key`.
        verbosity: How much the model says.
        web_search_options: How to search the web, for models that do.

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
    """Look up one answer that was created with `store=True`.

    Args:
        completion_id: The answer's id.

    Source: https://platform.openai.com/docs/api-reference/chat/get
    """

    completion_id: str


@operation("chat.completions.list", "GET", "/chat/completions")
class ListChatCompletions(Operation[Page[ChatCompletion]]):
    """List the answers that were created with `store=True`.

    Args:
        after: The id of the last answer seen; the page begins after it.
        limit: At most so many answers a page; the service's default is 20.
        metadata: Only those that have these pairs.
        model: Only those of this model.
        order: `asc`, oldest first, or `desc`.

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
    """Give a stored answer other metadata.

    Args:
        completion_id: The answer's id.
        metadata: Up to 16 pairs to keep instead: keys to 64 characters, values to 512.

    Source: https://platform.openai.com/docs/api-reference/chat/update
    """

    completion_id: str
    _: KW_ONLY
    metadata: MetadataParam


@operation("chat.completions.delete", "DELETE", "/chat/completions/{completion_id}")
class DeleteChatCompletion(Operation[ChatCompletionDeleted]):
    """Delete a stored answer.

    Args:
        completion_id: The answer's id.

    Source: https://platform.openai.com/docs/api-reference/chat/delete
    """

    completion_id: str


@operation("chat.completions.messages.list", "GET", "/chat/completions/{completion_id}/messages")
class ListChatCompletionMessages(Operation[Page[ChatCompletionStoreMessage]]):
    """List the messages that a stored answer was given to.

    Args:
        completion_id: The answer's id.
        after: The id of the last message seen; the page begins after it.
        limit: At most so many messages a page; the service's default is 20.
        order: `asc`, oldest first, or `desc`.

    Source: https://platform.openai.com/docs/api-reference/chat/getMessages
    """

    completion_id: str
    _: KW_ONLY
    after: str | None = None
    limit: Annotated[int, Ge(1)] | None = None
    order: Literal["asc", "desc"] | None = None
