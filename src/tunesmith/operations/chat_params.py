"""Parameters of chat completions: tools, response formats and others."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, NotRequired, TypeAlias

from annotated_types import MaxLen, MinLen
from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError
from typing_extensions import TypedDict

from tunesmith.operations.chat_messages import TextContent
from tunesmith.operations.param_types import SequenceParam


class ChatCompletionStreamOptionsParam(TypedDict, total=False):
    """Whether a stream ends with the usage, and whether its chunks are padded to a random length.

    Source: https://platform.openai.com/docs/api-reference/chat/create
    """

    include_obfuscation: bool
    include_usage: bool


class FunctionDefinition(TypedDict):
    """Function with a JSON schema of its `parameters`, which `strict` enforces.

    Source: https://platform.openai.com/docs/guides/function-calling
    """

    name: Annotated[str, MinLen(1), MaxLen(64)]
    description: NotRequired[str]
    parameters: NotRequired[Mapping[str, Any]]
    strict: NotRequired[bool | None]


class ChatCompletionFunctionToolParam(TypedDict):
    """Function that the model may call."""

    type: Literal["function"]
    function: FunctionDefinition


class GrammarParam(TypedDict):
    """Grammar in Lark syntax, or a regular expression."""

    definition: str
    syntax: Literal["lark", "regex"]


class CustomGrammarParam(TypedDict):
    """Input format of a custom tool, defined by a grammar."""

    type: Literal["grammar"]
    grammar: GrammarParam


class CustomFormatParam(TypedDict):
    """Input format of a custom tool: any text."""

    type: Literal["text"]


class CustomToolParam(TypedDict):
    """Custom tool, whose input is text instead of JSON."""

    name: str
    description: NotRequired[str]
    format: NotRequired[
        Annotated[CustomFormatParam | CustomGrammarParam, Field(discriminator="type")]
    ]


class ChatCompletionCustomToolParam(TypedDict):
    """Custom tool that the model may call."""

    type: Literal["custom"]
    custom: CustomToolParam


def reject_class(advice: str) -> BeforeValidator:
    """Return a validator that refuses a class where its description is needed.

    Args:
        advice: How to pass the class, for the error.
    """

    def validate(value: Any) -> Any:
        if isinstance(value, type):
            raise PydanticCustomError("class_as_parameter", "{advice}", {"advice": advice})
        return value

    return BeforeValidator(validate)


ChatCompletionToolParam: TypeAlias = Annotated[
    Annotated[
        ChatCompletionFunctionToolParam | ChatCompletionCustomToolParam,
        Field(discriminator="type"),
    ],
    reject_class("to pass a class as a tool, write tunesmith.pydantic_function_tool(…)"),
]
"""Tool that the model may call."""


class NamedParam(TypedDict):
    """Name of a function or a custom tool."""

    name: str


class ChatCompletionNamedToolChoiceParam(TypedDict):
    """Requirement to call this function."""

    type: Literal["function"]
    function: NamedParam


class ChatCompletionNamedToolChoiceCustomParam(TypedDict):
    """Requirement to call this custom tool."""

    type: Literal["custom"]
    custom: NamedParam


class AllowedToolsParam(TypedDict):
    """Subset of the tools, and whether one of them must be called."""

    mode: Literal["auto", "required"]
    tools: SequenceParam[Mapping[str, Any]]


class ChatCompletionAllowedToolChoiceParam(TypedDict):
    """Restriction to a subset of the tools."""

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
"""Whether the model may, must or must not call tools, or a specific tool."""


class ChatCompletionFunctionCallOptionParam(TypedDict):
    """Requirement to call this function; deprecated in favor of `tool_choice`."""

    name: str


class ResponseFormatText(TypedDict):
    """Text response."""

    type: Literal["text"]


class ResponseFormatJSONObject(TypedDict):
    """JSON object response; a message must ask for JSON too."""

    type: Literal["json_object"]


class JSONSchemaParam(TypedDict):
    """JSON schema with a name of letters, digits, `_` and `-`; `strict` enforces it.

    Source: https://platform.openai.com/docs/guides/structured-outputs
    """

    name: Annotated[str, MinLen(1), MaxLen(64)]
    description: NotRequired[str]
    schema: NotRequired[Mapping[str, Any]]
    strict: NotRequired[bool | None]


class ResponseFormatJSONSchema(TypedDict):
    """JSON response with a schema."""

    type: Literal["json_schema"]
    json_schema: JSONSchemaParam


ResponseFormatParam: TypeAlias = Annotated[
    Annotated[
        ResponseFormatText | ResponseFormatJSONObject | ResponseFormatJSONSchema,
        Field(discriminator="type"),
    ],
    reject_class("to parse the response into a class, use client.chat.completions.parse"),
]
"""Format of the response."""


class CustomVoiceParam(TypedDict):
    """Custom voice."""

    id: str


class ChatCompletionAudioParam(TypedDict):
    """Format and voice of the audio, such as `alloy`."""

    format: Literal["wav", "aac", "mp3", "flac", "opus", "pcm16"]
    voice: str | CustomVoiceParam


class ChatCompletionPredictionContentParam(TypedDict):
    """Text that most of the output will equal, such as a file with small changes."""

    type: Literal["content"]
    content: TextContent


class ApproximateLocationParam(TypedDict, total=False):
    """Location; `country` is an ISO 3166-1 code, `timezone` an IANA name."""

    city: str
    country: str
    region: str
    timezone: str


class UserLocationParam(TypedDict):
    """Approximate location of the user."""

    type: Literal["approximate"]
    approximate: ApproximateLocationParam


class WebSearchOptionsParam(TypedDict, total=False):
    """Options of web search.

    Source: https://platform.openai.com/docs/guides/tools-web-search
    """

    search_context_size: Literal["low", "medium", "high"]
    user_location: UserLocationParam | None


class PromptCacheOptionsParam(TypedDict, total=False):
    """Mode and duration of prompt caching; `explicit` caches up to marked parts.

    Source: https://platform.openai.com/docs/guides/prompt-caching
    """

    mode: Literal["implicit", "explicit"]
    ttl: Literal["30m"]


class ModerationModeParam(TypedDict):
    """Whether flagged content is only scored or also blocked."""

    mode: Literal["score", "block"]


class ModerationPolicyParam(TypedDict, total=False):
    """Moderation of input and output."""

    input: ModerationModeParam | None
    output: ModerationModeParam | None


class ModerationOptionsParam(TypedDict):
    """Model to moderate with, such as `omni-moderation-latest`, and policy."""

    model: str
    policy: NotRequired[ModerationPolicyParam | None]
