"""Chat completions."""

from functools import cached_property
from typing import TYPE_CHECKING

from tunesmith.operations.chat import (
    CreateChatCompletion,
    DeleteChatCompletion,
    ListChatCompletionMessages,
    ListChatCompletions,
    RetrieveChatCompletion,
    UpdateChatCompletion,
)
from tunesmith.resources.base import Resource, operation_method, paged, streamed
from tunesmith.resources.parse import ParseCompletions

__all__ = ["Chat", "ChatCompletions", "StoredMessages"]


class StoredMessages(Resource):
    """Input messages of a stored completion."""

    list = paged(ListChatCompletionMessages)


class ChatCompletions(Resource):
    """Chat completions; those created with `store=True` can be retrieved later."""

    create = operation_method(CreateChatCompletion)
    stream = streamed(CreateChatCompletion)
    if TYPE_CHECKING:  # see ParseCompletions
        parse = ParseCompletions
        """Create a completion and parse it; returns a `ParsedChatCompletion`.

        Takes the parameters of `create`, with a pydantic model, dataclass or TypedDict as
        `response_format`.
        """
    else:
        parse = ParseCompletions()
    retrieve = operation_method(RetrieveChatCompletion)
    list = paged(ListChatCompletions)
    update = operation_method(UpdateChatCompletion)
    delete = operation_method(DeleteChatCompletion)

    @cached_property
    def messages(self) -> StoredMessages:
        """Input messages of a stored completion."""
        return StoredMessages(self.caller)


class Chat(Resource):
    """Chat completions."""

    @cached_property
    def completions(self) -> ChatCompletions:
        """Chat completions."""
        return ChatCompletions(self.caller)
