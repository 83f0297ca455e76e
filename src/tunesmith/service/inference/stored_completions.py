"""Chat completions created with `store`."""

from collections.abc import Iterable

from tunesmith.operations.chat import (
    DeleteChatCompletion,
    ListChatCompletionMessages,
    ListChatCompletions,
    RetrieveChatCompletion,
    UpdateChatCompletion,
)
from tunesmith.service.core.errors import ServiceError
from tunesmith.service.core.handlers import handles
from tunesmith.service.core.messages import Message, as_mapping, message_text
from tunesmith.service.core.pagination import to_page, validate_limit
from tunesmith.service.core.store import Collection, Store
from tunesmith.types.base import Page
from tunesmith.types.chat import ChatCompletion, ChatCompletionDeleted, ChatCompletionStoreMessage

__all__ = ["StoredCompletions"]

_DEFAULT_PAGE = 20
_MAX_PAGE = 100


class StoredCompletions:
    """Stored chat completions, with the messages of their requests.

    Args:
        store: Store of the records.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._completions = store.collection("chat_completions", ChatCompletion)

    def save(self, completion: ChatCompletion, messages: Iterable[Message]) -> None:
        """Store a completion with the messages of its request."""
        self._completions.put(completion.id, completion)
        records = self._messages(completion.id)
        for number, message in enumerate(messages):
            fields = as_mapping(message)
            content = fields.get("content")
            parts = None if content is None or isinstance(content, str) else list(content)
            text = content if parts is None else message_text(fields)
            message_id = f"{completion.id}-{number}"
            record = {**fields, "id": message_id, "content": text, "content_parts": parts}
            records.put(message_id, ChatCompletionStoreMessage.model_validate(record))

    @handles(RetrieveChatCompletion)
    async def retrieve(self, operation: RetrieveChatCompletion) -> ChatCompletion:
        """Retrieve a completion."""
        return self._find(operation.completion_id)

    @handles(ListChatCompletions)
    async def list(self, operation: ListChatCompletions) -> Page[ChatCompletion]:
        """List completions, oldest first."""

        def is_listed(completion: ChatCompletion) -> bool:
            return operation.model in {None, completion.model} and (
                set((operation.metadata or {}).items()) <= set((completion.metadata or {}).items())
            )

        records = self._completions.get_page(
            after=operation.after,
            limit=validate_limit(operation.limit, default=_DEFAULT_PAGE, maximum=_MAX_PAGE),
            newest_first=operation.order == "desc",
            where=is_listed,
        )
        return to_page(records)

    @handles(UpdateChatCompletion)
    async def update(self, operation: UpdateChatCompletion) -> ChatCompletion:
        """Replace the metadata of a completion."""
        completion = self._find(operation.completion_id)
        updated = completion.model_copy(update={"metadata": dict(operation.metadata)})
        self._completions.put(completion.id, updated)
        return updated

    @handles(DeleteChatCompletion)
    async def delete(self, operation: DeleteChatCompletion) -> ChatCompletionDeleted:
        """Delete a completion and its messages."""
        completion_id = self._find(operation.completion_id).id
        messages = self._messages(completion_id)
        for message in messages.get_page().records:
            messages.delete(message.id)
        self._completions.delete(completion_id)
        return ChatCompletionDeleted(
            id=completion_id, object="chat.completion.deleted", deleted=True
        )

    @handles(ListChatCompletionMessages)
    async def messages(
        self, operation: ListChatCompletionMessages
    ) -> Page[ChatCompletionStoreMessage]:
        """List the messages of a completion's request."""
        records = self._messages(self._find(operation.completion_id).id).get_page(
            after=operation.after,
            limit=validate_limit(operation.limit, default=_DEFAULT_PAGE, maximum=_MAX_PAGE),
            newest_first=operation.order == "desc",
        )
        return to_page(records)

    def _find(self, id: str) -> ChatCompletion:
        completion = self._completions.get(id)
        if completion is None:
            raise ServiceError(404, f"Chat completion with id '{id}' not found.", param="id")
        return completion

    def _messages(self, id: str) -> Collection[ChatCompletionStoreMessage]:
        return self._store.collection("chat_messages", ChatCompletionStoreMessage, parent_id=id)
