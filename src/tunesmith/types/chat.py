"""Chat completions, whole and streamed."""

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Generic, Literal, TypeVar

from pydantic import BeforeValidator, Field, SerializeAsAny

from tunesmith.types.base import APIModel, APIResponse, DeletedObject
from tunesmith.types.completions import CompletionUsage
from tunesmith.types.fields import GeneratedObject, Index, JSONText, NullableStr, UnixTime

Parsed = TypeVar("Parsed")

FinishReason = (
    Literal["stop", "length", "tool_calls", "content_filter", "function_call"] | str | None
)
"""Why a choice ended; None in a stream until it does."""


class TopLogprob(APIModel):
    """Log probability of a token."""

    token: NullableStr = ""
    bytes: list[int] | None = None
    """The token's bytes in UTF-8. A character may span several tokens."""
    logprob: float
    """Natural logarithm of the probability; -9999.0 if the token is very unlikely."""


class ChatCompletionTokenLogprob(TopLogprob):
    """Log probability of a token of the message, and of likely alternatives."""

    top_logprobs: list[TopLogprob] | None = None


class ChoiceLogprobs(APIModel):
    """Log probabilities of the tokens of a message."""

    content: list[ChatCompletionTokenLogprob] | None = None
    refusal: list[ChatCompletionTokenLogprob] | None = None


class FunctionCall(APIModel):
    """Call of a function, requested by the model."""

    arguments: JSONText = ""
    """JSON written by the model. It may be invalid or not match the function's parameters."""
    name: NullableStr = ""


class Custom(APIModel):
    """Call of a custom tool, with free text as input."""

    input: NullableStr = ""
    name: NullableStr = ""


class ChatCompletionMessageFunctionToolCall(APIModel):
    """Function call. Send its result back in a message of role `tool`."""

    id: NullableStr = ""
    function: FunctionCall
    if TYPE_CHECKING:  # checkers tell calls apart by it; servers also send other types
        type: Literal["function"] = "function"
    else:
        type: str = "function"


class ChatCompletionMessageCustomToolCall(APIModel):
    """Custom tool call. Send its result back in a message of role `tool`."""

    id: NullableStr = ""
    custom: Custom
    if TYPE_CHECKING:
        type: Literal["custom"] = "custom"
    else:
        type: str = "custom"


class AnnotationURLCitation(APIModel):
    """Web page cited by the text between two character offsets."""

    end_index: int | None = None
    start_index: int | None = None
    title: str | None = None
    url: str | None = None


class Annotation(APIModel):
    """Annotation of a part of a message."""

    type: Literal["url_citation"] | str | None = None
    url_citation: AnnotationURLCitation | None = None


class ChatCompletionAudio(APIModel):
    """Audio of a message; `data` is base64, `expires_at` in Unix seconds."""

    id: str | None = None
    data: str | None = None
    expires_at: UnixTime | None = None
    transcript: str | None = None


class ChatCompletionMessage(APIModel):
    """Message of the model. It can be sent back unchanged to continue the conversation."""

    _sdk_names: ClassVar[tuple[str, ...]] = ("message", "result")

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
    """One of the completions of a conversation."""

    _sdk_names: ClassVar[tuple[str, ...]] = ("choice", "result")

    finish_reason: FinishReason = None
    index: Index = 0
    logprobs: ChoiceLogprobs | None = None
    message: ChatCompletionMessage


class ChatCompletionModerationOutcome(APIModel):
    """Results of a moderation, or the error that prevented it."""

    type: Literal["moderation_results", "error"] | str | None = None
    model: str | None = None
    results: list[dict[str, Any]] | None = None
    code: str | None = None
    message: str | None = None


class ChatCompletionModeration(APIModel):
    """Moderation of the input and the output, if requested by `moderation`."""

    input: ChatCompletionModerationOutcome | None = None
    output: ChatCompletionModerationOutcome | None = None


class ChatCompletion(GeneratedObject, APIResponse):
    """Completions of a conversation.

    Source: https://platform.openai.com/docs/api-reference/chat/object
    """

    _sdk_names: ClassVar[tuple[str, ...]] = ("completion", "result")

    choices: list[Choice]
    metadata: dict[str, str] | None = None
    moderation: ChatCompletionModeration | None = None
    object: str = "chat.completion"
    service_tier: Literal["auto", "default", "flex", "scale", "priority", "fast"] | str | None = (
        None
    )
    usage: CompletionUsage | None = None


class DeltaFunctionCall(APIModel):
    """Piece of a function call. The name comes first, the arguments in pieces."""

    arguments: JSONText = ""
    name: str | None = None


class DeltaCustom(APIModel):
    """Piece of a custom tool call. The name comes first, the input in pieces."""

    input: str | None = None
    name: str | None = None


class ChoiceDeltaToolCall(APIModel):
    """Piece of the tool call with this `index`."""

    index: Index = 0
    custom: DeltaCustom | None = None
    function: DeltaFunctionCall | None = None
    id: str | None = None
    type: Literal["function", "custom"] | str | None = None


class ChoiceDelta(APIModel):
    """Piece of a message."""

    content: str | None = None
    # Deprecated in favour of tool calls.
    function_call: DeltaFunctionCall | None = None
    refusal: str | None = None
    role: Literal["developer", "system", "user", "assistant", "tool"] | str | None = None
    tool_calls: list[ChoiceDeltaToolCall] | None = None


class ChunkChoice(APIModel):
    """Piece of one of the completions."""

    delta: ChoiceDelta = Field(default_factory=ChoiceDelta)
    finish_reason: FinishReason = None
    index: Index = 0
    logprobs: ChoiceLogprobs | None = None


def _as_choices(value: Any) -> Any:
    """Return choices; never another value kept raw, which streams cannot join."""
    return value if value.__class__ in {dict, list, tuple} else ()


class ChatCompletionChunk(GeneratedObject):
    """Event of a stream of chat completions.

    With `stream_options={"include_usage": True}` the last chunk has the usage and no choices.

    Source: https://platform.openai.com/docs/api-reference/chat-streaming
    """

    choices: Annotated[list[ChunkChoice], BeforeValidator(_as_choices)] = Field(
        default_factory=list[ChunkChoice]
    )
    moderation: ChatCompletionModeration | None = None
    obfuscation: str | None = None
    """Padding of random length, which hides the length of the text from the network."""
    object: str = "chat.completion.chunk"
    _sdk_names: ClassVar[tuple[str, ...]] = ("chunk", "result")
    service_tier: Literal["auto", "default", "flex", "scale", "priority", "fast"] | str | None = (
        None
    )
    usage: CompletionUsage | None = None


class ChatCompletionDeleted(DeletedObject):
    """Confirmation that a stored completion was deleted."""


class ChatCompletionStoreMessage(ChatCompletionMessage):
    """Message of a stored conversation, of any role."""

    id: str
    content_parts: list[dict[str, Any]] | None = None
    """Text and image parts of a message that is more than text."""
    name: str | None = None


class ParsedChatCompletionMessage(ChatCompletionMessage, Generic[Parsed]):
    """Message whose content was parsed into `parsed`."""

    parsed: SerializeAsAny[Parsed] | None = None
    """None if the model refused or called a tool."""


class ParsedChoice(Choice, Generic[Parsed]):
    """Completion whose message was parsed."""

    # Responses are not assigned to, so a narrower type is safe; likewise below.
    message: ParsedChatCompletionMessage[Parsed]  # pyright: ignore[reportIncompatibleVariableOverride]


class ParsedChatCompletion(ChatCompletion, Generic[Parsed]):
    """Completions whose messages were parsed.

    Example:
        ```python
        from pydantic import BaseModel


        class Term(BaseModel):
            word: str
            meaning: str


        completion = await client.chat.completions.parse(
            model="gpt-4o-mini",
            messages=[{"role": "user", "content": "What is a noumenon?"}],
            response_format=Term,
        )
        print(completion.choices[0].message.parsed.meaning)
        ```
    """

    choices: list[ParsedChoice[Parsed]]  # type: ignore[assignment]
