"""Messages of a conversation, as parameters: by the role of whoever speaks, and in parts.

```python
messages = [
    {"role": "system", "content": "Answer as Kant would."},
    {"role": "user", "content": "What can I know?"},
]
```

Fields that are not named here are sent along: compatible servers know more of them, such as
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

from tunesmith.operations.lists import SequenceParam
from tunesmith.types.chat import ChatCompletionMessage

_OPEN = ConfigDict(extra="allow")


@with_config(_OPEN)
class ChatCompletionContentPartTextParam(TypedDict):
    """A text."""

    type: Literal["text"]
    text: str


@with_config(_OPEN)
class ImageURLParam(TypedDict):
    """An image's address, or the image itself as `data:image/png;base64,…`."""

    url: str
    detail: NotRequired[Literal["auto", "low", "high"]]


@with_config(_OPEN)
class ChatCompletionContentPartImageParam(TypedDict):
    """An image."""

    type: Literal["image_url"]
    image_url: ImageURLParam


@with_config(_OPEN)
class InputAudioParam(TypedDict):
    """A sound, in base64."""

    data: str
    format: Literal["wav", "mp3"]


@with_config(_OPEN)
class ChatCompletionContentPartInputAudioParam(TypedDict):
    """A sound."""

    type: Literal["input_audio"]
    input_audio: InputAudioParam


@with_config(_OPEN)
class FileParam(TypedDict, total=False):
    """A file: the id of an uploaded one, or its name and its content as a base64 data URL."""

    file_id: str
    filename: str
    file_data: str


@with_config(_OPEN)
class ChatCompletionFilePartParam(TypedDict):
    """A file, such as a PDF."""

    type: Literal["file"]
    file: FileParam


@with_config(_OPEN)
class ChatCompletionContentPartRefusalParam(TypedDict):
    """What the model said instead of an answer."""

    type: Literal["refusal"]
    refusal: str


ChatCompletionContentPartParam: TypeAlias = Annotated[
    ChatCompletionContentPartTextParam
    | ChatCompletionContentPartImageParam
    | ChatCompletionContentPartInputAudioParam
    | ChatCompletionFilePartParam,
    Field(discriminator="type"),
]
"""A part of a user's message."""

_AnswerPart: TypeAlias = Annotated[
    ChatCompletionContentPartTextParam | ChatCompletionContentPartRefusalParam,
    Field(discriminator="type"),
]

TextContent: TypeAlias = (
    str | Annotated[SequenceParam[ChatCompletionContentPartTextParam], MinLen(1)]
)
"""A text, or parts of a text."""


@with_config(_OPEN)
class ChatCompletionDeveloperMessageParam(TypedDict):
    """Instructions by the developer; for reasoning models they take the place of `system`."""

    role: Literal["developer"]
    content: TextContent
    name: NotRequired[str]


@with_config(_OPEN)
class ChatCompletionSystemMessageParam(TypedDict):
    """Instructions that stand above what users say."""

    role: Literal["system"]
    content: TextContent
    name: NotRequired[str]


@with_config(_OPEN)
class ChatCompletionUserMessageParam(TypedDict):
    """What a user says: a text, or parts of text, images, sound and files."""

    role: Literal["user"]
    content: str | Annotated[SequenceParam[ChatCompletionContentPartParam], MinLen(1)]
    name: NotRequired[str]


@with_config(_OPEN)
class FunctionCallParam(TypedDict):
    """A call of a function: its name, and its arguments in JSON."""

    name: str
    arguments: str


@with_config(_OPEN)
class ChatCompletionMessageFunctionToolCallParam(TypedDict):
    """A call of a function."""

    id: str
    type: Literal["function"]
    function: FunctionCallParam


@with_config(_OPEN)
class CustomToolInputParam(TypedDict):
    """A call of a custom tool: its name, and its input as a free text."""

    name: str
    input: str


@with_config(_OPEN)
class ChatCompletionMessageCustomToolCallParam(TypedDict):
    """A call of a custom tool."""

    id: str
    type: Literal["custom"]
    custom: CustomToolInputParam


ChatCompletionMessageToolCallParam: TypeAlias = Annotated[
    ChatCompletionMessageFunctionToolCallParam | ChatCompletionMessageCustomToolCallParam,
    Field(discriminator="type"),
]
"""A tool that the model called."""


@with_config(_OPEN)
class AssistantAudioParam(TypedDict):
    """An earlier spoken answer, by its id."""

    id: str


@with_config(_OPEN)
class ChatCompletionAssistantMessageParam(TypedDict):
    """What the model said, or which tools it called."""

    role: Literal["assistant"]
    content: NotRequired[str | Annotated[SequenceParam[_AnswerPart], MinLen(1)] | None]
    audio: NotRequired[AssistantAudioParam | None]
    function_call: NotRequired[FunctionCallParam | None]
    name: NotRequired[str]
    refusal: NotRequired[str | None]
    tool_calls: NotRequired[SequenceParam[ChatCompletionMessageToolCallParam] | None]


@with_config(_OPEN)
class ChatCompletionToolMessageParam(TypedDict):
    """The result of a tool call."""

    role: Literal["tool"]
    content: TextContent
    tool_call_id: str


@with_config(_OPEN)
class ChatCompletionFunctionMessageParam(TypedDict):
    """The result of a function call; deprecated in favour of `tool`."""

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
"""A message of a conversation."""

_NOT_SENT_BACK: Mapping[str, Any] = {
    # What the client read out of the content, and what the service keeps under the sound's id.
    "parsed": True,
    "audio": {"data", "expires_at", "transcript"},
}


def _as_param(message: Any) -> Any:
    if isinstance(message, BaseModel):
        return message.model_dump(exclude_none=True, exclude=dict(_NOT_SENT_BACK))
    return message


def _message_schema(_: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
    # Checkers see that an answer's message is taken, too; checked it is as the fields it has.
    fields = handler.generate_schema(ChatCompletionMessageParam)
    return core_schema.no_info_before_validator_function(_as_param, fields)


MessageInput: TypeAlias = Annotated[
    ChatCompletionMessageParam | ChatCompletionMessage, GetPydanticSchema(_message_schema)
]
"""A message, or the message of an answer, to go on from there."""
