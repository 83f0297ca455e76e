"""Responses of models, and the events of their streams."""

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Generic, Literal, TypeAlias, TypeVar

from pydantic import Discriminator, Field, Tag

from tunesmith.types.base import APIModel, APIResponse, DeletedObject, Metadata, to_datetime

T = TypeVar("T")


class ResponseOutputText(APIModel):
    """Text of a message."""

    type: Literal["output_text"] = "output_text"
    text: str = ""
    annotations: list[dict[str, Any]] | None = None
    logprobs: list[dict[str, Any]] | None = None


class ResponseOutputRefusal(APIModel):
    """Refusal of the model."""

    type: Literal["refusal"] = "refusal"
    refusal: str = ""


class ResponseOtherPart(APIModel):
    """Content part of another type; its fields are kept."""

    if TYPE_CHECKING:  # next to a `str`, checkers would not narrow the other parts by `type`
        type: Literal["reasoning_text", "summary_text"] | None = None
    else:
        type: str | None = None


def _type_of(value: Any) -> str:
    if isinstance(value, Mapping):
        return str(value.get("type"))  # pyright: ignore[reportUnknownMemberType,reportUnknownArgumentType]
    return str(getattr(value, "type", None))


def _tag_of_part(value: Any) -> str:
    kind = _type_of(value)
    return kind if kind in {"output_text", "refusal"} else "other"


ResponseContentPart: TypeAlias = Annotated[
    Annotated[ResponseOutputText, Tag("output_text")]
    | Annotated[ResponseOutputRefusal, Tag("refusal")]
    | Annotated[ResponseOtherPart, Tag("other")],
    Discriminator(_tag_of_part),
]
"""Content part of a message."""


class ResponseOutputMessage(APIModel):
    """Message of the model."""

    type: Literal["message"] = "message"
    id: str | None = None
    role: str | None = None
    status: str | None = None
    content: list[ResponseContentPart] = Field(default_factory=list["ResponseContentPart"])


class ResponseFunctionToolCall(APIModel):
    """Call of a function; send its result back as a `function_call_output` with its `call_id`."""

    type: Literal["function_call"] = "function_call"
    id: str | None = None
    call_id: str
    name: str
    arguments: str = ""
    status: str | None = None


class ResponseCustomToolCall(APIModel):
    """Call of a custom tool, whose input is text."""

    type: Literal["custom_tool_call"] = "custom_tool_call"
    id: str | None = None
    call_id: str
    name: str
    input: str = ""


class ResponseReasoningItem(APIModel):
    """Reasoning of the model; include it in later input of the same conversation."""

    type: Literal["reasoning"] = "reasoning"
    id: str | None = None
    summary: list[dict[str, Any]] | None = None
    content: list[dict[str, Any]] | None = None
    encrypted_content: str | None = None
    status: str | None = None


_OtherItemType: TypeAlias = Literal[
    "apply_patch_call",
    "apply_patch_call_output",
    "code_interpreter_call",
    "compaction",
    "computer_call",
    "file_search_call",
    "image_generation_call",
    "local_shell_call",
    "local_shell_call_output",
    "mcp_approval_request",
    "mcp_approval_response",
    "mcp_call",
    "mcp_list_tools",
    "shell_call",
    "shell_call_output",
    "tool_search_call",
    "tool_search_output",
    "web_search_call",
]
"""Types that checkers know; services send further ones."""


class ResponseOtherItem(APIModel):
    """Item of another type, such as a web search; its fields are kept."""

    if TYPE_CHECKING:  # next to a `str`, checkers would not narrow the other items by `type`
        type: _OtherItemType | None = None
    else:
        type: str | None = None
    id: str | None = None
    status: str | None = None


_FINAL_EVENTS = frozenset(
    f"response.{status}" for status in ("cancelled", "completed", "failed", "incomplete")
)
_TYPED_ITEMS = frozenset({"message", "function_call", "custom_tool_call", "reasoning"})


def _tag_of_item(value: Any) -> str:
    kind = _type_of(value)
    return kind if kind in _TYPED_ITEMS else "other"


ResponseOutputItem: TypeAlias = Annotated[
    Annotated[ResponseOutputMessage, Tag("message")]
    | Annotated[ResponseFunctionToolCall, Tag("function_call")]
    | Annotated[ResponseCustomToolCall, Tag("custom_tool_call")]
    | Annotated[ResponseReasoningItem, Tag("reasoning")]
    | Annotated[ResponseOtherItem, Tag("other")],
    Discriminator(_tag_of_item),
]
"""Item of a response's output."""


class ResponseItem(APIModel):
    """Input item of a stored response."""

    id: str
    type: str | None = None
    role: str | None = None
    status: str | None = None
    content: Any = None


class ResponseError(APIModel):
    """Error of a failed response."""

    code: str | None = None
    message: str | None = None


class ResponseIncompleteDetails(APIModel):
    """Reason why a response is incomplete, such as `max_output_tokens`."""

    reason: str | None = None


class ResponseUsage(APIModel):
    """Tokens of a response."""

    _sdk_names: ClassVar[tuple[str, ...]] = ("usage", "result")

    input_tokens: int | None = None
    input_tokens_details: dict[str, Any] | None = None
    output_tokens: int | None = None
    output_tokens_details: dict[str, Any] | None = None
    total_tokens: int | None = None


class Response(APIResponse):
    """Response of a model.

    Source: https://platform.openai.com/docs/api-reference/responses/object
    """

    _sdk_names: ClassVar[tuple[str, ...]] = ("response", "result")

    id: str
    object: str | None = None
    created_at: int | float | None = None
    completed_at: int | float | None = None
    status: str | None = None
    background: bool | None = None
    conversation: dict[str, Any] | None = None
    error: ResponseError | None = None
    incomplete_details: ResponseIncompleteDetails | None = None
    instructions: Any = None
    max_output_tokens: int | None = None
    max_tool_calls: int | None = None
    metadata: Metadata | None = None
    model: str | None = None
    output: list[ResponseOutputItem] = Field(default_factory=list["ResponseOutputItem"])
    parallel_tool_calls: bool | None = None
    previous_response_id: str | None = None
    prompt_cache_key: str | None = None
    reasoning: dict[str, Any] | None = None
    safety_identifier: str | None = None
    service_tier: str | None = None
    store: bool | None = None
    temperature: float | None = None
    text: dict[str, Any] | None = None
    tool_choice: Any = None
    tools: list[dict[str, Any]] | None = None
    top_logprobs: int | None = None
    top_p: float | None = None
    truncation: str | None = None
    usage: ResponseUsage | None = None
    user: str | None = None

    @property
    def created_at_datetime(self) -> datetime | None:
        """Creation time, in UTC."""
        return to_datetime(self.created_at)

    @property
    def output_text(self) -> str:
        """All text of the output, joined."""
        return "".join(
            part.text
            for item in self.output
            if isinstance(item, ResponseOutputMessage)
            for part in item.content
            if isinstance(part, ResponseOutputText)
        )


class ParsedResponse(Response, Generic[T]):
    """Response whose text was parsed into a class."""

    output_parsed: T | None = None


class ResponseDeleted(DeletedObject):
    """Confirmation that a response was deleted."""


class ResponseInputTokens(APIResponse):
    """Number of tokens of an input."""

    object: str | None = None
    input_tokens: int


class ResponseStreamEvent(APIModel):
    """Event of a response's stream; `type` tells which of the fields it has.

    | type | fields |
    |---|---|
    | `response.created`, `.in_progress`, `.completed`, `.incomplete`, `.failed` | `response` |
    | `response.output_item.added`, `.done` | `output_index`, `item` |
    | `response.content_part.added`, `.done` | `output_index`, `item_id`, `content_index`, `part` |
    | `response.output_text.delta`, `.done` | `item_id`, `content_index`, `delta` or `text` |
    | `response.function_call_arguments.delta`, `.done` | `item_id`, `delta` or `arguments` |

    Source: https://platform.openai.com/docs/api-reference/responses-streaming
    """

    _sdk_names: ClassVar[tuple[str, ...]] = ("event", "result")

    type: str
    sequence_number: int | None = None
    response: Response | None = None
    output_index: int | None = None
    item_id: str | None = None
    item: ResponseOutputItem | None = None
    content_index: int | None = None
    part: ResponseContentPart | None = None
    delta: Any = None
    text: str | None = None
    arguments: str | None = None
    name: str | None = None
    input: str | None = None
    refusal: str | None = None
    logprobs: list[dict[str, Any]] | None = None
    summary_index: int | None = None
    code: str | None = None
    message: str | None = None
    param: str | None = None

    @property
    def is_final(self) -> bool:
        """Whether the stream is complete with this event."""
        return self.type in _FINAL_EVENTS
