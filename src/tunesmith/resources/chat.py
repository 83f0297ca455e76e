"""Answers to conversations."""

from functools import cached_property

from tunesmith.operations.chat import (
    CreateChatCompletion,
    DeleteChatCompletion,
    ListChatCompletionMessages,
    ListChatCompletions,
    RetrieveChatCompletion,
    UpdateChatCompletion,
)
from tunesmith.resources.base import Resource, operation_method, paged, streamed
from tunesmith.resources.parse import ParseMethod

__all__ = ["Chat", "ChatCompletions", "StoredMessages"]


class StoredMessages(Resource):
    """The messages of a stored completion."""

    list = paged(ListChatCompletionMessages)


class ChatCompletions(Resource):
    """Answers to conversations; those created with `store=True` can be looked up later."""

    create = operation_method(CreateChatCompletion)
    stream = streamed(CreateChatCompletion)
    parse = ParseMethod(CreateChatCompletion)
    retrieve = operation_method(RetrieveChatCompletion)
    list = paged(ListChatCompletions)
    update = operation_method(UpdateChatCompletion)
    delete = operation_method(DeleteChatCompletion)

    @cached_property
    def messages(self) -> StoredMessages:
        """The messages of a stored completion."""
        return StoredMessages(self.caller)


class Chat(Resource):
    """Answers to conversations."""

    @cached_property
    def completions(self) -> ChatCompletions:
        """Answers to conversations."""
        return ChatCompletions(self.caller)
