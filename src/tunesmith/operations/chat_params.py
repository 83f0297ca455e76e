"""Options of a chat completion, as parameters: tools, forms of answers, and the rest."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, NotRequired, TypeAlias

from annotated_types import MaxLen, MinLen
from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError
from typing_extensions import TypedDict

from tunesmith.operations.chat_messages import TextContent
from tunesmith.operations.lists import SequenceParam


class ChatCompletionStreamOptionsParam(TypedDict, total=False):
    """Whether a stream ends with the usage, and whether its chunks are padded to a random length.

    Source: https://platform.openai.com/docs/api-reference/chat/create
    """

    include_obfuscation: bool
    include_usage: bool


class FunctionDefinition(TypedDict):
    """A function: `parameters` is a JSON schema, which a `strict` one is always called by.

    Source: https://platform.openai.com/docs/guides/function-calling
    """

    name: Annotated[str, MinLen(1), MaxLen(64)]
    description: NotRequired[str]
    parameters: NotRequired[Mapping[str, Any]]
    strict: NotRequired[bool | None]


class ChatCompletionFunctionToolParam(TypedDict):
    """A function that the model may call."""

    type: Literal["function"]
    function: FunctionDefinition


class GrammarParam(TypedDict):
    """A grammar, in the syntax of Lark or as a regular expression."""

    definition: str
    syntax: Literal["lark", "regex"]


class CustomGrammarParam(TypedDict):
    """That a custom tool takes what a grammar allows."""

    type: Literal["grammar"]
    grammar: GrammarParam


class CustomFormatParam(TypedDict):
    """That a custom tool takes any text."""

    type: Literal["text"]


class CustomToolParam(TypedDict):
    """A custom tool, which takes a text instead of JSON."""

    name: str
    description: NotRequired[str]
    format: NotRequired[
        Annotated[CustomFormatParam | CustomGrammarParam, Field(discriminator="type")]
    ]


class ChatCompletionCustomToolParam(TypedDict):
    """A custom tool that the model may call."""

    type: Literal["custom"]
    custom: CustomToolParam


ChatCompletionToolParam: TypeAlias = Annotated[
    ChatCompletionFunctionToolParam | ChatCompletionCustomToolParam, Field(discriminator="type")
]
"""A tool that the model may call."""


class NamedParam(TypedDict):
    """The name of a function or of a custom tool."""

    name: str


class ChatCompletionNamedToolChoiceParam(TypedDict):
    """That the model must call this function."""

    type: Literal["function"]
    function: NamedParam


class ChatCompletionNamedToolChoiceCustomParam(TypedDict):
    """That the model must call this custom tool."""

    type: Literal["custom"]
    custom: NamedParam


class AllowedToolsParam(TypedDict):
    """Which of the tools the model may call now, and whether it must call one."""

    mode: Literal["auto", "required"]
    tools: SequenceParam[Mapping[str, Any]]


class ChatCompletionAllowedToolChoiceParam(TypedDict):
    """That the model may call only some of the tools."""

    type: Literal["allowed_tools"]
    allowed_tools: AllowedToolsParam


ChatCompletionToolChoiceOptionParam: TypeAlias = (
    Literal["none", "auto", "required"]
    | Annotated[
        ChatCompletionNamedToolChoiceParam
        | ChatCompletionNamedToolChoiceCustomParam
        | ChatCompletionAllowedToolChoiceParam,
        Field(discriminator="type"),
    ]
)
"""Whether the model may, must or must not call tools, or which one it must."""


class ChatCompletionFunctionCallOptionParam(TypedDict):
    """That the model must call this function; deprecated in favour of `tool_choice`."""

    name: str


class ResponseFormatText(TypedDict):
    """That the answer is a text."""

    type: Literal["text"]


class ResponseFormatJSONObject(TypedDict):
    """That the answer is a JSON object; a message must say so, too."""

    type: Literal["json_object"]


class JSONSchemaParam(TypedDict):
    """A JSON schema with a name of letters, digits, `_` and `-`; a `strict` one is always kept to.

    Source: https://platform.openai.com/docs/guides/structured-outputs
    """

    name: Annotated[str, MinLen(1), MaxLen(64)]
    description: NotRequired[str]
    schema: NotRequired[Mapping[str, Any]]
    strict: NotRequired[bool | None]


class ResponseFormatJSONSchema(TypedDict):
    """That the answer is JSON by a schema."""

    type: Literal["json_schema"]
    json_schema: JSONSchemaParam


def _no_class(value: Any) -> Any:
    if isinstance(value, type):
        raise PydanticCustomError(
            "response_format_class",
            "a class is taken by client.chat.completions.parse, which reads the answer into it",
        )
    return value


ResponseFormatParam: TypeAlias = Annotated[
    Annotated[
        ResponseFormatText | ResponseFormatJSONObject | ResponseFormatJSONSchema,
        Field(discriminator="type"),
    ],
    BeforeValidator(_no_class),
]
"""What form the answer has."""


class CustomVoiceParam(TypedDict):
    """A voice of one's own."""

    id: str


class ChatCompletionAudioParam(TypedDict):
    """How the answer is spoken: by which voice, such as `alloy`, and in which format."""

    format: Literal["wav", "aac", "mp3", "flac", "opus", "pcm16"]
    voice: str | CustomVoiceParam


class ChatCompletionPredictionContentParam(TypedDict):
    """A text that most of the answer will equal, such as a file to be changed a little."""

    type: Literal["content"]
    content: TextContent


class ApproximateLocationParam(TypedDict, total=False):
    """A place: an ISO 3166-1 `country` such as `DE`, an IANA `timezone` such as `Europe/Berlin`."""

    city: str
    country: str
    region: str
    timezone: str


class UserLocationParam(TypedDict):
    """About where the user is."""

    type: Literal["approximate"]
    approximate: ApproximateLocationParam


class WebSearchOptionsParam(TypedDict, total=False):
    """How to search the web: how much of the context it may fill, and from where.

    Source: https://platform.openai.com/docs/guides/tools-web-search
    """

    search_context_size: Literal["low", "medium", "high"]
    user_location: UserLocationParam | None


class PromptCacheOptionsParam(TypedDict, total=False):
    """How the prompt is cached: `explicit` only up to the parts that say so, and how long.

    Source: https://platform.openai.com/docs/guides/prompt-caching
    """

    mode: Literal["implicit", "explicit"]
    ttl: Literal["30m"]


class ModerationModeParam(TypedDict):
    """Whether to judge only, or to block what is flagged."""

    mode: Literal["score", "block"]


class ModerationPolicyParam(TypedDict, total=False):
    """What to do about what is asked and about what is answered."""

    input: ModerationModeParam | None
    output: ModerationModeParam | None


class ModerationOptionsParam(TypedDict):
    """By which model to judge the conversation, such as `omni-moderation-latest`."""

    model: str
    policy: NotRequired[ModerationPolicyParam | None]
