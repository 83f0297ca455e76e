"""Messages as parameters, by role, and their content parts.

```python
messages = [
    {"role": "system", "content": "Answer as Kant would."},
    {"role": "user", "content": "What can I know?"},
]
```

Further fields are sent too, since compatible servers support more of them, such as
`reasoning_content`.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, NotRequired, TypeAlias

from annotated_types import MinLen
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetPydanticSchema,
    with_config,
)
from pydantic_core import CoreSchema, core_schema
from typing_extensions import TypedDict

from tunesmith.operations.param_types import SequenceParam
from tunesmith.types.chat import ChatCompletionMessage

_OPEN = ConfigDict(extra="allow")


@with_config(_OPEN)
class ChatCompletionContentPartTextParam(TypedDict):
    """Text part."""

    type: Literal["text"]
    text: str


@with_config(_OPEN)
class ImageURLParam(TypedDict):
    """URL of an image, or the image as a data URL: `data:image/png;base64,…`."""

    url: str
    detail: NotRequired[Literal["auto", "low", "high"]]


@with_config(_OPEN)
class ChatCompletionContentPartImageParam(TypedDict):
    """Image part."""

    type: Literal["image_url"]
    image_url: ImageURLParam


@with_config(_OPEN)
class InputAudioParam(TypedDict):
    """Audio data in base64."""

    data: str
    format: Literal["wav", "mp3"]


@with_config(_OPEN)
class ChatCompletionContentPartInputAudioParam(TypedDict):
    """Audio part."""

    type: Literal["input_audio"]
    input_audio: InputAudioParam


@with_config(_OPEN)
class FileParam(TypedDict, total=False):
    """ID of an uploaded file, or name and content of a file as a base64 data URL."""

    file_id: str
    filename: str
    file_data: str


@with_config(_OPEN)
class ChatCompletionFilePartParam(TypedDict):
    """File part, such as a PDF."""

    type: Literal["file"]
    file: FileParam


@with_config(_OPEN)
class ChatCompletionContentPartRefusalParam(TypedDict):
    """Refusal of the model."""

    type: Literal["refusal"]
    refusal: str


ChatCompletionContentPartParam: TypeAlias = Annotated[
    ChatCompletionContentPartTextParam
    | ChatCompletionContentPartImageParam
    | ChatCompletionContentPartInputAudioParam
    | ChatCompletionFilePartParam,
    Field(discriminator="type"),
]
"""Content part of a user message."""

_AssistantPart: TypeAlias = Annotated[
    ChatCompletionContentPartTextParam | ChatCompletionContentPartRefusalParam,
    Field(discriminator="type"),
]

TextContent: TypeAlias = (
    str | Annotated[SequenceParam[ChatCompletionContentPartTextParam], MinLen(1)]
)
"""Text, or text parts."""


@with_config(_OPEN)
class ChatCompletionDeveloperMessageParam(TypedDict):
    """Developer instructions, which replace `system` for reasoning models."""

    role: Literal["developer"]
    content: TextContent
    name: NotRequired[str]


@with_config(_OPEN)
class ChatCompletionSystemMessageParam(TypedDict):
    """System instructions."""

    role: Literal["system"]
    content: TextContent
    name: NotRequired[str]


@with_config(_OPEN)
class ChatCompletionUserMessageParam(TypedDict):
    """User message: text, or text, image, audio and file parts."""

    role: Literal["user"]
    content: str | Annotated[SequenceParam[ChatCompletionContentPartParam], MinLen(1)]
    name: NotRequired[str]


@with_config(_OPEN)
class FunctionCallParam(TypedDict):
    """Name and JSON arguments of a function call."""

    name: str
    arguments: str


@with_config(_OPEN)
class ChatCompletionMessageFunctionToolCallParam(TypedDict):
    """Function call."""

    id: str
    type: Literal["function"]
    function: FunctionCallParam


@with_config(_OPEN)
class CustomToolInputParam(TypedDict):
    """Name and text input of a custom tool call."""

    name: str
    input: str


@with_config(_OPEN)
class ChatCompletionMessageCustomToolCallParam(TypedDict):
    """Custom tool call."""

    id: str
    type: Literal["custom"]
    custom: CustomToolInputParam


ChatCompletionMessageToolCallParam: TypeAlias = Annotated[
    ChatCompletionMessageFunctionToolCallParam | ChatCompletionMessageCustomToolCallParam,
    Field(discriminator="type"),
]
"""Call of a tool."""


@with_config(_OPEN)
class AssistantAudioParam(TypedDict):
    """ID of an earlier audio response."""

    id: str


@with_config(_OPEN)
class ChatCompletionAssistantMessageParam(TypedDict):
    """Message of the model: content, a refusal, or tool calls."""

    role: Literal["assistant"]
    content: NotRequired[str | Annotated[SequenceParam[_AssistantPart], MinLen(1)] | None]
    audio: NotRequired[AssistantAudioParam | None]
    function_call: NotRequired[FunctionCallParam | None]
    name: NotRequired[str]
    refusal: NotRequired[str | None]
    tool_calls: NotRequired[SequenceParam[ChatCompletionMessageToolCallParam] | None]


@with_config(_OPEN)
class ChatCompletionToolMessageParam(TypedDict):
    """Result of a tool call."""

    role: Literal["tool"]
    content: TextContent
    tool_call_id: str


@with_config(_OPEN)
class ChatCompletionFunctionMessageParam(TypedDict):
    """Result of a function call; deprecated in favor of `tool`."""

    role: Literal["function"]
    content: str | None
    name: str


ChatCompletionMessageParam: TypeAlias = Annotated[
    ChatCompletionDeveloperMessageParam
    | ChatCompletionSystemMessageParam
    | ChatCompletionUserMessageParam
    | ChatCompletionAssistantMessageParam
    | ChatCompletionToolMessageParam
    | ChatCompletionFunctionMessageParam,
    Field(discriminator="role"),
]
"""Message of a conversation."""

_NOT_SENT_BACK: Mapping[str, Any] = {
    # `parsed` was added by the client; the service stores the audio by its ID.
    "parsed": True,
    "audio": {"data", "expires_at", "transcript"},
}


def _as_param(message: Any) -> Any:
    if isinstance(message, BaseModel):
        return message.model_dump(exclude_none=True, exclude=dict(_NOT_SENT_BACK))
    return message


def _message_schema(_: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
    # Type checkers see that a received message is accepted; at run time its fields are validated.
    fields = handler.generate_schema(ChatCompletionMessageParam)
    return core_schema.no_info_before_validator_function(_as_param, fields)


MessageInput: TypeAlias = Annotated[
    ChatCompletionMessageParam | ChatCompletionMessage, GetPydanticSchema(_message_schema)
]
"""Message parameter, or a message received from the model."""
