"""Answers to conversations, whole and in pieces."""

from typing import Any, Generic, Literal, TypeVar

from pydantic import BaseModel, SerializeAsAny

from tunesmith.types.base import APIModel, APIResponse, DeletedObject
from tunesmith.types.completions import CompletionUsage
from tunesmith.types.fields import GeneratedObject, NullableStr, UnixTime

__all__ = [
    "Annotation",
    "AnnotationURLCitation",
    "ChatCompletion",
    "ChatCompletionAudio",
    "ChatCompletionChunk",
    "ChatCompletionDeleted",
    "ChatCompletionMessage",
    "ChatCompletionMessageCustomToolCall",
    "ChatCompletionMessageFunctionToolCall",
    "ChatCompletionModeration",
    "ChatCompletionModerationOutcome",
    "ChatCompletionStoreMessage",
    "ChatCompletionTokenLogprob",
    "Choice",
    "ChoiceDelta",
    "ChoiceDeltaToolCall",
    "ChoiceLogprobs",
    "ChunkChoice",
    "Custom",
    "DeltaCustom",
    "DeltaFunctionCall",
    "FinishReason",
    "FunctionCall",
    "ParsedChatCompletion",
    "ParsedChatCompletionMessage",
    "ParsedChoice",
    "TopLogprob",
]

Parsed = TypeVar("Parsed", bound=BaseModel)

FinishReason = (
    Literal["stop", "length", "tool_calls", "content_filter", "function_call"] | str | None
)
"""Why a choice ended; None in a stream, until it does."""


class TopLogprob(APIModel):
    """How probable a token was."""

    token: NullableStr = ""
    bytes: list[int] | None = None
    """The token's bytes in UTF-8: a character may be spread over several tokens."""
    logprob: float
    """The natural logarithm of the probability; -9999 stands for hardly any."""


class ChatCompletionTokenLogprob(TopLogprob):
    """How probable a token of the answer was, and which others were likely in its place."""

    top_logprobs: list[TopLogprob] | None = None


class ChoiceLogprobs(APIModel):
    """How probable the tokens of a message were."""

    content: list[ChatCompletionTokenLogprob] | None = None
    refusal: list[ChatCompletionTokenLogprob] | None = None


class FunctionCall(APIModel):
    """A function that the model wants called."""

    arguments: NullableStr = ""
    """JSON by the model: it may be wrong, or not what the function takes."""
    name: NullableStr = ""


class Custom(APIModel):
    """A custom tool that the model wants called, with a free text."""

    input: NullableStr = ""
    name: NullableStr = ""


class ChatCompletionMessageFunctionToolCall(APIModel):
    """The wish to call a function; its result goes back in a message of role `tool`."""

    id: NullableStr = ""
    function: FunctionCall
    type: Literal["function"] | str = "function"


class ChatCompletionMessageCustomToolCall(APIModel):
    """The wish to call a custom tool; its result goes back in a message of role `tool`."""

    id: NullableStr = ""
    custom: Custom
    type: Literal["custom"] | str = "custom"


class AnnotationURLCitation(APIModel):
    """A page that a part of the text rests on; places are counted in characters."""

    end_index: int | None = None
    start_index: int | None = None
    title: str | None = None
    url: str | None = None


class Annotation(APIModel):
    """A note on a part of a message."""

    type: Literal["url_citation"] | str | None = None
    url_citation: AnnotationURLCitation | None = None


class ChatCompletionAudio(APIModel):
    """A spoken answer; `data` is base64, `expires_at` Unix seconds."""

    id: str | None = None
    data: str | None = None
    expires_at: UnixTime | None = None
    transcript: str | None = None


class ChatCompletionMessage(APIModel):
    """A message of the model; it can be sent back as it is, to go on with the conversation."""

    content: str | None = None
    refusal: str | None = None
    role: Literal["assistant"] | str = "assistant"
    annotations: list[Annotation] | None = None
    audio: ChatCompletionAudio | None = None
    # Deprecated in favour of tool calls.
    function_call: FunctionCall | None = None
    tool_calls: (
        list[ChatCompletionMessageFunctionToolCall | ChatCompletionMessageCustomToolCall] | None
    ) = None


class Choice(APIModel):
    """One answer."""

    finish_reason: FinishReason = None
    index: int = 0
    logprobs: ChoiceLogprobs | None = None
    message: ChatCompletionMessage


class ChatCompletionModerationOutcome(APIModel):
    """What a moderation came to: results, or why there are none."""

    type: Literal["moderation_results", "error"] | str | None = None
    model: str | None = None
    results: list[dict[str, Any]] | None = None
    code: str | None = None
    message: str | None = None


class ChatCompletionModeration(APIModel):
    """Judgements on what was asked and what was answered, where `moderation` asked for them."""

    input: ChatCompletionModerationOutcome | None = None
    output: ChatCompletionModerationOutcome | None = None


class ChatCompletion(GeneratedObject, APIResponse):
    """A model's answers to a conversation.

    Source: https://platform.openai.com/docs/api-reference/chat/object
    """

    choices: list[Choice]
    metadata: dict[str, str] | None = None
    moderation: ChatCompletionModeration | None = None
    object: str = "chat.completion"
    service_tier: Literal["auto", "default", "flex", "scale", "priority", "fast"] | str | None = (
        None
    )
    usage: CompletionUsage | None = None


class DeltaFunctionCall(APIModel):
    """A piece of a function call: the name comes first, the arguments in pieces."""

    arguments: str | None = None
    name: str | None = None


class DeltaCustom(APIModel):
    """A piece of a custom tool's call: the name comes first, the input in pieces."""

    input: str | None = None
    name: str | None = None


class ChoiceDeltaToolCall(APIModel):
    """A piece of a tool call; `index` tells which call it belongs to."""

    index: int = 0
    custom: DeltaCustom | None = None
    function: DeltaFunctionCall | None = None
    id: str | None = None
    type: Literal["function", "custom"] | str | None = None


class ChoiceDelta(APIModel):
    """A piece of a message."""

    content: str | None = None
    # Deprecated in favour of tool calls.
    function_call: DeltaFunctionCall | None = None
    refusal: str | None = None
    role: Literal["developer", "system", "user", "assistant", "tool"] | str | None = None
    tool_calls: list[ChoiceDeltaToolCall] | None = None


class ChunkChoice(APIModel):
    """A piece of one answer."""

    delta: ChoiceDelta
    finish_reason: FinishReason = None
    index: int = 0
    logprobs: ChoiceLogprobs | None = None


class ChatCompletionChunk(GeneratedObject):
    """A piece of the answers to a conversation.

    With `stream_options={"include_usage": True}` the last chunk has the usage and no choices.

    Source: https://platform.openai.com/docs/api-reference/chat-streaming
    """

    choices: list[ChunkChoice]
    moderation: ChatCompletionModeration | None = None
    obfuscation: str | None = None
    """Padding of random length, so that the size of packets tells nothing about the text."""
    object: str = "chat.completion.chunk"
    service_tier: Literal["auto", "default", "flex", "scale", "priority", "fast"] | str | None = (
        None
    )
    usage: CompletionUsage | None = None


class ChatCompletionDeleted(DeletedObject):
    """That a stored answer was deleted."""


class ChatCompletionStoreMessage(ChatCompletionMessage):
    """A message of a stored conversation, by whomever."""

    id: str
    content_parts: list[dict[str, Any]] | None = None
    """The parts of text and images, where the message was more than a text."""
    name: str | None = None


class ParsedChatCompletionMessage(ChatCompletionMessage, Generic[Parsed]):
    """A message whose content was read as a model of one's own."""

    parsed: SerializeAsAny[Parsed] | None = None
    """None where the model refused or called a tool."""


class ParsedChoice(Choice, Generic[Parsed]):
    """One answer, read as a model of one's own."""

    # Answers are read, not filled, so that the narrower type does no harm; so below.
    message: ParsedChatCompletionMessage[Parsed]  # pyright: ignore[reportIncompatibleVariableOverride]


class ParsedChatCompletion(ChatCompletion, Generic[Parsed]):
    """A model's answers, read as a model of one's own.

    Example:
        ```python
        class Term(BaseModel):
            word: str
            meaning: str


        answer = await client.chat.completions.parse(
            model="gpt-4o-mini",
            messages=[{"role": "user", "content": "What is a noumenon?"}],
            response_format=Term,
        )
        print(answer.choices[0].message.parsed.meaning)
        ```
    """

    choices: list[ParsedChoice[Parsed]]  # type: ignore[assignment]
